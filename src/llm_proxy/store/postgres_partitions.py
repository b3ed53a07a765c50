"""The parts of the three tables of records, one for each month, by the time that an id begins with (UUIDv7).

Made ahead by whoever writes first. What has an id of another kind is in the part for all others or, by chance, in one
of a month; either is as good, since no query relies on it. A part that has become empty is dropped, and its space is
the disk's again.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

TABLES = {"completions": "id", "completion_tags": "completion_id", "completion_bodies": "completion_id"}
#: Key of an advisory lock: one at a time makes or drops parts.
_PARTS = 0x6C6C6D70_00000002
#: The first 48 bits of a UUIDv7 are milliseconds since 1970 (RFC 9562 section 5.7).
_TIME = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-.*", re.DOTALL)
#: Before that there was nothing to record, and so far a clock may be ahead.
_FIRST = datetime(2020, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(days=32)
_PART_NAME = re.compile(r"_([0-9]{4})_([0-9]{2})$")
#: How long to wait for who still reads a part that is to be dropped, since others then wait, too.
_DROP_TIMEOUT = "1s"
_PARTS_OF = """
    SELECT inhparent::regclass::text, inhrelid::regclass::text FROM pg_inherits
    WHERE inhparent = ANY(%s::regclass[]) ORDER BY 2
"""
# From the tables of the catalogue: to_regclass() may answer from what this connection remembers.
_NAMES = """
    SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = ANY(%s::regclass[])
"""

Month = tuple[int, int]
Connection = psycopg.Connection[tuple[Any, ...]]


def month_of(record_id: str, now: datetime) -> Month | None:
    """The month that an id begins with; None if it is of another kind, or of a time that cannot be."""
    found = _TIME.match(record_id)
    if found is None:
        return None
    try:
        time = datetime.fromtimestamp(int(found[1] + found[2], 16) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return (time.year, time.month) if _FIRST <= time < now + _AHEAD else None


def months_needed(ids: Iterable[str], now: datetime) -> set[Month]:
    """Those of the ids, this one and the next one."""
    ahead = {(time.year, time.month) for time in (now, now.replace(day=1) + _AHEAD)}
    return ahead | {month for one in ids if (month := month_of(one, now)) is not None}


def make_parts(connection: Connection, months: Iterable[Month]) -> None:
    """Make the parts of these months that are not there yet."""
    for month in sorted(months):
        if not _missing(connection, month):
            continue
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PARTS,))
            for table in _missing(connection, month):
                _make_part(connection, table, TABLES[table], month)


def drop_empty_parts(connection: Connection, now: datetime) -> list[str]:
    """Drop the parts of past months that have become empty; their names."""
    found = connection.execute(_PARTS_OF, (list(TABLES),)).fetchall()
    dropped = []
    for table, name in found:
        month = _PART_NAME.search(name)
        is_past = month is not None and (int(month[1]), int(month[2])) < (now.year, now.month)
        if is_past and _drop_if_empty(connection, table, name):
            dropped.append(name)
    return dropped


def _missing(connection: Connection, month: Month) -> list[str]:
    """The tables that lack the part of this month."""
    there = {name for (name,) in connection.execute(_NAMES, (list(TABLES),)).fetchall()}
    return [table for table in TABLES if _name(table, month) not in there]


def _make_part(connection: Connection, table: str, key: str, month: Month) -> None:
    names = {
        "table": sql.Identifier(table),
        "rest": sql.Identifier(f"{table}_default"),
        "part": sql.Identifier(_name(table, month)),
        "key": sql.Identifier(key),
        "first": sql.Literal(_first_id(month)),
        "end": sql.Literal(_first_id(_next(month))),
    }
    # What came before its part did is with all others, and a part is not taken while its rows are elsewhere.
    for statement in (
        "CREATE TABLE IF NOT EXISTS {part} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE)",
        "WITH moved AS (DELETE FROM {rest} WHERE {key} >= {first} AND {key} < {end} RETURNING *)"
        " INSERT INTO {part} SELECT * FROM moved",
        "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({first}) TO ({end})",
    ):
        connection.execute(sql.SQL(statement).format(**names))


def _drop_if_empty(connection: Connection, table: str, name: str) -> bool:
    names = {"table": sql.SQL(table), "part": sql.SQL(name)}
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_PARTS,))
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(_DROP_TIMEOUT))
            # The whole table first, as whoever reads does, or each could wait for the other.
            connection.execute(sql.SQL("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE").format(**names))
            connection.execute(sql.SQL("LOCK TABLE {part} IN ACCESS EXCLUSIVE MODE").format(**names))
            if connection.execute(sql.SQL("SELECT FROM {part} LIMIT 1").format(**names)).fetchone() is not None:
                return False
            connection.execute(sql.SQL("DROP TABLE {part}").format(**names))
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable):
        return False  # it is being read, or another one was faster: the next time will do
    return True


def _name(table: str, month: Month) -> str:
    return f"{table}_{month[0]:04}_{month[1]:02}"


def _next(month: Month) -> Month:
    return (month[0] + 1, 1) if month[1] == 12 else (month[0], month[1] + 1)


def _first_id(month: Month) -> str:
    """The smallest id of a month, as text."""
    digits = f"{int(datetime(*month, 1, tzinfo=UTC).timestamp() * 1000):012x}"
    return f"{digits[:8]}-{digits[8:]}"
