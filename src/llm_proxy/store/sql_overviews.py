"""What calls are and take together, from the tables of a SqlStore, be it SQLite or PostgreSQL.

Sessions, users and traces are in sql_groups.py, spend is in sql_spend.py.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, func, select

from llm_proxy.model.query import GroupPage, GroupQuery, SpendQuery, SpendRow, TagUse
from llm_proxy.store.rows import from_micros, restored, storable
from llm_proxy.store.sql import completion_tags
from llm_proxy.store.sql_groups import groups
from llm_proxy.store.sql_spend import spend_row, spent
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_tags import of_project

#: Highest code point, and those that no text in the tables holds.
_LAST, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


class SqlOverviews:
    """See ``Overviews``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def groups(self, query: GroupQuery) -> GroupPage:
        """The sessions, users or traces that match, each by its calls; what was used last comes first."""
        return await self._store.reading(lambda connection: groups(connection, query), otherwise=GroupPage())

    async def tag_uses(
        self,
        organization_id: str,
        prefix: str = "",
        *,
        project_id: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[TagUse]:
        """Tags that begin with this text, from behind ``after``."""
        listed = _tag_uses(storable(organization_id), storable(prefix), after, limit)
        if project_id is not None:
            listed = listed.where(of_project(project_id))
        nothing: Sequence[TagUse] = ()
        return await self._store.reading(
            lambda connection: [_tag_use(row) for row in connection.execute(listed).mappings()], otherwise=nothing
        )

    async def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        """What the calls took, in the order of what it is told by."""
        statement = spent(query)
        nothing: Sequence[SpendRow] = ()
        return await self._store.reading(
            lambda connection: [spend_row(query, row) for row in connection.execute(statement).mappings()],
            otherwise=nothing,
        )


def _tag_uses(organization_id: str, prefix: str, after: str | None, limit: int) -> Select[Any]:
    tag, time = completion_tags.c.tag, completion_tags.c.started_at_us
    rows = select(tag, func.count().label("calls"), func.min(time).label("first_us"), func.max(time).label("last_us"))
    rows = rows.where(completion_tags.c.organization_id == organization_id, tag >= prefix)
    end = _end_of(prefix)
    if end is not None:
        rows = rows.where(tag < end)
    if after is not None:
        rows = rows.where(tag > storable(after))
    return rows.group_by(tag).order_by(tag).limit(limit)


def _tag_use(row: RowMapping) -> TagUse:
    return TagUse(
        tag=restored(row["tag"]),
        calls=row["calls"],
        first_at=from_micros(row["first_us"]),
        last_at=from_micros(row["last_us"]),
    )


def _end_of(prefix: str) -> str | None:
    """The first text behind all that begin with ``prefix``; None if there is none.

    A range, since no LIKE would use the index everywhere.
    """
    beginning = prefix.rstrip(chr(_LAST))
    if not beginning:
        return None
    following = ord(beginning[-1]) + 1
    return beginning[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
