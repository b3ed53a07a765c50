"""The store in PostgreSQL: many workers write, anybody reads. See postgres_connection.py for the driver and why.

Lists, searches and bodies are read by the same code as from SQLite. When the server is away, every call raises
StoreUnavailable, and works again when the server does.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import TypeVar

import psycopg
from sqlalchemy import create_engine

from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.postgres_connection import connect, errors_of, schema_step, shown
from llm_proxy.store.postgres_writer import PostgresWriter
from llm_proxy.store.sql_reader import SEARCH_S, Schema, SqlReader
from llm_proxy.store.sql_store import READERS, SqlStore

#: How long a read waits for a connection, in seconds.
_POOL_TIMEOUT_S = 10.0
#: See sql_sizes.py: what the tables take themselves would be known only to who reads them.
_DISK_BYTES = "SELECT coalesce(sum(record_bytes + body_bytes), 0) FROM organization_sizes"

_Result = TypeVar("_Result")


class PostgresStore(SqlStore):
    """A Store in the database ``url`` (``postgresql://user:password@host:port/name``).

    It holds at most ``connections`` connections, one of which writes. A statement that takes longer than
    ``statement_timeout_s`` is given up; a search with a limit takes about ``search_s`` seconds at most.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int = READERS + 1,
        statement_timeout_s: float = 60.0,
        search_s: float = SEARCH_S,
    ) -> None:
        read = partial(connect, url, statement_timeout_s=statement_timeout_s, read_only=True)
        engine = create_engine(
            "postgresql+psycopg://",
            creator=read,
            pool_size=max(1, connections - 1),
            max_overflow=0,
            pool_timeout=_POOL_TIMEOUT_S,
            # A connection that a restart of the server has cut is replaced before it is used.
            pool_pre_ping=True,
        )
        place = shown(url)
        reader = SqlReader(
            engine,
            schema=Schema(place, partial(_step, read, place)),
            errors=partial(errors_of, place),
            disk_bytes=_DISK_BYTES,
            search_s=search_s,
        )
        super().__init__(reader, PostgresWriter(url, statement_timeout_s=statement_timeout_s))
        self._beginnings: set[asyncio.Future[int]] = set()

    def changes(self, query: CompletionQuery, *, poll_s: float) -> AsyncIterator[Completion]:
        """Records that match, as they are written from now on; looks every ``poll_s`` seconds."""
        # A server may take its time, so that where "now" is, is not read here; but nothing of ours is written before.
        now = asyncio.ensure_future(self._read(self._reader.last_change))
        self._beginnings.add(now)
        now.add_done_callback(self._beginnings.discard)
        return self._follow_from(query, now, poll_s)

    async def _follow_from(
        self, query: CompletionQuery, now: asyncio.Future[int], poll_s: float
    ) -> AsyncIterator[Completion]:
        async for completion in self._follow(query, await now, poll_s):
            yield completion

    async def _write(self, action: Callable[[], _Result]) -> _Result:
        if self._beginnings:
            await asyncio.wait(set(self._beginnings))
        return await super()._write(action)


def _step(read: Callable[[], "psycopg.Connection[tuple[object, ...]]"], place: str) -> str | None:
    with errors_of(place), contextlib.closing(read()) as connection:
        return schema_step(connection)
