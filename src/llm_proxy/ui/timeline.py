"""The calls of a session on one axis of time: when each ran, beside which others."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from llm_proxy.model.completion import Completion, Status
from llm_proxy.ui.calls import call_href
from llm_proxy.ui.present import row

WIDTH, HEIGHT = 1000, 12
#: Calls that run at the same time lie one over the other; of more, the last lane has several.
_MAX_LANES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """When a call ran, in units of the axis."""

    href: str
    title: str
    x: float
    width: float
    lane: int
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The bars, and how many lanes they take."""

    bars: tuple[Bar, ...]
    lanes: int


def timeline(calls: Sequence[Completion]) -> Timeline | None:
    """The picture of these calls, oldest first; None if one call is all there is."""
    if len(calls) < 2:
        return None
    begin = calls[0].started_at
    whole = max((max(map(end_of, calls)) - begin).total_seconds(), 1e-6)
    free: list[datetime] = []
    bars = []
    for call in calls:
        lane = next((place for place, end in enumerate(free) if end <= call.started_at), len(free))
        lane = min(lane, _MAX_LANES - 1)
        free[lane : lane + 1] = [end_of(call)]
        x = (call.started_at - begin).total_seconds() / whole * (WIDTH - 3)
        shown = row(call)
        bars.append(
            Bar(
                href=call_href(call.id),
                title=f"{shown.time}, {shown.model}, {shown.duration}: {shown.preview}",
                x=round(x, 1),
                width=round(max((call.duration_s or 0) / whole * (WIDTH - 3), 3), 1),
                lane=lane,
                failed=call.status is Status.FAILED,
            )
        )
    return Timeline(bars=tuple(bars), lanes=len(free))


def end_of(call: Completion) -> datetime:
    """When a call ended, as far as that is known and a time can say it."""
    try:
        return call.started_at + timedelta(seconds=call.duration_s or 0)
    except OverflowError:
        return call.started_at
