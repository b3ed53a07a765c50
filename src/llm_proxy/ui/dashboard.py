"""How the calls went over a time, in numbers and pictures, beside the time before; each number leads to its calls.

The numbers are on the page; the pictures are drawn from the same, which the page holds as JSON. Filter and time are in
the URL.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.model.account import Principal
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.json_text import encode_json
from llm_proxy.model.series import Line, Measured, Percentiles, Point, Series, SeriesBy, SeriesQuery
from llm_proxy.store.base import Statistics
from llm_proxy.ui import present
from llm_proxy.ui.calls import href
from llm_proxy.ui.reach import asked
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import page

#: How long, how it is called, and how long a point of it is.
PERIODS = {
    "1h": ("1 hour", timedelta(hours=1), timedelta(minutes=1)),
    "24h": ("24 hours", timedelta(days=1), timedelta(hours=1)),
    "7d": ("7 days", timedelta(days=7), timedelta(hours=2)),
    "30d": ("30 days", timedelta(days=30), timedelta(hours=12)),
    "90d": ("90 days", timedelta(days=90), timedelta(days=1)),
}
_DEFAULT = "24h"
_LINES = 20
#: How long to read what no sum tells, of this time and of the one before, in seconds: at first, and when asked to.
_PATIENCE_S, _MORE_PATIENCE_S = 0.3, 20.0
#: What calls may be without, in the words of the table.
_NONE = {
    SeriesBy.MODEL: "no model",
    SeriesBy.PROVIDER: "no provider",
    SeriesBy.TAG: "no tags",
    SeriesBy.USER: "no user",
    SeriesBy.KEY: "no key",
}
#: The filter says these itself.
_TIMES = ("since", "until")
_NOTHING = Series(total=Measured(), points=())


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the URL asks for."""

    found: Filter
    period: str
    by: SeriesBy
    since: datetime
    until: datetime
    #: Whether to count what takes long, too.
    everything: bool

    @property
    def step(self) -> timedelta:
        return PERIODS[self.period][2]

    def query(self, principal: Principal) -> SeriesQuery:
        calls = asked(principal, self.found, now=self.until)
        return SeriesQuery(
            calls=calls,
            since=self.since,
            until=self.until,
            step=self.step,
            by=self.by,
            limit=_LINES,
            patience_s=_MORE_PATIENCE_S if self.everything else _PATIENCE_S,
        )

    def address(self, **different: str) -> str:
        words = str(self.found)
        given = {"q": words, "period": self.period, "by": self.by.value} | different
        return f"/dashboard?{urlencode({name: value for name, value in given.items() if value}, errors='replace')}"

    def calls_between(self, since: datetime, until: datetime, *words: tuple[str, str]) -> str:
        """The list of the calls of a time."""
        found = self.found.also("since", _iso(since)).also("until", _iso(until))
        for word in words:
            found = found.also(*word)
        return href(found)


def table(statistics: Statistics) -> Table:
    """What can be asked for."""
    return {
        "/dashboard": looks(partial(_dashboard, statistics), by_project=True),
    }


async def _dashboard(statistics: Statistics, request: Request, principal: Principal) -> Response:
    written = request.query_params.get("q", "").strip()
    try:
        wanted = _wanted(request)
    except ValueError as exc:
        return _refused(request, written, str(exc))
    query = wanted.query(principal)
    series = await statistics.series(query)
    before = _NOTHING
    if series.counted_since is None:
        found = await statistics.series(replace(query, by=None).previous)
        # What was not counted to its end is not to be compared with.
        before = _NOTHING if found.counted_since is not None else found
    now, then = series.total, before.total
    return page(
        "dashboard.html",
        written=present.visible(str(wanted.found)),
        fault=None,
        period=wanted.period,
        periods=[(name, label, wanted.address(period=name)) for name, (label, _, _) in PERIODS.items()],
        by=wanted.by.value,
        groupings=[(each.value, wanted.address(by=each.value)) for each in SeriesBy],
        tiles=_tiles(now, then, wanted),
        lines=[_row(line, wanted, now) for line in series.lines],
        points=[
            _told(point, point.measured, wanted)
            for point in reversed(series.points)
            if point.measured is not None and point.measured.calls
        ],
        series=_pictures(series, before, wanted),
        counted_since=_time(series.counted_since),
        # Only where it is not the same.
        lines_since=None if series.lines_since == series.counted_since else _time(series.lines_since),
        everything=None if wanted.everything else wanted.address(count="everything"),
        empty=not now.calls and series.counted_since is None,
    )


def _pictures(series: Series, before: Series, wanted: _Wanted) -> str:
    """The same as JSON: one list for each line, one value for each point."""
    points = series.points
    measured = [point.measured for point in points]
    earlier = [None if point.measured is None else point.measured.calls for point in before.points][-len(points) :]

    def each(of: Callable[[Measured], float | None]) -> list[float | None]:
        return [None if one is None else of(one) for one in measured]

    drawn = {
        "times": [point.since.timestamp() for point in points],
        "hrefs": [_href(point, wanted) for point in points],
        "calls": each(lambda one: one.calls),
        "failed": each(lambda one: one.failed),
        "earlier": [None] * (len(points) - len(earlier)) + earlier,
        "latency": _drawn(measured, lambda one: one.latency_s),
        "ttft": _drawn(measured, lambda one: one.ttft_s),
        "speed": _drawn(measured, lambda one: one.tokens_per_s),
        "overhead": _drawn(measured, lambda one: one.overhead_s),
        "input": each(lambda one: one.input_tokens),
        "output": each(lambda one: one.output_tokens),
        "cost": each(lambda one: _float(one.cost_usd)),
    }
    return encode_json(drawn).decode()


def _drawn(
    measured: Sequence[Measured | None], of: Callable[[Measured], Percentiles | None]
) -> dict[str, list[float | None]]:
    found = [None if one is None else of(one) for one in measured]
    return {name: [None if one is None else getattr(one, name) for one in found] for name in ("p50", "p95", "p99")}


def _wanted(request: Request) -> _Wanted:
    """What the URL asks for. Raises ValueError."""
    now = datetime.now(UTC)
    period = request.query_params.get("period", _DEFAULT)
    by = request.query_params.get("by", SeriesBy.MODEL.value)
    if period not in PERIODS:
        raise ValueError(f"there is no period {period!r}; there are {', '.join(PERIODS)}")
    if by not in list(SeriesBy):
        raise ValueError(f"calls are not told apart by {by!r}; there are {', '.join(SeriesBy)}")
    found = parse(request.query_params.get("q", "").strip(), now=now)
    if found.value("text") is not None:
        raise ValueError("text: is looked for in the list of calls; numbers have none")
    _, span, step = PERIODS[period]
    # From the beginning of a point, so that none is cut short but the one that is not over.
    steps = (now - span).timestamp() // step.total_seconds() + 1
    since = datetime.fromtimestamp(steps * step.total_seconds(), UTC)
    everything = request.query_params.get("count") == "everything"
    return _Wanted(found.without(*_TIMES), period, SeriesBy(by), since, now, everything)


def _refused(request: Request, written: str, fault: str) -> Response:
    return page(
        "dashboard.html",
        status=400,
        written=present.visible(written),
        fault=present.visible(fault),
        period=_DEFAULT,
        periods=[(name, label, f"/dashboard?period={name}") for name, (label, _, _) in PERIODS.items()],
        by=SeriesBy.MODEL.value,
        groupings=[],
        tiles=[],
        lines=[],
        points=[],
        series=None,
        counted_since=None,
        lines_since=None,
        everything=None,
        empty=True,
    )


def _tiles(now: Measured, then: Measured, wanted: _Wanted) -> list[dict[str, object]]:
    """The numbers at the top, each with what it was before."""
    whole = wanted.calls_between(wanted.since, wanted.until)
    failed = wanted.calls_between(wanted.since, wanted.until, ("status", "failed"))
    slowest = None if now.latency_s is None else now.latency_s.p95
    slow = (
        whole if slowest is None else wanted.calls_between(wanted.since, wanted.until, ("latency", f">={slowest:.3f}s"))
    )
    speed = _p(now.tokens_per_s, "p50")
    rate, rate_then = (_share(one.failed, one.calls) for one in (now, then))
    return [
        _tile("Calls", present.count(now.calls), now.calls, then.calls, whole),
        _tile("Failed", f"{present.count(now.failed)} · {_percent(rate)}", rate, rate_then, failed, less_is_more=True),
        *_timed("Latency", now.latency_s, then.latency_s, slow),
        *_timed("First token", now.ttft_s, then.ttft_s, whole),
        _tile("Tokens/s", _one(speed), speed, _p(then.tokens_per_s, "p50"), whole),
        _tile("Tokens in", _short(now.input_tokens), now.input_tokens, then.input_tokens, whole),
        _tile("Tokens out", _short(now.output_tokens), now.output_tokens, then.output_tokens, whole),
        _tile("Cost", _cost(now), _float(now.cost_usd), _float(then.cost_usd), whole),
        *_timed("Our own part", now.overhead_s, then.overhead_s, whole),
    ]


def _timed(name: str, now: Percentiles | None, then: Percentiles | None, leads_to: str) -> list[dict[str, object]]:
    return [
        _tile(
            f"{name} {p}",
            present.duration(_p(now, p)),
            _p(now, p),
            _p(then, p),
            leads_to,
            less_is_more=True,
        )
        for p in (("p50", "p95", "p99") if name == "Latency" else ("p50", "p95"))
    ]


def _tile(
    label: str,
    value: str,
    now: float | None,
    then: float | None,
    leads_to: str,
    *,
    less_is_more: bool = False,
) -> dict[str, object]:
    change = None if now is None or not then else now / then - 1
    shown = "" if change is None else f"{change:+.0%}" if abs(change) < 10 else f"{1 + change:.0f} times"
    # Neither good nor bad unless it fails or waits more: more calls may be what is wanted.
    kind = "" if change is None or not less_is_more or abs(change) < 0.05 else "worse" if change > 0 else "better"
    return {"label": label, "value": value, "change": shown, "kind": kind, "href": leads_to}


def _row(line: Line, wanted: _Wanted, whole: Measured) -> dict[str, object]:
    total = line.total
    leads_to = (
        None
        if line.of is None or not line.of
        else wanted.calls_between(wanted.since, wanted.until, (wanted.by.value, line.of))
    )
    return {
        "name": _NONE[wanted.by] if line.of is None else present.visible(line.of) or "“”",
        "href": leads_to,
        "calls": present.count(total.calls),
        "share": round(100 * (_share(total.calls, whole.calls) or 0)),
        "failed": _percent(_share(total.failed, total.calls)),
        "p50": present.duration(_p(total.latency_s, "p50")),
        "p95": present.duration(_p(total.latency_s, "p95")),
        "ttft": present.duration(_p(total.ttft_s, "p50")),
        "speed": _one(_p(total.tokens_per_s, "p50")),
        "input": _short(total.input_tokens),
        "output": _short(total.output_tokens),
        "cost": _cost(total),
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else present.time(at)


def _told(point: Point, measured: Measured, wanted: _Wanted) -> dict[str, object]:
    return {
        "time": present.time(point.since),
        "href": _href(point, wanted),
        "calls": present.count(measured.calls),
        "failed": present.count(measured.failed),
        "p95": present.duration(_p(measured.latency_s, "p95")),
        "cost": _cost(measured),
    }


def _href(point: Point, wanted: _Wanted) -> str:
    return wanted.calls_between(point.since, point.since + wanted.step)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _p(of: Percentiles | None, name: str) -> float | None:
    return None if of is None else float(getattr(of, name))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _percent(share: float | None) -> str:
    if share is None:
        return present.DASH
    return f"{100 * share:.2g} %" if 0 < share < 0.1 else f"{100 * share:.0f} %"


def _one(value: float | None) -> str:
    return present.DASH if value is None else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _short(number: int | None) -> str:
    """``812``, ``12.3 k``, ``4.5 M``."""
    if number is None or number < 10_000:
        return present.count(number)
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= size:
            return f"{number / size:.1f} {unit}"
    raise AssertionError("no number is between")


def _cost(measured: Measured) -> str:
    amount = measured.cost_usd
    if amount is None:
        return present.DASH
    digits = present.dollars_about(amount)
    return f"{digits} or more" if measured.calls_without_cost else digits


def _float(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)
