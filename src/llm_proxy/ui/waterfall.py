"""Where the time of a call went, as bars on one axis: the way out step by step, waiting, and the pieces of the answer.

Of several attempts each has a line of its own; the steps that have lines are those of the last one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from llm_proxy.model.completion import Completion
from llm_proxy.model.exchange import Attempt, Chunks
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
    #: A class of the style sheet, if it is not that of the lane.
    style: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One line of the picture."""

    label: str
    #: The duration, or what else stands behind the bars.
    value: str
    #: A class of the style sheet.
    style: str
    bars: tuple[Bar, ...]


class _Step(NamedTuple):
    """From when to when something took place, in seconds since the call began."""

    label: str
    style: str
    start: float
    end: float


def waterfall(completion: Completion, chunks: Chunks, attempts: Sequence[Attempt] = ()) -> tuple[Lane, ...]:
    """The lanes of a call that has ended; none if too little is known."""
    total = completion.duration_s
    if not total:
        return ()
    lanes = [_tried(number, attempt, total) for number, attempt in enumerate(attempts, 1)]
    first_byte, first_token = completion.ttfb_s, completion.ttft_s
    lanes += [_span(*step, total) for step in _steps(completion, total, is_first=not attempts)]
    if first_token is not None:
        lanes.append(_span("First token", "token", first_byte or 0, first_token, total, value=duration(first_token)))
    if len(chunks.times_us) > 1:
        pieces = f"{count(len(chunks.times_us))} pieces"
        lanes.append(Lane(label="Answer", value=pieces, style="pieces", bars=_pieces(chunks, total)))
        start, end = _longest_gap(chunks)
        lanes.append(_span("Longest gap", "gap", start, end, total))
    lanes.append(_span("Total", "total", 0, total, total))
    return tuple(lanes)


def _steps(completion: Completion, total: float, *, is_first: bool) -> list[_Step]:
    """What came before the answer; ``is_first`` is whether nothing was tried before that."""
    sent, first_byte, connect = completion.sent_s, completion.ttfb_s, completion.connect_s
    way = _way(completion, total if sent is None else sent)
    if way and is_first and completion.overhead_s is not None:
        way.insert(0, _Step("Request", "request", 0, way[0].start))
    if sent is not None:
        return way if first_byte is None else [*way, _Step("Waiting", "wait", sent, first_byte)]
    if way:  # it was never sent, and what the client got as an answer was ours
        return way
    way = [_Step("Connect", "tcp", 0, connect)] if connect else []
    return way if first_byte is None else [*way, _Step("Waiting", "wait", connect or 0, first_byte)]


def _way(one: Completion | Attempt, end: float) -> list[_Step]:
    """The steps of the way out, of which the last one came to its end then; none of a record that tells none."""
    told = (
        ("Our own part", "own", one.overhead_s),
        ("Turn", "queued", one.queued_s),
        ("DNS", "dns", one.dns_s),
        ("TCP", "tcp", one.tcp_s),
        ("TLS", "tls", one.tls_s),
    )
    way: list[_Step] = []
    for label, style, took in reversed(told):
        if took is not None:
            way.insert(0, _Step(label, style, end - took, end))
            end -= took
    return way


def _tried(number: int, attempt: Attempt, total: float) -> Lane:
    steps = _way(attempt, attempt.ended_s if attempt.sent_s is None else attempt.sent_s)
    if attempt.sent_s is not None or not steps:
        since = attempt.started_s if attempt.sent_s is None else attempt.sent_s
        steps.append(_Step("Waiting", "wait", since, attempt.ended_s))
    bars = tuple(_bar(step.start, step.end, total, step.style) for step in steps)
    took = duration(max(attempt.ended_s - attempt.started_s, 0))
    return Lane(label=f"Attempt {number}", value=took, style="attempt", bars=bars)


def _span(label: str, style: str, start: float, end: float, total: float, *, value: str | None = None) -> Lane:
    bar = _bar(start, end, total)
    return Lane(label=label, value=value or duration(max(end - start, 0)), style=style, bars=(bar,))


def _bar(start: float, end: float, total: float, style: str = "") -> Bar:
    x = min(max(start / total, 0), 1) * (WIDTH - 2)
    width = max(min(end / total, 1) * WIDTH - x, 2)
    return Bar(x=round(x, 1), width=round(width, 1), style=style)


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
