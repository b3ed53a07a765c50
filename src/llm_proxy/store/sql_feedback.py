"""Feedback and its tasks in the tables of a SqlStore, be it SQLite or PostgreSQL.

``completion_id`` is the id that a record has in the tables (``row_id``). A record that is deleted leaves the feedback
that was given to it.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Integer,
    RowMapping,
    Select,
    Table,
    Text,
    func,
    select,
)

from llm_proxy.model.completion import Completion, JsonObject
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store import sql
from llm_proxy.store.rows import from_micros, original_id, restored, row_id, storable, to_completion, to_micros
from llm_proxy.store.sql_store import SqlStore

feedback_tasks = Table(
    "feedback_tasks",
    sql.metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("instruction", Text, nullable=False),
    # JSON.
    Column("json_schema", Text, nullable=False),
    Column("tags", Text, nullable=False),
    Column("answers_wanted", Integer, nullable=False, server_default="1"),
    Column("project_id", Text),
)
Index("feedback_tasks_by_time", feedback_tasks.c.organization_id, feedback_tasks.c.created_at_us, feedback_tasks.c.id)

feedback = Table(
    "feedback",
    sql.metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Text, nullable=False),
    Column("created_at_us", BigInteger, nullable=False),
    Column("task_id", Text, nullable=False),
    # JSON.
    Column("json_values", Text, nullable=False),
    Column("comment", Text),
    Column("completions_summary", Text),
    Column("tags", Text, nullable=False),
    Column("given_by", Text),
    Column("session_id", Text),
    Column("trace_id", Text),
    Column("project_id", Text),
)
Index("feedback_by_time", feedback.c.organization_id, feedback.c.created_at_us, feedback.c.id)
Index("feedback_by_task", feedback.c.organization_id, feedback.c.task_id, feedback.c.created_at_us, feedback.c.id)

feedback_completions = Table(
    "feedback_completions",
    sql.metadata,
    Column("feedback_id", Text, primary_key=True),
    Column("completion_id", Text, primary_key=True),
    # In the order in which they were named.
    Column("place", Integer, nullable=False),
    sqlite_with_rowid=False,
)
Index("feedback_completions_by_completion", feedback_completions.c.completion_id)

_IS_LINKED = feedback.c.id == feedback_completions.c.feedback_id

#: Texts that are not always there.
_MAYBE = ("comment", "completions_summary", "given_by", "session_id", "trace_id", "project_id")


class SqlFeedback:
    """See ``FeedbackStore``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def add_task(self, task: FeedbackTask) -> None:
        """Add a task."""
        await self._store.writing(lambda connection: _insert(connection, feedback_tasks, [_task_row(task)]))

    async def task(self, organization_id: str, task_id: str) -> FeedbackTask | None:
        """The task; None if the organisation has none of this id."""
        wanted = select(feedback_tasks).where(*_of(feedback_tasks, organization_id, task_id))
        nothing: Sequence[RowMapping] = ()
        found = await self._store.reading(lambda connection: _all(connection, wanted), otherwise=nothing)
        return next(map(_task, found), None)

    async def tasks(
        self, organization_id: str, *, project_id: str | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[FeedbackTask]:
        """Those of an organisation, or of a project alone, newest first."""
        listed = select(feedback_tasks).where(feedback_tasks.c.organization_id == storable(organization_id))
        if project_id is not None:
            listed = listed.where(feedback_tasks.c.project_id == storable(project_id))
        listed = listed.order_by(feedback_tasks.c.created_at_us.desc(), feedback_tasks.c.id.desc())
        listed = listed.offset(offset).limit(limit)
        nothing: Sequence[RowMapping] = ()
        found = await self._store.reading(lambda connection: _all(connection, listed), otherwise=nothing)
        return [_task(row) for row in found]

    async def add(self, given: Feedback) -> None:
        """Add feedback to the calls that it is about."""
        links = [
            {
                "feedback_id": storable(given.id),
                "completion_id": row_id(completion_id, given.organization_id),
                "place": place,
            }
            for place, completion_id in enumerate(given.completion_ids)
        ]

        def add(connection: Connection) -> None:
            _insert(connection, feedback, [_feedback_row(given)])
            _insert(connection, feedback_completions, links)

        await self._store.writing(add)

    async def get(self, organization_id: str, feedback_id: str) -> Feedback | None:
        """The feedback; None if the organisation has none of this id."""
        wanted = select(feedback).where(*_of(feedback, organization_id, feedback_id))
        nothing: list[Feedback] = []
        found = await self._store.reading(lambda connection: _with_ids(connection, wanted), otherwise=nothing)
        return next(iter(found), None)

    async def find(self, query: FeedbackQuery) -> tuple[Sequence[Feedback], int]:
        """Those that match, newest first, and how many match in all."""
        conditions = list(_conditions(query))
        listed = select(feedback).where(*conditions)
        listed = listed.order_by(feedback.c.created_at_us.desc(), feedback.c.id.desc())
        listed = listed.offset(query.offset).limit(query.limit)
        counted = select(func.count()).select_from(feedback).where(*conditions)

        def look(connection: Connection) -> tuple[Sequence[Feedback], int]:
            return _with_ids(connection, listed), int(connection.execute(counted).scalar_one())

        return await self._store.reading(look, otherwise=([], 0))

    async def ungraded(
        self, organization_id: str, *, project_id: str | None = None, offset: int, limit: int
    ) -> Sequence[Completion]:
        """Calls that a task asks for and that have no feedback to it, newest first, without their bodies."""
        tasks: dict[tuple[str | None, tuple[str, ...]], list[str]] = {}
        for task in await self.tasks(organization_id, project_id=project_id):
            if task.tags:
                tasks.setdefault((task.project_id, task.tags), []).append(task.id)

        def look(connection: Connection) -> Sequence[Completion]:
            found: dict[str, Completion] = {}
            for (project, tags), ids in tasks.items():
                query = CompletionQuery(
                    organization_id=organization_id, project_id=project, tags=tags, limit=offset + limit
                )
                rows = cast("Select[Any]", sql.page(query)).where(_answered(ids) < len(ids))
                found |= {one.id: one for one in map(to_completion, _all(connection, rows))}
            newest = sorted(found.values(), key=lambda one: (one.started_at, one.id), reverse=True)
            return newest[offset : offset + limit]

        return await self._store.reading(look, otherwise=[])


def _answered(task_ids: Sequence[str]) -> Any:
    """How many of these tasks have feedback about a call."""
    links = feedback_completions
    counted = select(func.count(feedback.c.task_id.distinct())).select_from(links.join(feedback, _IS_LINKED))
    counted = counted.where(links.c.completion_id == sql.completions.c.id)
    return counted.where(feedback.c.task_id.in_([storable(task_id) for task_id in task_ids])).scalar_subquery()


def _of(table: Table, organization_id: str, wanted_id: str) -> tuple[ColumnElement[bool], ...]:
    return table.c.id == storable(wanted_id), table.c.organization_id == storable(organization_id)


def _conditions(query: FeedbackQuery) -> Sequence[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [feedback.c.organization_id == storable(query.organization_id)]
    if query.task_id is not None:
        conditions.append(feedback.c.task_id == storable(query.task_id))
    named = ((name, getattr(query, name)) for name in ("project_id", "given_by", "session_id", "trace_id"))
    conditions += [feedback.c[name] == storable(value) for name, value in named if value is not None]
    if query.completion_id is not None:
        about = feedback_completions.c.completion_id == row_id(query.completion_id, query.organization_id)
        conditions.append(feedback.c.id.in_(select(feedback_completions.c.feedback_id).where(about)))
    return conditions


def _with_ids(connection: Connection, statement: Select[Any]) -> list[Feedback]:
    rows = _all(connection, statement)
    links = feedback_completions
    wanted = select(links).where(links.c.feedback_id.in_([row["id"] for row in rows])).order_by(links.c.place)
    ids: dict[str, list[str]] = {}
    for link in _all(connection, wanted) if rows else ():
        ids.setdefault(link["feedback_id"], []).append(link["completion_id"])
    return [_feedback(row, ids.get(row["id"], [])) for row in rows]


def _all(connection: Connection, statement: Select[Any]) -> Sequence[RowMapping]:
    return connection.execute(statement).mappings().all()


def _insert(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _task_row(task: FeedbackTask) -> dict[str, Any]:
    return {
        "id": storable(task.id),
        "organization_id": storable(task.organization_id),
        "created_at_us": to_micros(task.created_at),
        "name": storable(task.name),
        "instruction": storable(task.instruction),
        "json_schema": _json(task.json_schema),
        "tags": _json(task.tags),
        "answers_wanted": task.answers_wanted,
        "project_id": _maybe(task.project_id, storable),
    }


def _task(row: RowMapping) -> FeedbackTask:
    return FeedbackTask(
        id=restored(row["id"]),
        organization_id=restored(row["organization_id"]),
        created_at=from_micros(row["created_at_us"]),
        name=restored(row["name"]),
        instruction=restored(row["instruction"]),
        json_schema=_object(row["json_schema"]),
        tags=_texts(row["tags"]),
        answers_wanted=row["answers_wanted"],
        project_id=_maybe(row["project_id"], restored),
    )


def _feedback_row(given: Feedback) -> dict[str, Any]:
    return {
        "id": storable(given.id),
        "organization_id": storable(given.organization_id),
        "created_at_us": to_micros(given.created_at),
        "task_id": storable(given.task_id),
        "json_values": _json(given.json_values),
        "tags": _json(given.tags),
        **{name: _maybe(getattr(given, name), storable) for name in _MAYBE},
    }


def _feedback(row: RowMapping, row_ids: Sequence[str]) -> Feedback:
    organization_id = restored(row["organization_id"])
    return Feedback(
        id=restored(row["id"]),
        organization_id=organization_id,
        created_at=from_micros(row["created_at_us"]),
        task_id=restored(row["task_id"]),
        json_values=_object(row["json_values"]),
        tags=_texts(row["tags"]),
        **{name: _maybe(row[name], restored) for name in _MAYBE},
        completion_ids=tuple(original_id(one, organization_id) for one in row_ids),
    )


def encoded_tags(tags: tuple[str, ...]) -> str:
    """Tags of a task as they stand in its row."""
    return _json(tags)


def _maybe(text: str | None, change: Callable[[str], str]) -> str | None:
    return None if text is None else change(text)


def _json(value: JsonObject | tuple[str, ...]) -> str:
    return storable(encode_json(value).decode())


def _object(text: str) -> JsonObject:
    return cast("JsonObject", decode_json(restored(text).encode()))


def _texts(text: str) -> tuple[str, ...]:
    return tuple(cast("list[str]", decode_json(restored(text).encode())))
