"""Who grades which call next, in the tables of a SqlStore, be it SQLite or PostgreSQL.

Who takes a call locks the row of the task meanwhile, where the database does not let one write at a time anyway: two
people who ask at once get two calls. ``completion_id`` is the id that a record has in the tables (``row_id``).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Index,
    Select,
    Table,
    Text,
    delete,
    exists,
    func,
    select,
    update,
)

from llm_proxy.model.completion import Status
from llm_proxy.model.feedback import FeedbackTask, GradingProgress
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store import sql
from llm_proxy.store.rows import original_id, row_id, storable, to_micros
from llm_proxy.store.sql_feedback import encoded_tags, feedback, feedback_completions, feedback_tasks
from llm_proxy.store.sql_store import SqlStore

grading_holds = Table(
    "grading_holds",
    sql.metadata,
    Column("task_id", Text, primary_key=True),
    Column("completion_id", Text, primary_key=True),
    Column("grader", Text, primary_key=True),
    # NULL if it is not held but skipped.
    Column("until_us", BigInteger),
    sqlite_with_rowid=False,
)
Index("grading_holds_by_grader", grading_holds.c.task_id, grading_holds.c.grader)

_calls = sql.completions


class SqlGrading:
    """See ``Grading``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def change_task(self, task: FeedbackTask) -> None:
        """Put the name, the instruction, the tags and the wanted answers in the place of those of the task."""
        changed = (
            update(feedback_tasks)
            .where(*_this(task))
            .values(
                name=storable(task.name),
                instruction=storable(task.instruction),
                tags=encoded_tags(task.tags),
                answers_wanted=task.answers_wanted,
            )
        )
        await self._store.writing(lambda connection: connection.execute(changed))

    async def reserve(self, task: FeedbackTask, grader: str, *, now: datetime, until: datetime) -> str | None:
        """Hold a call for ``grader``: the one that he holds, or else the newest."""

        def reserve(connection: Connection) -> str | None:
            _begin(connection, task, now)
            mine = _of(task, grading_holds.c.grader == storable(grader), grading_holds.c.until_us.is_not(None))
            held = connection.execute(select(grading_holds.c.completion_id).where(*mine)).scalars().all()
            found = connection.execute(_open(task, grader, only=held)).scalar() if held else None
            found = found or connection.execute(_open(task, grader)).scalar()
            if found is not None:
                _hold(connection, task, found, grader, until)
            return found

        found = await self._store.writing(reserve)
        return None if found is None else original_id(found, task.organization_id)

    async def hold(
        self, task: FeedbackTask, completion_id: str, grader: str, *, now: datetime, until: datetime
    ) -> bool:
        """Hold this call for ``grader``, unless others hold or have given what is wanted of it."""
        wanted = row_id(completion_id, task.organization_id)

        def hold(connection: Connection) -> bool:
            _begin(connection, task, now)
            connection.execute(delete(grading_holds).where(*_of(task, *_his(wanted, grader))))
            if connection.execute(_open(task, grader, only=[wanted])).scalar() is None:
                return False
            _hold(connection, task, wanted, grader, until)
            return True

        return await self._store.writing(hold)

    async def release(self, task: FeedbackTask, completion_id: str, grader: str, *, skipped: bool) -> None:
        """Hold it no longer; ``skipped``: nor offer it to him again."""
        wanted = row_id(completion_id, task.organization_id)

        def release(connection: Connection) -> None:
            connection.execute(delete(grading_holds).where(*_of(task, *_his(wanted, grader))))
            if skipped:
                _hold(connection, task, wanted, grader, None)

        await self._store.writing(release)

    async def withdraw(self, organization_id: str, feedback_id: str, grader: str) -> bool:
        """Delete feedback that ``grader`` gave."""
        his = (
            feedback.c.id == storable(feedback_id),
            feedback.c.organization_id == storable(organization_id),
            feedback.c.given_by == storable(grader),
        )

        def withdraw(connection: Connection) -> bool:
            if connection.execute(delete(feedback).where(*his)).rowcount == 0:
                return False
            of_it = feedback_completions.c.feedback_id == storable(feedback_id)
            connection.execute(delete(feedback_completions).where(of_it))
            return True

        return await self._store.writing(withdraw)

    async def progress(self, task: FeedbackTask, *, now: datetime) -> GradingProgress:
        """How far it is."""
        asked_for = _asked_for(task)
        counted = select(func.count()).select_from(_calls).where(*asked_for)
        graded = counted.where(_answers(task) >= task.answers_wanted)
        held = select(func.count()).where(*_of(task, grading_holds.c.until_us >= to_micros(now)))

        def look(connection: Connection) -> GradingProgress:
            numbers = [int(connection.execute(each).scalar_one()) for each in (counted, graded, held)]
            return GradingProgress(calls=numbers[0], graded=numbers[1], held=numbers[2])

        return await self._store.reading(look, otherwise=GradingProgress(calls=0, graded=0, held=0))


def _begin(connection: Connection, task: FeedbackTask, now: datetime) -> None:
    """One at a time from here on; and what was held for too long is held no more."""
    connection.execute(select(feedback_tasks.c.id).where(*_this(task)).with_for_update())
    connection.execute(delete(grading_holds).where(*_of(task, grading_holds.c.until_us < to_micros(now))))


def _hold(connection: Connection, task: FeedbackTask, completion: str, grader: str, until: datetime | None) -> None:
    connection.execute(delete(grading_holds).where(*_of(task, *_his(completion, grader))))
    row = {
        "task_id": storable(task.id),
        "completion_id": completion,
        "grader": storable(grader),
        "until_us": None if until is None else to_micros(until),
    }
    connection.execute(grading_holds.insert(), [row])


def _open(task: FeedbackTask, grader: str, *, only: list[str] | Any = None) -> Select[Any]:
    """The newest call that may be handed to him."""
    holds, links = grading_holds.alias(), feedback_completions.alias()
    held_by_others = (
        select(func.count())
        .where(
            holds.c.task_id == storable(task.id),
            holds.c.completion_id == _calls.c.id,
            holds.c.grader != storable(grader),
            holds.c.until_us.is_not(None),
        )
        .scalar_subquery()
    )
    skipped = exists().where(
        holds.c.task_id == storable(task.id),
        holds.c.completion_id == _calls.c.id,
        holds.c.grader == storable(grader),
        holds.c.until_us.is_(None),
    )
    answered = exists().where(
        links.c.completion_id == _calls.c.id,
        feedback.c.id == links.c.feedback_id,
        feedback.c.task_id == storable(task.id),
        feedback.c.given_by == storable(grader),
    )
    rows = select(_calls.c.id).where(*_asked_for(task), ~skipped, ~answered)
    rows = rows.where(_answers(task) + held_by_others < task.answers_wanted)
    if only is not None:
        rows = rows.where(_calls.c.id.in_(only))
    return rows.order_by(_calls.c.started_at_us.desc(), _calls.c.id.desc()).limit(1)


def _asked_for(task: FeedbackTask) -> list[ColumnElement[bool]]:
    """Of calls that the task is about: those of its project that have all of its tags, and none if it has none."""
    if not task.tags:
        return [sql.completions.c.change < 0]
    query = CompletionQuery(organization_id=task.organization_id, project_id=task.project_id, tags=task.tags)
    return [*sql.matching(query), _calls.c.status != Status.STARTED.value]


def _answers(task: FeedbackTask) -> ColumnElement[int]:
    """How many answers a call has."""
    links = feedback_completions.alias()
    counted = select(func.count()).where(
        links.c.completion_id == _calls.c.id,
        feedback.c.id == links.c.feedback_id,
        feedback.c.task_id == storable(task.id),
    )
    return counted.correlate(_calls).scalar_subquery()


def _this(task: FeedbackTask) -> tuple[ColumnElement[bool], ...]:
    return (
        feedback_tasks.c.id == storable(task.id),
        feedback_tasks.c.organization_id == storable(task.organization_id),
    )


def _his(completion: str, grader: str) -> tuple[ColumnElement[bool], ...]:
    return grading_holds.c.completion_id == completion, grading_holds.c.grader == storable(grader)


def _of(task: FeedbackTask, *conditions: ColumnElement[bool]) -> Iterator[ColumnElement[bool]]:
    yield grading_holds.c.task_id == storable(task.id)
    yield from conditions
