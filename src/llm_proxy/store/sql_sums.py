"""Sums of whole hours and days, so that numbers over weeks are not made of every call again (measures.py).

sql_hours.py says which hours have calls that are not in their sums; these are to be read. So a sum may be late or
missing, but never wrong. The sum of a day is made of those of its hours, and counts as long as all of these do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import BigInteger, Column, ColumnElement, Connection, LargeBinary, Table, Text, and_, func, select

from llm_proxy.model.query import Attribute, Comparison, CompletionQuery
from llm_proxy.model.series import SeriesBy
from llm_proxy.store.measures import Measures, unpacked
from llm_proxy.store.rows import storable
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_hours import HOUR_US, Hour

DAY_US = 24 * HOUR_US
#: Stands for what is unknown; no text in the tables is that, since it is escaped.
_UNKNOWN = "\x1a"
#: Of all calls together.
ALL = ""
#: Values of one statement.
_ASKED_AT_ONCE = 500
_BY_CONDITION = {Attribute.PROVIDER: SeriesBy.PROVIDER, Attribute.KEY: SeriesBy.KEY}


def _sums(name: str) -> Table:
    return Table(
        name,
        metadata,
        Column("organization_id", Text, primary_key=True),
        Column("by", Text, primary_key=True),
        Column("at_us", BigInteger, primary_key=True),
        Column("of", Text, primary_key=True),
        Column("calls", BigInteger, nullable=False),
        Column("measures", LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


hour_sums = _sums("hour_sums")
day_sums = _sums("day_sums")


@dataclass(frozen=True, slots=True)
class Kept:
    """Which sums are those of the calls that somebody asks for."""

    by: str = ALL
    of: str = _UNKNOWN
    #: ``of`` is but the end of it, as keys are asked for.
    is_end: bool = False

    def where(self, of: ColumnElement[str]) -> ColumnElement[bool]:
        """What holds for the rows of one of the tables, besides ``by``."""
        if not self.is_end:
            return of == self.of
        end = func.substr(of, func.length(of) - len(self.of) + 1)
        return and_(of != _UNKNOWN, func.length(of) >= len(self.of), end == self.of)


def kept_as(calls: CompletionQuery) -> Kept | None:
    """The sums of these calls; None if only the calls themselves can tell.

    Of a model: of the calls that asked for it. Those that it answered without are not in the sums.
    """
    plain = CompletionQuery(organization_id=calls.organization_id, limit=calls.limit)
    if calls == plain:
        return Kept()
    if calls.model is not None and replace(calls, model=None) == plain:
        return Kept(SeriesBy.MODEL, storable(calls.model))
    if calls.user_id is not None and replace(calls, user_id=None) == plain:
        return Kept(SeriesBy.USER, storable(calls.user_id))
    if len(calls.tags) == 1 and replace(calls, tags=()) == plain:
        return Kept(SeriesBy.TAG, storable(calls.tags[0]))
    if len(calls.conditions) == 1 and replace(calls, conditions=()) == plain:
        (condition,) = calls.conditions
        if condition.of in _BY_CONDITION and condition.comparison is Comparison.IS:
            is_end = condition.of is Attribute.KEY
            return Kept(_BY_CONDITION[condition.of], storable(str(condition.value)), is_end)
    return None


def sums_by_hour(connection: Connection, owner: str, kept: Kept, hours: Sequence[int]) -> dict[int, Measures]:
    """The sums of these hours."""
    found: dict[int, Measures] = {}
    for at, _, measures in _read(connection, hour_sums, (owner, kept.by), hours, kept.where(hour_sums.c.of)):
        if at in found:
            found[at].add(measures)
        else:
            found[at] = measures
    return found


class Parts:
    """The sums of some hours and days by what is ``by``; none of the hours is in one of the days."""

    def __init__(
        self, connection: Connection, owner: str, by: SeriesBy, kept: Kept, hours: Sequence[int], days: Sequence[int]
    ) -> None:
        self._connection, self._whose, self._kept = connection, (owner, by.value), kept
        self._times = (hour_sums, hours), (day_sums, days)

    def calls(self) -> dict[str | None, int]:
        """How many there are of each."""
        found: dict[str | None, int] = {}
        for table, times in self._times:
            for some in _some(times):
                rows = select(table.c.of, func.sum(table.c.calls)).where(*_where(table, self._whose, some))
                rows = rows.where(*self._narrowed(table)).group_by(table.c.of)
                for of, calls in self._connection.execute(rows):
                    found[_told(of)] = found.get(_told(of), 0) + int(calls)
        return found

    def measures(self, of: Sequence[str | None]) -> dict[str | None, Measures]:
        """What those took together."""
        found: dict[str | None, Measures] = {}
        for table, times in self._times:
            wanted = and_(table.c.of.in_([name(one) for one in of]), *self._narrowed(table))
            for _, of_row, measures in _read(self._connection, table, self._whose, times, wanted):
                found.setdefault(_told(of_row), Measures()).add(measures)
        return found

    def _narrowed(self, table: Table) -> Iterator[ColumnElement[bool]]:
        if self._kept.by != ALL:
            yield self._kept.where(table.c.of)


def summed_days(connection: Connection, owner: str, since_us: int, until_us: int, hours: Sequence[Hour]) -> list[int]:
    """The days within this time that have a sum which counts."""
    stale = {hour.at_us // DAY_US * DAY_US for hour in hours if not hour.is_summed_up}
    table = day_sums.c
    rows = select(table.at_us).where(table.organization_id == owner, table.by == ALL)
    rows = rows.where(table.at_us >= since_us, table.at_us <= until_us - DAY_US)
    return [at for at in connection.execute(rows).scalars() if at not in stale]


def name(of: str | None) -> str:
    """As it stands in the tables."""
    return _UNKNOWN if of is None else of


def _told(of: str) -> str | None:
    return None if of == _UNKNOWN else of


def _read(
    connection: Connection, table: Table, whose: tuple[str, str], times: Sequence[int], which: ColumnElement[bool]
) -> Iterator[tuple[int, str, Measures]]:
    for some in _some(times):
        rows = select(table.c.at_us, table.c.of, table.c.measures).where(*_where(table, whose, some), which)
        for at, of, measures in connection.execute(rows):
            yield at, of, unpacked(bytes(measures))


def _where(table: Table, whose: tuple[str, str], times: Sequence[int]) -> tuple[ColumnElement[bool], ...]:
    owner, by = whose
    return table.c.organization_id == owner, table.c.by == by, table.c.at_us.in_(times)


def _some(times: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(times), _ASKED_AT_ONCE):
        yield times[start : start + _ASKED_AT_ONCE]
