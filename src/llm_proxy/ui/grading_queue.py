"""One call after the other, each with the questions of a task beside it: to answer, to skip, to go back and correct.

A call is held for whoever has its page for some minutes. Going back leads to what he answered last; saving it again
puts the new answer in the place of the old.
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.json_schema import faults_of
from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Bodies, Completion, JsonObject
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask, GradingProgress
from llm_proxy.ui import present
from llm_proxy.ui.calls import call_href
from llm_proxy.ui.conversation import conversation
from llm_proxy.ui.desk import Desk, task_href
from llm_proxy.ui.questions import questions, read_values
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.templating import page
from llm_proxy.ui.turns import PART_CHARACTERS, Rendering

#: How long a call is held for who has it before him, in seconds.
HOLD_S = 600.0
#: Turns of a conversation beside the questions: the last ones, which is what is graded.
_TURNS = 12
#: How far one can go back.
_BACK = 100
_MAX_COMMENT = 10_000


@dataclass(frozen=True, slots=True)
class _Place:
    """Who grades what, as the address says."""

    task: FeedbackTask
    grader: str
    completion_id: str

    @property
    def here(self) -> str:
        return task_href(self.task.id, "calls", self.completion_id)


def table(desk: Desk) -> Table:
    """What can be asked for."""
    call = {
        **looks(partial(_call, desk), Scope.WRITE, by_project=True),
        **changes(partial(_act, desk), by_project=True),
    }
    return {
        "/grading/{task_id}/next": changes(partial(_next, desk), by_project=True),
        "/grading/{task_id}/calls/{completion_id:path}": call,
    }


async def _next(desk: Desk, request: Request, principal: Principal) -> Response:
    return await _to_next(desk, await desk.task(principal, request.path_params["task_id"]), principal.who)


async def _call(desk: Desk, request: Request, principal: Principal) -> Response:
    place, completion = await _found(desk, request, principal)
    answer = await _answer(desk, place)
    if answer is None:
        now = datetime.now(UTC)
        if not await desk.grading.hold(place.task, completion.id, place.grader, now=now, until=_until(now)):
            return _taken(place)
    return await _shown(desk, place, completion, answer=answer)


async def _act(desk: Desk, request: Request, principal: Principal) -> Response:
    place, completion = await _found(desk, request, principal)
    fields = await read_form(request)
    act = first(fields, "act") or "save"
    if act == "back":
        return go_to(await _back(desk, place))
    if act == "skip":
        await desk.grading.release(place.task, completion.id, place.grader, skipped=True)
        return await _to_next(desk, place.task, place.grader)
    answer = await _answer(desk, place)
    if act == "withdraw":
        if answer is not None:
            await desk.grading.withdraw(principal.organization_id, answer.id, place.grader)
        return go_to(place.here)
    comment = first(fields, "comment")
    try:
        values = checked(place.task, fields)
    except ValueError as exc:
        return await _shown(desk, place, completion, answer=answer, fault=str(exc), comment=comment)
    given = Feedback(
        id=new_id(),
        organization_id=principal.organization_id,
        project_id=place.task.project_id,
        created_at=datetime.now(UTC),
        task_id=place.task.id,
        json_values=values,
        comment=comment or None,
        completion_ids=(completion.id,),
        given_by=place.grader,
    )
    await desk.feedback.add(given)
    if answer is not None:
        await desk.grading.withdraw(principal.organization_id, answer.id, place.grader)
    await desk.grading.release(place.task, completion.id, place.grader, skipped=False)
    return await _to_next(desk, place.task, place.grader)


def checked(task: FeedbackTask, fields: dict[str, list[str]]) -> JsonObject:
    """The values that were filled in, as the schema of the task allows them. Raises ValueError."""
    if len(first(fields, "comment")) > _MAX_COMMENT:
        raise ValueError(f"The comment is longer than {_MAX_COMMENT} characters.")
    asked = questions(task.json_schema)
    values = read_values(asked, fields)
    faults = faults_of(task.json_schema, values)
    if faults:
        path, reason = faults[0]
        titles = {f".{one.name}": one.title for one in asked}
        raise ValueError(f"{titles.get(path, path.lstrip('.')) or 'Values'}: {reason}")
    return values


async def _found(desk: Desk, request: Request, principal: Principal) -> tuple[_Place, Completion]:
    task = await desk.task(principal, request.path_params["task_id"])
    completion_id: str = request.path_params["completion_id"]
    completion = await desk.store.get(completion_id, principal.organization_id)
    if completion is None or task.project_id not in (None, completion.project_id):
        raise Refused(f"There is no call {present.visible(completion_id)}.", status=404, code="not_found")
    return _Place(task, principal.who, completion.id), completion


async def _answer(desk: Desk, place: _Place) -> Feedback | None:
    """What he has answered about this call already."""
    query = FeedbackQuery(
        organization_id=place.task.organization_id,
        task_id=place.task.id,
        completion_id=place.completion_id,
        given_by=place.grader,
        limit=1,
    )
    found, _ = await desk.feedback.find(query)
    return found[0] if found else None


async def _back(desk: Desk, place: _Place) -> str:
    """Where what he answered before this call is; this call if there is nothing before."""
    query = FeedbackQuery(
        organization_id=place.task.organization_id, task_id=place.task.id, given_by=place.grader, limit=_BACK
    )
    found, _ = await desk.feedback.find(query)
    calls = [one.completion_ids[0] for one in found if one.completion_ids]
    earlier = calls[calls.index(place.completion_id) + 1 :] if place.completion_id in calls else calls
    return task_href(place.task.id, "calls", earlier[0]) if earlier else place.here


async def _to_next(desk: Desk, task: FeedbackTask, grader: str) -> Response:
    now = datetime.now(UTC)
    found = await desk.grading.reserve(task, grader, now=now, until=_until(now))
    return go_to(f"{task_href(task.id)}?ended" if found is None else task_href(task.id, "calls", found))


def _until(now: datetime) -> datetime:
    return now + timedelta(seconds=HOLD_S)


def _taken(place: _Place) -> Response:
    return page("taken.html", status=409, next_href=task_href(place.task.id, "next"), href=task_href(place.task.id))


async def _shown(
    desk: Desk,
    place: _Place,
    completion: Completion,
    *,
    answer: Feedback | None,
    fault: str | None = None,
    comment: str | None = None,
) -> Response:
    progress = await desk.grading.progress(place.task, now=datetime.now(UTC))
    # In a thread: while a long conversation is rendered, others are answered.
    return await asyncio.to_thread(_page, place, completion, progress, answer, fault, comment)


def _page(
    place: _Place,
    completion: Completion,
    progress: GradingProgress,
    answer: Feedback | None,
    fault: str | None,
    comment: str | None,
) -> Response:
    bodies = completion.bodies or Bodies()
    turns = conversation(bodies.request, bodies.response)
    rendering = Rendering(raw=False, limit=PART_CHARACTERS)
    written = comment if comment is not None else answer and answer.comment
    return page(
        "grade.html",
        status=422 if fault else 200,
        row=present.row(completion),
        task={
            "name": present.visible(place.task.name) or "Without a name",
            "instruction": present.visible(place.task.instruction, lines=True),
            "href": task_href(place.task.id),
        },
        here_href=place.here,
        call_href=call_href(completion.id),
        progress=progress,
        turns=[rendering.turn(turn) for turn in turns[-_TURNS:]],
        left_out=max(0, len(turns) - _TURNS),
        questions=questions(place.task.json_schema, None if answer is None else answer.json_values),
        comment=present.visible(written or "", lines=True),
        answered=answer is not None,
        fault=fault and present.visible(fault),
    )
