"""How the calls of a list lie in time, as bars over the list, in which a range can be chosen."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from llm_proxy.model.query import Bucket
from llm_proxy.ui.present import count, time

#: Bars, and the units of the picture.
BARS, WIDTH, HEIGHT = 60, 1200, 60
#: How long a bar may be, in seconds: what people divide time by.
_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 7 * 86400)
_DAY_S = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """The calls of a part of the time."""

    x: float
    width: float
    #: From the bottom up: those that failed, and the others above.
    failed_height: float
    height: float
    title: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """A picture, and what it is of."""

    bars: tuple[Bar, ...]
    since: datetime
    until: datetime
    summary: str
    #: From when on calls are counted; None if all are.
    counted_since: datetime | None = None


def span(first: datetime, last: datetime) -> tuple[datetime, datetime, int]:
    """The time to draw, around all of ``first`` to ``last``: from, to, and in how many parts."""
    wanted = max((last - first).total_seconds(), 1.0)
    step = next((step for step in _STEPS_S if wanted / step <= BARS), None)
    if step is None:
        step = -(-int(wanted) // (BARS * _DAY_S)) * _DAY_S
    start = first - timedelta(seconds=first.timestamp() % step)
    parts = int((last - start).total_seconds() // step) + 1
    return start, start + timedelta(seconds=step * parts), parts


def drawn(buckets: list[Bucket], until: datetime) -> Histogram:
    """The picture of ``buckets``, of which the last ends at ``until``."""
    known = [
        (place, one.since, one.calls, one.failed or 0) for place, one in enumerate(buckets) if one.calls is not None
    ]
    most = max((calls for _, _, calls, _ in known), default=0) or 1
    width = WIDTH / max(len(buckets), 1)
    bars = tuple(
        Bar(
            x=round(place * width, 2),
            width=round(max(width - 2, 1), 2),
            failed_height=_height(failed, most),
            height=_height(calls - failed, most),
            title=f"{time(since)}: {count(calls)} calls, {count(failed)} failed",
        )
        for place, since, calls, failed in known
        if calls
    )
    since = buckets[0].since if buckets else until
    calls, failed = sum(one[2] for one in known), sum(one[3] for one in known)
    counted_since = None if len(known) == len(buckets) else known[0][1] if known else until
    summary = f"{count(calls)} calls, {count(failed)} failed, {time(counted_since or since)} to {time(until)}"
    return Histogram(bars=bars, since=since, until=until, summary=summary, counted_since=counted_since)


def _height(calls: int, most: int) -> float:
    # What is there at all is seen.
    return round(max(calls / most * HEIGHT, 1.5), 2) if calls else 0
