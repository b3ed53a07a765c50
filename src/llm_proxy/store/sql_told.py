"""Sessions and traces that instrumented programs told of and that no call names, as groups without calls.

They stand among the groups that calls make (sql_overviews.py), each at the time when it began. Those that calls name
are walked past, so whoever asks says how far back to walk.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, exists, select, tuple_

from llm_proxy.model.query import Cursor, Group, Grouping, GroupQuery, Tally
from llm_proxy.model.trace import Entity, Kind
from llm_proxy.store.rows import storable, to_micros
from llm_proxy.store.sql import completions
from llm_proxy.store.trace_rows import entities, from_row

#: What programs tell of, and the column in which calls name it. Nobody tells of users.
_KINDS = {Grouping.SESSION: (Kind.SESSION, "session_id"), Grouping.TRACE: (Kind.TRACE, "trace_id")}


def told(connection: Connection, query: GroupQuery, *, back_to: Cursor | None) -> Sequence[Group]:
    """Those that match, newest first, one more than the limit at most, and none behind ``back_to``."""
    if query.by not in _KINDS:
        return ()
    rows = connection.execute(_newest(query, back_to)).mappings()
    return [_group(from_row(row).entity()) for row in rows]


def place_of(group: Group) -> Cursor:
    """Where one stands in the order of all groups."""
    return Cursor(started_at=group.last_at, id=group.id)


def _newest(query: GroupQuery, back_to: Cursor | None) -> Select[Any]:
    kind, column = _KINDS[query.by]
    named = completions.c[column] == entities.c.id, completions.c.organization_id == entities.c.organization_id
    of_project = () if query.project_id is None else (completions.c.project_id == storable(query.project_id),)
    later = entities.alias()
    # Several repositories may have one of this id: it is listed once.
    order = entities.c.started_at_us, entities.c.repository
    rows = select(entities).where(
        *_within(query, kind, entities),
        ~exists().where(*named, *of_project),
        ~exists().where(
            *_within(query, kind, later),
            later.c.id == entities.c.id,
            tuple_(later.c.started_at_us, later.c.repository) > tuple_(*order),
        ),
    )
    place = tuple_(entities.c.started_at_us, entities.c.id)
    if query.after is not None:
        rows = rows.where(place < _at(query.after))
    if back_to is not None:
        rows = rows.where(place >= _at(back_to))
    if query.id is not None:
        rows = rows.where(entities.c.id == storable(query.id))
    return rows.order_by(entities.c.started_at_us.desc(), entities.c.id.desc()).limit(query.limit + 1)


def _within(query: GroupQuery, kind: Kind, of: FromClause) -> Iterator[ColumnElement[bool]]:
    yield of.c.organization_id == storable(query.organization_id)
    yield of.c.kind == kind.value
    if query.project_id is not None:
        # A project has the log repository of its id, and no other one.
        yield of.c.repository == storable(query.project_id)
    if query.since is not None:
        yield of.c.started_at_us >= to_micros(query.since)
    if query.until is not None:
        yield of.c.started_at_us < to_micros(query.until)


def _at(place: Cursor) -> Any:
    return tuple_(to_micros(place.started_at), storable(place.id))


def _group(entity: Entity) -> Group:
    return Group(
        id=entity.key.id,
        name=entity.name,
        first_at=entity.started_at,
        last_at=entity.started_at,
        ended_at=entity.ended_at,
        tally=Tally(calls=0, failed=0, calls_without_cost=0),
    )
