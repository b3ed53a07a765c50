"""Reads from one SQLite file; a file that is not there yet reads as empty and is not made."""

import contextlib
from functools import partial
from pathlib import Path

from sqlalchemy import QueuePool, create_engine, event

from llm_proxy.store.sql_reader import SEARCH_S, Schema, SqlReader
from llm_proxy.store.sqlite_connection import errors_of, open_reader, schema_step

_DISK_BYTES = """
    SELECT (page_count - freelist_count) * page_size
    FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""


def sqlite_reader(path: Path, *, connections: int, search_s: float = SEARCH_S) -> SqlReader:
    """A reader of the file ``path`` over at most ``connections`` connections."""
    engine = create_engine(
        "sqlite://",
        creator=lambda: open_reader(path),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
    )
    # What opens the connections leaves transactions to who uses them, and SQLAlchemy leaves them to it.
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return SqlReader(
        engine,
        schema=Schema(str(path), partial(_step, path)),
        errors=partial(errors_of, path),
        disk_bytes=_DISK_BYTES,
        search_s=search_s,
    )


def _step(path: Path) -> str | None:
    if not path.exists():
        return None
    with errors_of(path), contextlib.closing(open_reader(path)) as connection:
        return schema_step(connection)
