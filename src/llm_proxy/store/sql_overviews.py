"""What calls are and take together, from the tables of a SqlStore, be it SQLite or PostgreSQL.

Sessions, users and traces are found by walking the calls from the newest one and keeping each that nothing newer of
its group follows; only the groups of a page are summed up, by an index. Calls that belong to no group are walked past.
What programs told of that has no calls stands between (sql_told.py).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, Select, exists, func, select, tuple_

from llm_proxy.model.query import Cursor, Group, Grouping, GroupPage, GroupQuery, SpendQuery, SpendRow, TagUse
from llm_proxy.store.rows import from_micros, original_id, restored, row_id, storable, to_micros
from llm_proxy.store.sql import completion_tags, completions
from llm_proxy.store.sql_spend import spend_row, spent, tally_of, totals
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_tags import of_project
from llm_proxy.store.sql_told import place_of, told

_COLUMNS = {Grouping.SESSION: "session_id", Grouping.USER: "user_id", Grouping.TRACE: "trace_id"}
#: Highest code point, and those that no text in the tables holds.
_LAST, _SURROGATES = 0x10FFFF, range(0xD800, 0xE000)


class SqlOverviews:
    """See ``Overviews``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def groups(self, query: GroupQuery) -> GroupPage:
        """The sessions, users or traces that match, each by its calls; what was used last comes first."""
        return await self._store.reading(lambda connection: _page(connection, query), otherwise=GroupPage())

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


def _page(connection: Connection, query: GroupQuery) -> GroupPage:
    newest = connection.execute(_newest(query)).mappings().all()
    places = [_place(row, query.organization_id) for row in newest]
    # What was told of only counts as far back as the page can reach.
    back_to = places[query.limit] if len(newest) > query.limit else None
    summed = connection.execute(_summed(query, [row["group"] for row in newest])).mappings()
    by_name = {row["group"]: _group(row, query.by) for row in summed}
    found = [(place, by_name[row["group"]]) for place, row in zip(places, newest, strict=True)]
    found += [(place_of(group), group) for group in told(connection, query, back_to=back_to)]
    found.sort(key=lambda one: (one[0].started_at, storable(one[0].id)), reverse=True)
    shown = found[: query.limit]
    following = shown[-1][0] if shown and len(found) > query.limit else None
    return GroupPage(groups=tuple(group for _, group in shown), next=following)


def _place(row: RowMapping, organization_id: str) -> Cursor:
    return Cursor(started_at=from_micros(row["started_at_us"]), id=original_id(row["id"], organization_id))


def _newest(query: GroupQuery) -> Select[Any]:
    """The newest call of each group, newest first."""
    column, later = completions.c[_COLUMNS[query.by]], completions.alias()
    order = completions.c.started_at_us, completions.c.id
    rows = select(completions.c.id, completions.c.started_at_us, column.label("group"))
    rows = rows.where(*_within(query, completions), column.is_not(None))
    rows = rows.where(
        ~exists().where(
            *_within(query, later),
            later.c[column.name] == column,
            tuple_(later.c.started_at_us, later.c.id) > tuple_(*order),
        )
    )
    if query.after is not None:
        place = to_micros(query.after.started_at), row_id(query.after.id, query.organization_id)
        rows = rows.where(tuple_(*order) < tuple_(*place))
    if query.id is not None:
        rows = rows.where(column == storable(query.id))
    return rows.order_by(order[0].desc(), order[1].desc()).limit(query.limit + 1)


def _summed(query: GroupQuery, names: Sequence[str]) -> Select[Any]:
    column = completions.c[_COLUMNS[query.by]]
    return (
        select(
            column.label("group"),
            # Whichever call said it.
            func.max(completions.c.session_name).label("name"),
            func.min(completions.c.started_at_us).label("first_us"),
            func.max(completions.c.started_at_us).label("last_us"),
            *totals(completions),
        )
        .where(*_within(query, completions), column.in_(names))
        .group_by(column)
    )


def _within(query: GroupQuery, calls: FromClause) -> Iterator[ColumnElement[bool]]:
    yield calls.c.organization_id == storable(query.organization_id)
    if query.project_id is not None:
        yield calls.c.project_id == storable(query.project_id)
    if query.since is not None:
        yield calls.c.started_at_us >= to_micros(query.since)
    if query.until is not None:
        yield calls.c.started_at_us < to_micros(query.until)


def _group(row: RowMapping, by: Grouping) -> Group:
    named = by is Grouping.SESSION and row["name"] is not None
    return Group(
        id=restored(row["group"]),
        name=restored(row["name"]) if named else None,
        first_at=from_micros(row["first_us"]),
        last_at=from_micros(row["last_us"]),
        tally=tally_of(row),
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
