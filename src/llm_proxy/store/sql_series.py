"""How calls went over a time, from the tables of a SqlStore, be it SQLite or PostgreSQL.

What sums of hours and days can tell (sql_sums.py) is taken from these, and the rest from the calls themselves, the
newest first (sql_calls.py). Where that takes too long, what is older counts nowhere, so that all numbers are of the
same calls.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, select

from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import Line, Measured, Point, Series, SeriesBy, SeriesQuery
from llm_proxy.store.measures import Measures
from llm_proxy.store.rows import from_micros, restored, storable, to_micros
from llm_proxy.store.sql import completions
from llm_proxy.store.sql_calls import (
    MICROSECOND,
    Patience,
    Stretch,
    Sums,
    Which,
    calls_by_step,
    merge,
    newest_first,
    together,
)
from llm_proxy.store.sql_hours import HOUR_US, hours
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_sums import ALL, DAY_US, Kept, Parts, kept_as, summed_days, sums_by_hour


class SqlSeries:
    """See ``Statistics``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def series(self, query: SeriesQuery) -> Series:
        """How the calls went, all together and told apart."""
        nothing = Series(total=Measured(), points=tuple(_points(query, {}, None)))
        return await self._store.reading(lambda connection: _series(connection, query), otherwise=nothing)


def narrowed(calls: CompletionQuery, since: int, until: int) -> tuple[CompletionQuery, int, int]:
    """The same calls without times of their own, and the time within which they are, in microseconds."""
    since = since if calls.since is None else max(since, to_micros(calls.since))
    until = until if calls.until is None else min(until, to_micros(calls.until))
    return replace(calls, since=None, until=None), since, max(since, until)


@dataclass(slots=True)
class Covered:
    """What of a time sums tell, and what is to be read."""

    #: Hours of which the sums count; what is not in them is to be read as well.
    summed: list[int] = field(default_factory=list)
    #: The days of which all hours are among these, and which have sums of their own.
    days: list[int] = field(default_factory=list)
    #: None of them is in another.
    stretches: list[Stretch] = field(default_factory=list)

    def since(self, reached: int | None) -> "Covered":
        """The same without what is older."""
        at_least = -math.inf if reached is None else reached
        return Covered(
            summed=[hour for hour in self.summed if hour >= at_least],
            days=[day for day in self.days if day >= at_least],
        )

    @property
    def hours_beside(self) -> list[int]:
        """The hours that are in none of the days."""
        days = set(self.days)
        return [hour for hour in self.summed if hour // DAY_US * DAY_US not in days]


def covered(connection: Connection, calls: CompletionQuery, kept: Kept | None, since: int, until: int) -> Covered:
    """What the sums of these calls tell of this time."""
    whole = Covered(stretches=[Stretch(since, until)])
    if kept is None:
        return whole
    owner = storable(calls.organization_id)
    first, end = -(-since // HOUR_US) * HOUR_US, until // HOUR_US * HOUR_US
    if end < until and _is_empty(connection, owner, until, end + HOUR_US):
        end += HOUR_US  # the hour that is running
    if first >= end:
        return whole
    found = hours(connection, owner, first, end)
    missing = [hour.at_us for hour in found if not hour.summed_to]
    times = [(since, first), *_runs(missing), (end, until)]
    answered = (Which(only_answered=True),) if kept.by == SeriesBy.MODEL else ()
    stretches = [Stretch(start, stop) for start, stop in times if start < stop]
    for hour in found:
        if hour.summed_to and not hour.is_summed_up:
            # All of it or nothing, since its sums are of all of it.
            news = Which(after=hour.summed_to, newest=hour.newest)
            stretches.append(Stretch(hour.at_us, hour.at_us + HOUR_US, (news, *answered), grain_us=HOUR_US))
    if answered:
        complete = [hour.at_us for hour in found if hour.summed_to and hour.is_summed_up]
        stretches += [Stretch(start, stop, answered, grain_us=HOUR_US) for start, stop in _runs(complete)]
    days = summed_days(connection, owner, -(-first // DAY_US) * DAY_US, end, found)
    return Covered(summed=[hour.at_us for hour in found if hour.summed_to], days=days, stretches=stretches)


def _series(connection: Connection, query: SeriesQuery) -> Series:
    patience, asked = Patience(query.patience_s), query
    calls, since, until = narrowed(query.calls, to_micros(query.since), to_micros(query.until))
    query = replace(query, calls=calls)
    owner, step_us = storable(calls.organization_id), query.step // MICROSECOND
    kept = None if step_us % HOUR_US else kept_as(calls)
    known = covered(connection, calls, kept, since, until)
    sums_tell_apart = kept is not None and kept.by in (ALL, query.by) and kept.by != SeriesBy.TAG
    by = query.by if kept is None or sums_tell_apart else None
    whole, parts, reached = _read(connection, query, by, known.stretches, patience)
    lines, lines_reached, known = _totals(parts), reached, known.since(reached)
    if kept is not None:
        for at, measures in sums_by_hour(connection, owner, kept, known.summed).items():
            merge(whole, {None: {at // step_us * step_us: measures}})
        if query.by is not None and sums_tell_apart:
            sums = Parts(connection, owner, query.by, kept, known.hours_beside, known.days)
            lines = _largest(sums, lines, query.limit)
        elif query.by is not None:
            _, parts, lines_reached = _read(connection, query, query.by, [Stretch(since, until)], patience)
            lines = _totals(parts)
    return _told(asked, whole, lines, reached, lines_reached)


def _read(
    connection: Connection, query: SeriesQuery, by: SeriesBy | None, stretches: Sequence[Stretch], patience: Patience
) -> tuple[Sums, Sums, int | None]:
    """These calls, one by one: all together, told apart, and how far back they were read, None if to the end."""
    whole: Sums = {}
    parts: Sums = {}

    def read(stretch: Stretch, limit: Patience) -> bool:
        # With several tags, or none, a call is in several lines, or one.
        alone = calls_by_step(connection, query, None, stretch, limit) if by in (None, SeriesBy.TAG) else {}
        apart = {} if by is None else calls_by_step(connection, query, by, stretch, limit)
        if alone is None or apart is None:
            return False
        merge(whole, alone or together(apart))
        merge(parts, apart)
        return True

    reached = newest_first(stretches, read, patience)
    return whole, parts, reached


def _largest(lines: Parts, read: dict[str | None, Measures], limit: int) -> dict[str | None, Measures]:
    """Those of the most calls, by the sums and by what was read."""
    calls = lines.calls()
    for of, measures in read.items():
        calls[of] = calls.get(of, 0) + measures.calls
    chosen = sorted(calls, key=lambda of: (-calls[of], of or ""))[:limit]
    found = lines.measures(chosen)
    for of in chosen:
        if of in read:
            found.setdefault(of, Measures()).add(read[of])
    return found


def _totals(parts: Sums) -> dict[str | None, Measures]:
    return {of: _total(line) for of, line in parts.items()}


def _total(line: dict[int, Measures]) -> Measures:
    total = Measures()
    for measures in line.values():
        total.add(measures)
    return total


def _told(
    query: SeriesQuery, whole: Sums, parts: dict[str | None, Measures], reached: int | None, lines_reached: int | None
) -> Series:
    chosen = sorted(parts.items(), key=lambda part: (-part[1].calls, part[0] or ""))[: query.limit]
    line = whole.get(None, {})
    return Series(
        total=_total(line).measured(),
        points=tuple(_points(query, line, reached)),
        counted_since=None if reached is None else from_micros(reached),
        lines=tuple(Line(of=None if of is None else restored(of), total=sums.measured()) for of, sums in chosen),
        lines_since=None if lines_reached is None else from_micros(lines_reached),
    )


def _points(query: SeriesQuery, line: dict[int, Measures], reached: int | None) -> Iterator[Point]:
    """Each point of the time."""
    step_us, nothing = query.step // MICROSECOND, Measured()
    for at in range(to_micros(query.since) // step_us * step_us, to_micros(query.until), step_us):
        measured = line[at].measured() if at in line else nothing
        yield Point(since=from_micros(at), measured=measured if reached is None or at >= reached else None)


def _is_empty(connection: Connection, owner: str, since: int, until: int) -> bool:
    at = completions.c.started_at_us
    some = select(at).where(completions.c.organization_id == owner, at >= since, at < until).limit(1)
    return connection.execute(some).first() is None


def _runs(times: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Hours side by side as one time."""
    start = stop = 0
    for at in times:
        if at != stop:
            if stop:
                yield start, stop
            start = at
        stop = at + HOUR_US
    if stop:
        yield start, stop
