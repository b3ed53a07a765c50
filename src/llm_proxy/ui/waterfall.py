"""Where the time of a call went, as bars on one axis: connecting, waiting, and the pieces of the answer."""

from dataclasses import dataclass

from llm_proxy.model.completion import Completion
from llm_proxy.model.exchange import Chunks
from llm_proxy.ui.present import count, duration

#: Length of the axis; a piece that would be shorter than one is drawn as one.
WIDTH = 1000
#: More bars than that are nobody's to tell apart; pieces that come close together share one.
MAX_BARS = 250
HEIGHT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle, in units of the axis."""

    x: float
    width: float
    y: float = 0
    height: float = HEIGHT


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One line of the picture."""

    label: str
    #: The duration, or what else stands behind the bars.
    value: str
    #: A class of the style sheet.
    style: str
    bars: tuple[Bar, ...]


def waterfall(completion: Completion, chunks: Chunks) -> tuple[Lane, ...]:
    """The lanes of a call that has ended; none if too little is known."""
    total = completion.duration_s
    if not total:
        return ()
    lanes: list[Lane] = []
    connect, first_byte, first_token = completion.connect_s, completion.ttfb_s, completion.ttft_s
    if connect:
        lanes.append(_span("Connect", "connect", 0, connect, total))
    if first_byte is not None:
        lanes.append(_span("First byte", "wait", connect or 0, first_byte, total, value=duration(first_byte)))
    if first_token is not None:
        lanes.append(_span("First token", "token", first_byte or 0, first_token, total, value=duration(first_token)))
    if len(chunks.times_us) > 1:
        pieces = f"{count(len(chunks.times_us))} pieces"
        lanes.append(Lane(label="Answer", value=pieces, style="pieces", bars=_pieces(chunks, total)))
        start, end = _longest_gap(chunks)
        lanes.append(_span("Longest gap", "gap", start, end, total))
    lanes.append(_span("Total", "total", 0, total, total))
    return tuple(lanes)


def _span(label: str, style: str, start: float, end: float, total: float, *, value: str | None = None) -> Lane:
    x = min(max(start / total, 0), 1) * (WIDTH - 2)
    width = max(min(end / total, 1) * WIDTH - x, 2)
    bar = Bar(x=round(x, 1), width=round(width, 1))
    return Lane(label=label, value=value or duration(max(end - start, 0)), style=style, bars=(bar,))


def _pieces(chunks: Chunks, total: float) -> tuple[Bar, ...]:
    """The pieces by when they came, as high as they are long."""
    step = WIDTH / MAX_BARS
    bins: dict[int, int] = {}
    for time_us, length in zip(chunks.times_us, chunks.sizes, strict=True):
        place = min(int(min(time_us / 1e6 / total, 1) * MAX_BARS), MAX_BARS - 1)
        bins[place] = bins.get(place, 0) + length
    most = max(*bins.values(), 1)
    heights = {place: max(round(length / most * HEIGHT, 1), 3) for place, length in bins.items()}
    return tuple(
        Bar(x=round(place * step, 1), width=round(step * 0.7, 1), y=round(HEIGHT - height, 1), height=height)
        for place, height in sorted(heights.items())
    )


def _longest_gap(chunks: Chunks) -> tuple[float, float]:
    times = chunks.times_us
    place = max(range(1, len(times)), key=lambda index: times[index] - times[index - 1])
    return times[place - 1] / 1e6, times[place] / 1e6
