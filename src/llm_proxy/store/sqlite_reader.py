"""Reads from one SQLite file, over a few connections that cannot write. Threads may share it.

A file that is not there yet, or has no tables yet, reads as empty: whoever looks may come before the first record.
"""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import QueuePool, create_engine

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Cursor, Page
from llm_proxy.store import sql
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.rows import to_completion
from llm_proxy.store.sqlite_connection import errors_of, open_reader, schema_step

#: Rows that are fetched at a time, so that a list of everything is not in memory twice.
_ROWS = 200


class SqliteReader:
    """Reads the file ``path`` over at most ``connections`` connections."""

    def __init__(self, path: Path, *, connections: int) -> None:
        self._path = path
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: open_reader(path),
            poolclass=QueuePool,
            pool_size=connections,
            max_overflow=0,
        )
        self._has_tables = False

    def get(self, completion_id: str) -> Completion | None:
        """See ``Store.get``."""
        return next(self._read(sql.one(completion_id)), None)

    def find(self, query: CompletionQuery) -> Page:
        """See ``Store.find``."""
        if query.limit == 0:
            return Page(completions=())
        found = tuple(self._read(sql.page(query)))
        page = found[: query.limit]
        if len(page) == len(found):
            return Page(completions=page)
        return Page(completions=page, next=Cursor(started_at=page[-1].started_at, id=page[-1].id))

    def last_change(self) -> int:
        """The number of the newest write."""
        if not self._is_there():
            return 0
        with errors_of(self._path), self._engine.connect() as connection:
            number: int = connection.execute(sql.last_change()).scalar_one()
        return number

    def changed(self, query: CompletionQuery, *, after: int, until: int) -> list[Completion]:
        """What was written behind ``after`` up to ``until`` and matches."""
        return list(self._read(sql.changed(query, after=after, until=until))) if until > after else []

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._engine.dispose()

    def _read(self, statement: sql.Statement) -> Iterator[Completion]:
        if not self._is_there():
            return
        with errors_of(self._path), self._engine.connect() as connection:
            rows = connection.execute(statement, execution_options={"yield_per": _ROWS}).mappings()
            for row in rows:
                yield to_completion(row)

    def _is_there(self) -> bool:
        """Whether there are tables to read. Raises StoreUnavailable if they are those of another version."""
        if not self._has_tables and self._path.exists():
            with errors_of(self._path):
                step = self._step()
            if step not in (None, HEAD):
                raise StoreUnavailable(
                    f"{self._path}: its schema is at step {step}, and this llm-proxy reads step {HEAD};"
                    " start `llm-proxy serve` of the newer one of both"
                )
            self._has_tables = step == HEAD
        return self._has_tables

    def _step(self) -> str | None:
        connection = open_reader(self._path)
        try:
            return schema_step(connection)
        finally:
            connection.close()
