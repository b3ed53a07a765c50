"""Reads from one SQLite file; a file that is not there yet reads as empty and is not made."""

from functools import partial
from pathlib import Path

from sqlalchemy import QueuePool, create_engine, event

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.sql_reader import SEARCH_S, SqlReader
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
        has_tables=_Schema(path).is_there,
        errors=partial(errors_of, path),
        disk_bytes=_DISK_BYTES,
        search_s=search_s,
    )


class _Schema:
    """Asks until it is there, and then no more."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_there = False

    def is_there(self) -> bool:
        """Whether there are tables to read. Raises StoreUnavailable if they are those of another version."""
        if not self._is_there and self._path.exists():
            with errors_of(self._path):
                step = self._step()
            if step not in (None, HEAD):
                raise StoreUnavailable(
                    f"{self._path}: its schema is at step {step}, and this llm-proxy reads step {HEAD};"
                    " start `llm-proxy serve` of the newer one of both"
                )
            self._is_there = step == HEAD
        return self._is_there

    def _step(self) -> str | None:
        connection = open_reader(self._path)
        try:
            return schema_step(connection)
        finally:
            connection.close()
