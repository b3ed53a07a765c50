"""Makes the sums of hours and days (sql_sums.py), beside the writing.

An hour to which calls have only come is not read again: they are added to its sums. What is written in the meantime is
found by sql_hours.py, and the hour is then summed up once more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy import Connection, delete, exists, func, insert, select, update

from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.measures import Measures, packed, unpacked
from llm_proxy.store.rows import from_micros, restored
from llm_proxy.store.sql_calls import MICROSECOND, Stretch, Which, calls_by_step, together
from llm_proxy.store.sql_hours import HOUR_US, Hour, hours, summed_hours
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_sums import ALL, DAY_US, day_sums, hour_sums, name

#: Hours that are summed up in one step.
_AT_ONCE = 12
#: Values of one statement.
_ASKED_AT_ONCE = 500

#: By what they are told apart by, and its value.
_Sums = dict[tuple[str, str], Measures]


@dataclass(slots=True)
class _Made:
    """New sums of an hour, or of a day, and of what they were made."""

    owner: str
    at_us: int
    of: list[Hour]
    sums: _Sums = field(default_factory=dict)


class SumsKeeper:
    """Keeps the sums of ``store``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def step(self, *, until_us: int) -> int:
        """Sum up some hours that begin before then and have changed, newest first, or a day; how many there were."""
        nothing: list[_Made] = []
        made = await self._store.reading(lambda connection: _hours_made(connection, until_us), otherwise=nothing)
        if made:
            await self._store.writing(partial(_keep, each=_keep_hour, made=made))
            return len(made)
        made = await self._store.reading(lambda connection: _days_made(connection, until_us), otherwise=nothing)
        if made:
            await self._store.writing(partial(_keep, each=_keep_day, made=made))
        return len(made)


def _hours_made(connection: Connection, until_us: int) -> list[_Made]:
    table = summed_hours.c
    stale = select(table.organization_id, table.at_us, table.newest, table.summed_to, table.removals)
    stale = stale.where(table.newest > table.summed_to, table.at_us < until_us)
    stale = stale.order_by(table.at_us.desc(), table.organization_id).limit(_AT_ONCE)
    return [_hour_made(connection, owner, Hour(*hour)) for owner, *hour in connection.execute(stale).all()]


def _hour_made(connection: Connection, owner: str, hour: Hour) -> _Made:
    made = _Made(owner, hour.at_us, [hour])
    query = SeriesQuery(
        calls=CompletionQuery(organization_id=restored(owner)),
        since=from_micros(hour.at_us),
        until=from_micros(hour.at_us + HOUR_US),
        step=HOUR_US * MICROSECOND,
    )
    new = Which(after=hour.summed_to, newest=hour.newest)
    stretch = Stretch(hour.at_us, hour.at_us + HOUR_US, (new,))
    for by in SeriesBy:
        found = calls_by_step(connection, query, by, stretch) or {}
        if by is SeriesBy.MODEL:  # each call is in one line
            made.sums.update(((ALL, name(None)), line) for at in together(found).values() for line in at.values())
        made.sums |= {(by.value, name(of)): line for of, at in found.items() for line in at.values()}
    if hour.summed_to:
        for (by_name, of_name), measures in _sums(connection, owner, [hour.at_us]):
            if (by_name, of_name) in made.sums:
                made.sums[by_name, of_name].add(measures)
    return made


def _days_made(connection: Connection, until_us: int) -> list[_Made]:
    """The newest day that is over, of which all hours are summed up, and which is not."""
    table = summed_hours.c
    day = (table.at_us // DAY_US * DAY_US).label("day")
    kept = day_sums.c.organization_id == table.organization_id, day_sums.c.by == ALL, day_sums.c.at_us == day
    lacking = select(table.organization_id, day).where(
        table.at_us >= 0, table.at_us < until_us // DAY_US * DAY_US, ~exists().where(*kept)
    )
    lacking = lacking.group_by(table.organization_id, day).having(func.max(table.newest - table.summed_to) <= 0)
    for owner, at in connection.execute(lacking.order_by(day.desc(), table.organization_id).limit(1)).all():
        made = _Made(
            owner, int(at), hours(connection, owner, int(at), int(at) + DAY_US), {(ALL, name(None)): Measures()}
        )
        for key, measures in _sums(connection, owner, [hour.at_us for hour in made.of]):
            made.sums.setdefault(key, Measures()).add(measures)
        return [made]
    return []


def _sums(connection: Connection, owner: str, at_us: Sequence[int]) -> Iterator[tuple[tuple[str, str], Measures]]:
    table = hour_sums.c
    for by in (ALL, *SeriesBy):
        rows = select(table.of, table.measures)
        rows = rows.where(table.organization_id == owner, table.by == str(by), table.at_us.in_(at_us))
        for of, measures in connection.execute(rows):
            yield (str(by), of), unpacked(bytes(measures))


def _keep(connection: Connection, each: Callable[[Connection, _Made], None], made: Sequence[_Made]) -> None:
    for one in sorted(made, key=lambda one: (one.owner, one.at_us)):  # as those who write calls do
        each(connection, one)


def _keep_hour(connection: Connection, made: _Made) -> None:
    """Put the sums in place of those that are there, unless something that is in them has gone in the meantime."""
    (seen,) = made.of
    table = summed_hours.c
    unchanged = table.summed_to == seen.summed_to, table.removals == seen.removals
    reached = update(summed_hours).values(summed_to=seen.newest)
    reached = reached.where(table.organization_id == made.owner, table.at_us == made.at_us, *unchanged)
    if not connection.execute(reached).rowcount:
        return
    there = hour_sums.c.organization_id == made.owner, hour_sums.c.at_us == made.at_us
    day = day_sums.c.organization_id == made.owner, day_sums.c.at_us == made.at_us // DAY_US * DAY_US
    for by in (ALL, *SeriesBy):
        if seen.summed_to:  # others have no call that is new
            of = [of for by_name, of in made.sums if by_name == str(by)]
            for start in range(0, len(of), _ASKED_AT_ONCE):
                some = hour_sums.c.of.in_(of[start : start + _ASKED_AT_ONCE])
                connection.execute(delete(hour_sums).where(*there, hour_sums.c.by == str(by), some))
        else:
            connection.execute(delete(hour_sums).where(*there, hour_sums.c.by == str(by)))
        connection.execute(delete(day_sums).where(*day, day_sums.c.by == str(by)))
    if made.sums:
        connection.execute(insert(hour_sums), list(_rows(made)))


def _keep_day(connection: Connection, made: _Made) -> None:
    """Keep the sums unless those that they were made of are others by now."""
    locked = select(summed_hours.c.at_us).where(summed_hours.c.organization_id == made.owner)
    locked = locked.where(summed_hours.c.at_us >= made.at_us, summed_hours.c.at_us < made.at_us + DAY_US)
    connection.execute(locked.order_by(summed_hours.c.at_us).with_for_update()).all()
    if hours(connection, made.owner, made.at_us, made.at_us + DAY_US) != made.of:
        return
    for by in (ALL, *SeriesBy):
        of_day = day_sums.c.organization_id == made.owner, day_sums.c.by == str(by), day_sums.c.at_us == made.at_us
        connection.execute(delete(day_sums).where(*of_day))
    connection.execute(insert(day_sums), list(_rows(made)))


def _rows(made: _Made) -> Iterator[dict[str, object]]:
    for (by, of), measures in made.sums.items():
        yield {
            "organization_id": made.owner,
            "by": by,
            "at_us": made.at_us,
            "of": of,
            "calls": measures.calls,
            "measures": packed(measures),
        }
