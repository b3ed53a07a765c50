"""Removal of records with what was told of them, from the tables of a SqlStore, be it SQLite or PostgreSQL.

A generation that was told of is a record and an entity: if only the record went, the next piece that is told of it
would bring it back. What was told goes first, in one transaction, and the records after it, a batch at a time: whoever
is interrupted asks once more. What is told later comes anew. Feedback goes with the last of its calls, and a file with
the last that refers to it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, func, or_, select, tuple_

from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import Kind
from llm_proxy.store.base import Blobs
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.rows import row_id, storable, to_micros
from llm_proxy.store.sql import completions, matching
from llm_proxy.store.sql_feedback import feedback, feedback_completions
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_traces import uploads
from llm_proxy.store.trace_rows import entities, from_row, some

#: Rows that are fetched at a time.
_ROWS = 200


class SqlRemoval:
    """See ``Removal``."""

    def __init__(self, store: SqlStore, blobs: Blobs | None = None) -> None:
        """Without ``blobs``, files stay though nothing refers to them any more."""
        self._store = store
        self._blobs = blobs

    async def remove(self, query: CompletionQuery) -> Receipt:
        """Remove all records that match, and what was told of them."""
        calls = select(completions.c.id).where(*matching(query))
        told = await self._forget(query.organization_id, or_(_of_calls(query), *_of_no_call(query)), calls)
        return told + await self._store.delete_matching(replace(query, search=None))

    async def remove_one(self, completion_id: str, organization_id: str) -> Receipt:
        """Remove one record, and what was told of it."""
        calls = select(completions.c.id).where(completions.c.id == row_id(completion_id, organization_id))
        told = await self._forget(organization_id, entities.c.completion_id == storable(completion_id), calls)
        return told + await self._store.delete([completion_id], organization_id)

    async def _forget(self, organization_id: str, which: ColumnElement[bool], calls: Select[str]) -> Receipt:
        owner = storable(organization_id)

        def forget(connection: Connection) -> tuple[int, list[str]]:
            _forget_feedback(connection, calls)
            told = entities.c.organization_id == owner, which
            files = _forget_files(connection, owner, _keys_of_files(connection, select(entities).where(*told)))
            return connection.execute(delete(entities).where(*told)).rowcount, files

        count, files = await self._store.writing(forget)
        if self._blobs is not None:
            for blob_hash in files:
                await self._blobs.remove(blob_hash)
        return Receipt(entities=count)


def _forget_feedback(connection: Connection, calls: Select[str]) -> None:
    """Remove feedback that is about these calls alone, and from other feedback what is about them."""
    about = feedback_completions.c.completion_id.in_(calls)
    touched = list(connection.execute(select(feedback_completions.c.feedback_id).where(about).distinct()).scalars())
    connection.execute(delete(feedback_completions).where(about))
    for part in some(touched):
        left = exists().where(feedback_completions.c.feedback_id == feedback.c.id)
        connection.execute(delete(feedback).where(feedback.c.id.in_(part), ~left))


def _keys_of_files(connection: Connection, told: Select[Any]) -> list[str]:
    """Keys of the files that belong to what was told."""
    with connection.execute(told, execution_options={"yield_per": _ROWS}) as result:
        found = (from_row(row).entity().attachments for row in result.mappings())
        return [one.key for attachments in found for one in attachments if one.key is not None]


def _forget_files(connection: Connection, owner: str, keys: list[str]) -> list[str]:
    """Remove the files of these keys; the hashes of those that nothing refers to any more."""
    hashes: set[str] = set()
    for part in some(map(storable, keys)):
        these = uploads.c.organization_id == owner, uploads.c.key.in_(part)
        hashes |= set(connection.execute(select(uploads.c.hash).where(*these)).scalars())
        connection.execute(delete(uploads).where(*these))
    used: set[str] = set()
    for part in some(hashes):
        used |= set(connection.execute(select(uploads.c.hash).where(uploads.c.hash.in_(part))).scalars())
    return sorted(hashes - used)


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
