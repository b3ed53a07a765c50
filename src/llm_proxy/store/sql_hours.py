"""Which hours have calls, and up to which change the sums go (sql_sums.py): kept with every write and deletion.

So who reads sums knows at once what is not in them, and no table of calls is read to find out. A change that is newer
than ``summed_to`` is to be read; where one goes that is not, none of the sums of its hour count any more.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, Column, Connection, Table, Text, select

from llm_proxy.store.rows import Rows
from llm_proxy.store.sql import metadata

HOUR_US = 3_600_000_000

summed_hours = Table(
    "summed_hours",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("at_us", BigInteger, primary_key=True),
    # No call of the hour has a newer change.
    Column("newest", BigInteger, nullable=False),
    # All calls of the hour up to that change are in the sums; 0 if there are none.
    Column("summed_to", BigInteger, nullable=False),
    # How many transactions have removed calls of it.
    Column("removals", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

#: An hour of an organisation.
_Key = tuple[str, int]


class Hour(NamedTuple):
    """What is known of one."""

    at_us: int
    newest: int
    summed_to: int
    removals: int

    @property
    def is_summed_up(self) -> bool:
        """Whether its sums have all of its calls."""
        return self.newest <= self.summed_to


class HourChanges:
    """What one transaction does to hours."""

    def __init__(self) -> None:
        self._removed: dict[_Key, int] = {}
        self._written: set[_Key] = set()

    def remove(self, sizes_of_records: Iterable[Sequence[object]]) -> None:
        """Note that what SIZES_OF_RECORDS (sql_sizes.py) has found goes."""
        for organization_id, _, _, hour, change in sizes_of_records:
            self._removed[str(organization_id), int(str(hour)) * HOUR_US] = int(str(change))

    def write(self, batch: Iterable[Rows]) -> None:
        """Note that these records come."""
        self._written |= {(rows.organization_id, rows.started_at_us // HOUR_US * HOUR_US) for rows in batch}

    def statements(self, placeholder: str, *, newest: int) -> Iterator[tuple[str, tuple[object, ...]]]:
        """What is to be executed, in the order of the hours, so that two writers never wait for each other.

        ``newest`` is the newest change of all.
        """
        for key in sorted(self._removed.keys() | self._written):
            if key in self._removed:
                yield _REMOVE.replace("?", placeholder), (self._removed[key], *key)
            if key in self._written:
                yield _WRITE.replace("?", placeholder), (*key, newest)


_REMOVE = """
    UPDATE summed_hours
    SET removals = removals + 1, summed_to = CASE WHEN summed_to < ? THEN summed_to ELSE 0 END
    WHERE organization_id = ? AND at_us = ?
"""
_WRITE = """
    INSERT INTO summed_hours (organization_id, at_us, newest, summed_to, removals) VALUES (?, ?, ?, 0, 0)
    ON CONFLICT (organization_id, at_us) DO UPDATE SET newest = excluded.newest
"""
NEWEST = "SELECT coalesce(max(change), 0) FROM completions"


def hours(connection: Connection, owner: str, since_us: int, until_us: int) -> list[Hour]:
    """Those that begin in this time and have calls, or had, oldest first."""
    table = summed_hours.c
    rows = select(table.at_us, table.newest, table.summed_to, table.removals).where(
        table.organization_id == owner, table.at_us >= since_us, table.at_us < until_us
    )
    return [Hour(*row) for row in connection.execute(rows.order_by(table.at_us))]
