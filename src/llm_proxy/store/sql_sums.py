"""Sums of whole hours, so that numbers over weeks are not made of every call again (measures.py).

With each sum stands what its hour held when it was made: how many calls, and the newest change among them. Both are
read from an index in a moment; where they are others by now, since something was written, written again or deleted, the
sum does not count, and the calls of that hour are read. So a sum may be late or missing, but never wrong.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import BigInteger, Column, Connection, LargeBinary, Table, Text, delete, func, insert, select

from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.measures import Measures, packed, unpacked
from llm_proxy.store.rows import from_micros, storable, to_micros
from llm_proxy.store.sql import completions, metadata
from llm_proxy.store.sql_accounts import organizations
from llm_proxy.store.sql_calls import MICROSECOND, Sums, calls_by_step, merge, together
from llm_proxy.store.sql_store import SqlStore

HOUR_US = 3_600_000_000
#: Stands for what is unknown; no text in the tables is that, since it is escaped.
_UNKNOWN = "\x1a"
#: Of all calls together.
_ALL = ""
#: Hours that are summed up in one step.
_AT_ONCE = 12
#: Values of one statement.
_ASKED_AT_ONCE = 500

hour_sums = Table(
    "hour_sums",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("by", Text, primary_key=True),
    Column("at_us", BigInteger, primary_key=True),
    Column("of", Text, primary_key=True),
    # What the hour held.
    Column("held", BigInteger, nullable=False),
    Column("last_change", BigInteger, nullable=False),
    # What of it is in this sum.
    Column("calls", BigInteger, nullable=False),
    Column("measures", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

#: By hour: how many calls there are, and the newest change.
_Held = dict[int, tuple[int, int]]
#: Hours, and the rows that say what they hold.
_Made = tuple[list[int], list[dict[str, object]]]


def summed(connection: Connection, query: SeriesQuery) -> tuple[Sums, Sums]:
    """The calls of the query by step: all together, and told apart; from sums where there are, or one by one."""
    since, until = to_micros(query.since), to_micros(query.until)
    first, end = -(-since // HOUR_US) * HOUR_US, until // HOUR_US * HOUR_US
    if first >= end or query.step // MICROSECOND % HOUR_US or not _is_of_all(query.calls):
        return _read(connection, query, [(since, until)])
    owner = storable(query.calls.organization_id)
    now, then = _held(connection, owner, first, end), _summed_up(connection, owner, first, end)
    missing = sorted(at for at in now if then.get(at) != now[at])
    known = sorted(now.keys() - set(missing))
    times = [(start, stop) for start, stop in [(since, first), *_runs(missing), (end, until)] if start < stop]
    whole, parts = _read(connection, query, times)
    for some in _some(known):
        merge(whole, _kept(connection, owner, query, some, None))
    if query.by is None:
        return whole, {}
    names = _largest(connection, owner, query, parts)
    chosen = {of: line for of, line in parts.items() if _name(of) in names}
    for some in _some(known):
        merge(chosen, _kept(connection, owner, query, some, names))
    return whole, chosen


def _read(connection: Connection, query: SeriesQuery, times: Sequence[tuple[int, int]]) -> tuple[Sums, Sums]:
    """The calls of these times, one by one: all together, and told apart."""
    whole: Sums = {}
    parts: Sums = {}
    for start, stop in times:
        part = replace(query, since=from_micros(start), until=from_micros(stop))
        if query.by in (None, SeriesBy.TAG):
            # With several tags, or none, a call is in several lines, or one.
            merge(whole, calls_by_step(connection, part, None))
        if query.by is not None:
            found = calls_by_step(connection, part, query.by)
            merge(parts, found)
            if query.by is not SeriesBy.TAG:
                merge(whole, together(found))
    return whole, parts


class SumsKeeper:
    """Makes the sums of ``store``, beside the writing."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def step(self, *, until_us: int) -> int:
        """Sum some hours up that end by then and have changed, the newest first; how many there were."""
        nobody: list[str] = []
        nothing: _Made = ([], [])
        for owner in await self._store.reading(_owners, otherwise=nobody):
            stale, made = await self._store.reading(partial(_made, owner=owner, until_us=until_us), otherwise=nothing)
            if stale:
                await self._store.writing(partial(_keep, owner=owner, hours=stale, rows=made))
                return len(stale)
        return 0


def _owners(connection: Connection) -> list[str]:
    return list(connection.execute(select(organizations.c.id)).scalars())


def _is_of_all(calls: CompletionQuery) -> bool:
    return calls == CompletionQuery(organization_id=calls.organization_id, limit=calls.limit)


def _held(connection: Connection, owner: str, first: int, end: int) -> _Held:
    time = completions.c.started_at_us
    hour = (time // HOUR_US).label("hour")
    rows = select(hour, func.count(), func.max(completions.c.change))
    rows = rows.where(completions.c.organization_id == owner, time >= first, time < end).group_by(hour)
    return {int(at) * HOUR_US: (count, change) for at, count, change in connection.execute(rows)}


def _summed_up(connection: Connection, owner: str, first: int, end: int) -> _Held:
    sums = hour_sums.c
    rows = select(sums.at_us, sums.held, sums.last_change)
    rows = rows.where(sums.organization_id == owner, sums.by == _ALL, sums.at_us >= first, sums.at_us < end)
    return {at: (held, change) for at, held, change in connection.execute(rows)}


def _kept(
    connection: Connection, owner: str, query: SeriesQuery, hours: Sequence[int], names: Sequence[str] | None
) -> Sums:
    """The sums of these hours: of all calls or, by ``names``, of some of what they are told apart by."""
    sums, of, step_us = hour_sums.c, hour_sums.c.of, query.step // MICROSECOND
    rows = select(of, sums.at_us, sums.measures).where(sums.organization_id == owner, sums.at_us.in_(hours))
    if names is None or query.by is None:
        rows = rows.where(sums.by == _ALL)
    else:
        rows = rows.where(sums.by == query.by.value, of.in_(names))
    found: Sums = {}
    for name, at, measures in connection.execute(rows):
        line = found.setdefault(None if name == _UNKNOWN or names is None else name, {})
        line.setdefault(at // step_us * step_us, Measures()).add(unpacked(bytes(measures)))
    return found


def _largest(connection: Connection, owner: str, query: SeriesQuery, read: Sums) -> list[str]:
    """Which may be those of the most calls: twice as many as are shown, by what is summed up and by what is not."""
    sums, of, by = hour_sums.c, hour_sums.c.of, query.by or SeriesBy.MODEL
    rows = select(of).where(
        sums.organization_id == owner,
        sums.by == by.value,
        sums.at_us >= to_micros(query.since),
        sums.at_us < to_micros(query.until),
    )
    rows = rows.group_by(of).order_by(func.sum(sums.calls).desc(), of).limit(2 * query.limit)
    counted = sorted((-sum(one.calls for one in line.values()), _name(of)) for of, line in read.items())
    return list({*connection.execute(rows).scalars(), *(name for _, name in counted[: 2 * query.limit])})


def _name(of: str | None) -> str:
    return _UNKNOWN if of is None else of


def _some(hours: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(hours), _ASKED_AT_ONCE):
        yield hours[start : start + _ASKED_AT_ONCE]


def _runs(hours: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Hours side by side as one time."""
    start = stop = 0
    for at in hours:
        if at != stop:
            if stop:
                yield start, stop
            start = at
        stop = at + HOUR_US
    if stop:
        yield start, stop


def _stale(connection: Connection, owner: str, until_us: int) -> list[int]:
    end = until_us // HOUR_US * HOUR_US
    now, then = _held(connection, owner, 0, end), _summed_up(connection, owner, 0, end)
    changed = [at for at in now.keys() | then.keys() if now.get(at) != then.get(at)]
    return sorted(changed, reverse=True)[:_AT_ONCE]


def _made(connection: Connection, owner: str, until_us: int) -> _Made:
    """Some hours that have changed, and their rows."""
    rows: list[dict[str, object]] = []
    hours = _stale(connection, owner, until_us)
    for at in hours:
        held = _held(connection, owner, at, at + HOUR_US).get(at)
        if held is None:
            continue
        query = SeriesQuery(
            calls=CompletionQuery(organization_id=owner),
            since=from_micros(at),
            until=from_micros(at + HOUR_US),
            step=HOUR_US * MICROSECOND,
        )
        for by, sums in _every_way(connection, query):
            for of, line in sums.items():
                rows += [
                    {
                        "organization_id": owner,
                        "by": _ALL if by is None else by.value,
                        "at_us": at,
                        "of": _name(of),
                        "held": held[0],
                        "last_change": held[1],
                        "calls": measures.calls,
                        "measures": packed(measures),
                    }
                    for measures in line.values()
                ]
    return hours, rows


def _every_way(connection: Connection, query: SeriesQuery) -> Iterator[tuple[SeriesBy | None, Sums]]:
    for by in SeriesBy:
        sums = calls_by_step(connection, query, by)
        yield by, sums
        if by is SeriesBy.MODEL:  # each call is in one line
            yield None, together(sums)


def _keep(connection: Connection, owner: str, hours: Sequence[int], rows: Sequence[dict[str, object]]) -> None:
    connection.execute(delete(hour_sums).where(hour_sums.c.organization_id == owner, hour_sums.c.at_us.in_(hours)))
    if rows:
        connection.execute(insert(hour_sums), list(rows))
