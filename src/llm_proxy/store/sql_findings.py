"""What there is to filter by, and how calls lie in time, from the tables of a SqlStore, be it SQLite or PostgreSQL."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select

from llm_proxy.model.query import Attribute, Bucket, CompletionQuery
from llm_proxy.model.trace import Entity, Kind
from llm_proxy.store.rows import from_micros, restored, storable, to_micros
from llm_proxy.store.sql import completion_tags, completions, matching
from llm_proxy.store.sql_calls import Patience
from llm_proxy.store.sql_histogram import histogram
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.trace_rows import entities, from_row

#: Newest calls that are looked at for what there is to filter by.
_LOOKED_AT = 5000
#: Sessions or traces that were told of and are looked at.
_TOLD = 200
_COLUMNS = {
    Attribute.MODEL: "model",
    Attribute.USER: "user_id",
    Attribute.SESSION: "session_id",
    Attribute.TRACE: "trace_id",
    Attribute.PROJECT: "project_id",
    Attribute.PROVIDER: "provider",
    Attribute.UPSTREAM: "upstream",
    Attribute.KEY: "key_fingerprint",
    Attribute.ENDPOINT: "endpoint",
    Attribute.ENDING: "ending",
    Attribute.ERROR: "failure_kind",
    Attribute.HTTP: "http_status",
}


class SqlFindings:
    """See ``Findings``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def values(
        self,
        organization_id: str,
        of: Attribute,
        containing: str = "",
        *,
        project_id: str | None = None,
        limit: int = 10,
    ) -> Sequence[str]:
        """What the newest calls have there that holds this text; what most of them have comes first."""
        whose = CompletionQuery(organization_id=organization_id, project_id=project_id)
        statement = _tags(whose) if of is Attribute.TAG else _values(whose, _COLUMNS[of])
        wanted = containing.casefold()

        def read(connection: Connection) -> list[str]:
            values = (restored(str(row[0])) for row in connection.execute(statement))
            return [value for value in values if wanted in value.casefold()][:limit]

        nothing: Sequence[str] = ()
        return await self._store.reading(read, otherwise=nothing)

    async def first_at(self, organization_id: str, *, project_id: str | None = None) -> datetime | None:
        """When the oldest call began, of a project or of all; None if there is none."""
        whose = CompletionQuery(organization_id=organization_id, project_id=project_id)
        oldest = select(completions.c.started_at_us).where(*matching(whose)).order_by(completions.c.started_at_us)

        def read(connection: Connection) -> datetime | None:
            micros = connection.execute(oldest.limit(1)).scalar_one_or_none()
            return None if micros is None else from_micros(micros)

        return await self._store.reading(read, otherwise=None)

    async def histogram(
        self, query: CompletionQuery, since: datetime, until: datetime, *, count: int, patience_s: float | None = None
    ) -> list[Bucket]:
        """How many calls that match began in each of so many equal parts of a time, oldest first."""
        start, width = to_micros(since), max((to_micros(until) - to_micros(since)) // count, 1)

        def read(connection: Connection) -> list[Bucket]:
            return histogram(connection, query, start, width, count=count, patience=Patience(patience_s))

        empty = [Bucket(since=from_micros(start + width * place), calls=0, failed=0) for place in range(count)]
        return await self._store.reading(read, otherwise=empty)

    async def told(
        self,
        organization_id: str,
        kind: Kind,
        *,
        repository: str | None = None,
        its_id: str | None = None,
        session_id: str | None = None,
    ) -> Sequence[Entity]:
        """The newest sessions or traces that programs told of in a repository, or in whichever."""
        wanted = select(entities).where(
            entities.c.organization_id == storable(organization_id), entities.c.kind == kind.value
        )
        if repository is not None:
            wanted = wanted.where(entities.c.repository == storable(repository))
        if session_id is not None:
            wanted = wanted.where(entities.c.session_id == storable(session_id))
        if its_id is not None:
            wanted = wanted.where(entities.c.id == storable(its_id))
        wanted = wanted.order_by(entities.c.started_at_us.desc(), entities.c.id.desc()).limit(_TOLD)
        nothing: Sequence[Entity] = ()
        return await self._store.reading(
            lambda connection: [from_row(row).entity() for row in connection.execute(wanted).mappings()],
            otherwise=nothing,
        )


def _newest(whose: CompletionQuery, *columns: ColumnElement[Any]) -> Any:
    calls = select(*columns).where(*matching(whose))
    return calls.order_by(completions.c.started_at_us.desc(), completions.c.id.desc()).limit(_LOOKED_AT).subquery()


def _values(whose: CompletionQuery, name: str) -> Select[Any]:
    newest = _newest(whose, completions.c[name])
    column = newest.c[name]
    return select(column).where(column.is_not(None)).group_by(column).order_by(func.count().desc(), column)


def _tags(whose: CompletionQuery) -> Select[Any]:
    newest = _newest(whose, completions.c.id)
    tags = select(completion_tags.c.tag).join(newest, completion_tags.c.completion_id == newest.c.id)
    return tags.group_by(completion_tags.c.tag).order_by(func.count().desc(), completion_tags.c.tag)
