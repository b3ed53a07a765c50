"""The database of ``llm``, ``logs.db``, of whatever version it is; opened for reading only.

A file that went through several versions has calls in each of their tables, and all of them are read.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from llm_proxy.errors import NotImportable
from llm_proxy.transfer.base import Row
from llm_proxy.transfer.llm_responses import read_old_logs, read_responses
from llm_proxy.transfer.llm_turns import read_turns

#: The tables that have one row a call, newest design first.
_CALLS = ("turns", "responses", "logs")


def read_llm(path: Path) -> Iterator[Row]:
    """The record of each logged response. Raises NotImportable."""
    with closing(_open(path)) as database:
        try:
            tables = _tables(database, path)
            if "logs" in tables:
                yield from read_old_logs(database)
            if "responses" in tables:
                yield from read_responses(database, tables)
            if "turns" in tables:
                yield from read_turns(database)
        except sqlite3.Error as exc:
            raise NotImportable(f"{path}: cannot be read as a database of llm: {exc}") from exc


def count_llm(path: Path) -> int:
    """How many rows ``read_llm`` yields at most. Raises NotImportable."""
    with closing(_open(path)) as database:
        try:
            tables = _tables(database, path) & set(_CALLS)
            counts = (database.execute(f"SELECT count(*) AS n FROM {table}") for table in tables)  # noqa: S608 - ours
            return sum(rows.fetchone()["n"] for rows in counts)
        except sqlite3.Error as exc:
            raise NotImportable(f"{path}: cannot be read as a database of llm: {exc}") from exc


def _open(path: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    except sqlite3.Error as exc:
        raise NotImportable(f"{path}: cannot be opened: {exc}") from exc
    database.row_factory = sqlite3.Row
    database.text_factory = lambda raw: raw.decode(errors="replace")
    return database


def _tables(database: sqlite3.Connection, path: Path) -> frozenset[str]:
    tables = frozenset(row["name"] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"))
    if not tables.intersection(_CALLS):
        raise NotImportable(f"{path}: no database of llm, it has none of the tables {', '.join(_CALLS)}")
    return tables
