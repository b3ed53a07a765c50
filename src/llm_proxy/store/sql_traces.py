"""What instrumented programs tell of, in the tables of a SqlStore, be it SQLite or PostgreSQL.

An entity and the record that is made of it are written in two transactions: if the second fails, the caller is told so,
and writes both when the batch comes once more.
"""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Index, Select, Table, Text, func, select
from sqlalchemy.dialects import postgresql, sqlite

from llm_proxy.model.completion import Completion
from llm_proxy.model.json_text import encode_json
from llm_proxy.model.trace import Entity, EntityPage, EntityQuery, Settled, Statement, Upload
from llm_proxy.store.rows import from_micros, restored, storable, to_micros
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.trace_rows import Told, entities, from_row
from llm_proxy.store.trace_writer import TraceWriter

#: Rows that are fetched at a time.
_ROWS = 200
#: How long a search may take, in seconds; what it has not looked at by then does not count.
SEARCH_S = 20.0
#: Of one trace: more would keep everybody else waiting.
MAX_ENTITIES_OF_A_TRACE = 10_000

uploads = Table(
    "uploads",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    # Of its bytes, by which they are found.
    Column("hash", Text, nullable=False),
    Column("mime_type", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
)
Index("uploads_by_hash", uploads.c.hash)

_INSERT: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


class SqlTraces:
    """See ``Traces``. ``to_completion`` makes the record of a generation."""

    def __init__(
        self, store: SqlStore, to_completion: Callable[[str, Settled], Completion], *, search_s: float = SEARCH_S
    ) -> None:
        self._store = store
        self._to_completion = to_completion
        self._search_s = search_s
        self._writer = TraceWriter()

    async def put(self, organization_id: str, repository: str, statements: Sequence[Statement]) -> None:
        """Take in what was told."""
        if not statements:
            return
        settled = await self._store.writing(
            lambda connection: self._writer.merge(connection, organization_id, repository, statements)
        )
        await self._store.put([self._to_completion(organization_id, one) for one in settled])

    async def trace(
        self, organization_id: str, trace_id: str, *, repository: str | None = None
    ) -> Sequence[Entity] | None:
        """The trace and everything in it, oldest first; None if nothing is known of it."""
        found = select(entities).where(
            entities.c.organization_id == storable(organization_id), entities.c.trace_id == storable(trace_id)
        )
        if repository is not None:
            found = found.where(entities.c.repository == storable(repository))
        found = found.order_by(entities.c.started_at_us, entities.c.id).limit(MAX_ENTITIES_OF_A_TRACE)

        def read(connection: Connection) -> list[Entity]:
            told = list(_told(connection, found))
            # One id in two repositories is two traces; the one that began last is meant.
            meant = told[-1].key.repository if told else ""
            return [replace(one.entity(), trace_id=trace_id) for one in told if one.key.repository == meant]

        return await self._store.reading(read, otherwise=[]) or None

    async def find(self, query: EntityQuery) -> EntityPage:
        """The sessions or traces that match."""
        if query.search is None and not query.tags:
            return await self._store.reading(lambda connection: _page(connection, query), otherwise=EntityPage())
        deadline = time.monotonic() + self._search_s
        return await self._store.reading(
            lambda connection: _searched(connection, query, deadline), otherwise=EntityPage()
        )

    async def add_upload(self, organization_id: str, upload: Upload) -> None:
        """Note that a file is there under its key, in place of what was."""
        row = {
            "organization_id": storable(organization_id),
            "key": storable(upload.key),
            "hash": upload.hash,
            "mime_type": storable(upload.mime_type),
            "size_bytes": upload.size_bytes,
            "created_at_us": to_micros(upload.created_at),
        }

        def add(connection: Connection) -> None:
            insert = _INSERT[connection.dialect.name](uploads).values(row)
            connection.execute(insert.on_conflict_do_update(index_elements=["organization_id", "key"], set_=row))

        await self._store.writing(add)

    async def upload(self, organization_id: str, key: str) -> Upload | None:
        """What was uploaded under a key; None if nothing was."""
        wanted = select(uploads).where(
            uploads.c.organization_id == storable(organization_id), uploads.c.key == storable(key)
        )

        def read(connection: Connection) -> Upload | None:
            row = connection.execute(wanted).mappings().one_or_none()
            if row is None:
                return None
            return Upload(
                key=key,
                hash=row["hash"],
                mime_type=restored(row["mime_type"]),
                size_bytes=row["size_bytes"],
                created_at=from_micros(row["created_at_us"]),
            )

        return await self._store.reading(read, otherwise=None)


def _told(connection: Connection, statement: Select[Any]) -> Generator[Told, None, None]:
    with connection.execute(statement, execution_options={"yield_per": _ROWS}) as result:
        yield from map(from_row, result.mappings())


def _listed(query: EntityQuery) -> Select[Any]:
    rows = select(entities).where(
        entities.c.organization_id == storable(query.organization_id),
        entities.c.repository == storable(query.repository),
        entities.c.kind == query.kind.value,
    )
    if query.since is not None:
        rows = rows.where(entities.c.started_at_us >= to_micros(query.since))
    if query.until is not None:
        rows = rows.where(entities.c.started_at_us <= to_micros(query.until))
    if query.session_id is not None:
        rows = rows.where(entities.c.session_id == storable(query.session_id))
    if query.oldest_first:
        return rows.order_by(entities.c.started_at_us, entities.c.id)
    return rows.order_by(entities.c.started_at_us.desc(), entities.c.id.desc())


def _page(connection: Connection, query: EntityQuery) -> EntityPage:
    listed = _listed(query)
    total = connection.execute(select(func.count()).select_from(listed.order_by(None).subquery())).scalar_one()
    page = listed.offset(query.offset).limit(query.limit)
    return EntityPage(entities=tuple(told.entity() for told in _told(connection, page)), total=total)


def _searched(connection: Connection, query: EntityQuery, deadline: float) -> EntityPage:
    wanted = None if query.search is None else query.search.casefold()
    page: list[Entity] = []
    total = 0
    with closing(_told(connection, _listed(query))) as listed:
        for told in listed:
            if time.monotonic() > deadline:
                break
            if wanted is not None and wanted not in encode_json(told.state).decode().casefold():
                continue
            entity = told.entity()
            if _is_tagged(entity, query):
                page += [entity] if query.offset <= total < query.offset + query.limit else []
                total += 1
    return EntityPage(entities=tuple(page), total=total)


def _is_tagged(entity: Entity, query: EntityQuery) -> bool:
    conditions = (any(entity.tags.get(key) == value for key, value in either) for either in query.tags)
    return not query.tags or (all(conditions) if query.all_tags else any(conditions))
