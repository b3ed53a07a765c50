"""Removal of records with what was told of them, from the tables of a SqlStore, be it SQLite or PostgreSQL.

A generation that was told of is a record and an entity: if only the record went, the next piece that is told of it
would bring it back. What was told goes first, in one transaction, and the records after it, a batch at a time: whoever
is interrupted asks once more. What is told later comes anew.
"""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, tuple_

from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import Kind
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.rows import row_id, storable, to_micros
from llm_proxy.store.sql import completions, matching
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.trace_rows import entities


class SqlRemoval:
    """See ``Removal``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def remove(self, query: CompletionQuery) -> Receipt:
        """Remove all records that match, and what was told of them."""
        told = await self._forget(query.organization_id, or_(_of_calls(query), *_of_no_call(query)))
        return told + await self._store.delete_matching(replace(query, search=None))

    async def remove_one(self, completion_id: str, organization_id: str) -> Receipt:
        """Remove one record, and what was told of it."""
        told = await self._forget(organization_id, entities.c.completion_id == storable(completion_id))
        return told + await self._store.delete([completion_id], organization_id)

    async def _forget(self, organization_id: str, which: ColumnElement[bool]) -> Receipt:
        within = entities.c.organization_id == storable(organization_id)

        def forget(connection: Connection) -> int:
            return connection.execute(delete(entities).where(within, which)).rowcount

        return Receipt(entities=await self._store.writing(forget))


def _of_calls(query: CompletionQuery) -> ColumnElement[bool]:
    """What was told of the generations that these records are."""
    column: ColumnElement[str] = completions.c.id
    if query.organization_id != DEFAULT_ORGANIZATION:
        # Without what the tables have behind the id; see ``row_id``.
        suffix = row_id("", query.organization_id)
        column = func.substr(column, 1, func.length(column) - len(suffix))
    return entities.c.completion_id.in_(select(column).where(*matching(query)))


def _of_no_call(query: CompletionQuery) -> Iterator[ColumnElement[bool]]:
    """What else belongs to the session, or is from before a time, if nothing but that is asked for."""
    organization_id = query.organization_id
    asked = replace(query, limit=None, after=None, with_bodies=False, search=None)
    if asked == CompletionQuery(organization_id=organization_id, session_id=query.session_id, limit=None):
        session_id = storable(query.session_id or "")
        traces = select(entities.c.repository, entities.c.id).where(
            entities.c.organization_id == storable(organization_id),
            entities.c.kind == Kind.TRACE.value,
            entities.c.session_id == session_id,
        )
        yield entities.c.session_id == session_id
        yield tuple_(entities.c.repository, entities.c.trace_id).in_(traces)
    if query.until and asked == CompletionQuery(organization_id=organization_id, until=query.until, limit=None):
        yield entities.c.started_at_us < to_micros(query.until)
