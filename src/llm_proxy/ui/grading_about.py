"""Feedback to a call, or to a whole session or trace: what was said, which tasks there are, and the questions of one.

The pages of these show it as a part of theirs.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask
from llm_proxy.ui import present
from llm_proxy.ui.calls import call_href, feedback_href, session_href, trace_href
from llm_proxy.ui.desk import Desk, in_words, task_href
from llm_proxy.ui.grading_queue import checked
from llm_proxy.ui.questions import questions
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.templating import fragment, page

_KINDS = ("call", "session", "trace")

#: Answers that stand on the page of what they are about.
_SHORT = 5


def table(desk: Desk) -> Table:
    """What can be asked for."""
    form = {
        **looks(partial(_form, desk), Scope.WRITE, by_project=True),
        **changes(partial(_save, desk), by_project=True),
    }
    return {"/feedback": looks(partial(_tasks, desk), by_project=True), "/feedback/{task_id}": form}


async def _tasks(desk: Desk, request: Request, principal: Principal) -> Response:
    kind, wanted = _about(request)
    found, _ = await desk.feedback.find(_query(principal, kind, wanted))
    tasks = await desk.feedback.tasks(principal.organization_id, project_id=principal.project_id)
    if "short" in request.query_params:
        return _short(kind, wanted, found, may_grade=bool(tasks) and Scope.WRITE in principal.scopes)
    names = {task.id: present.visible(task.name) for task in tasks}
    return page(
        "about.html",
        kind=kind,
        wanted=present.visible(wanted),
        shown_at=_shown_at(kind, wanted),
        tasks=[(names[task.id] or "Without a name", _href(task, kind, wanted)) for task in tasks],
        given=[{**_line(one), "task": names.get(one.task_id) or "Another task"} for one in found],
        may_grade=Scope.WRITE in principal.scopes,
    )


def _short(kind: str, wanted: str, found: Sequence[Feedback], *, may_grade: bool) -> Response:
    """What was said, as a part of the page of what it is about; nothing where nothing can be."""
    shown = fragment(
        "about_short.html",
        given=[_line(one) for one in found[:_SHORT]],
        more=max(0, len(found) - _SHORT),
        href=feedback_href(kind, wanted),
        may_grade=may_grade,
    )
    return Response(shown if found or may_grade else b"", media_type="text/html")


def _line(one: Feedback) -> dict[str, str | None]:
    return {
        "time": present.time(one.created_at),
        "by": present.text(one.given_by),
        "values": in_words(one.json_values),
        "comment": one.comment and present.visible(one.comment),
    }


async def _form(desk: Desk, request: Request, principal: Principal) -> Response:
    return await _asked(desk, request, principal)


async def _save(desk: Desk, request: Request, principal: Principal) -> Response:
    kind, wanted = _about_whole(request)
    task = await desk.task(principal, request.path_params["task_id"])
    fields = await read_form(request)
    comment = first(fields, "comment")
    try:
        values = checked(task, fields)
    except ValueError as exc:
        return await _asked(desk, request, principal, fault=str(exc), comment=comment)
    earlier, _ = await desk.feedback.find(_query(principal, kind, wanted, task=task, limit=1))
    given = Feedback(
        id=new_id(),
        organization_id=principal.organization_id,
        project_id=task.project_id,
        created_at=datetime.now(UTC),
        task_id=task.id,
        json_values=values,
        comment=comment or None,
        given_by=principal.who,
        session_id=wanted if kind == "session" else None,
        trace_id=wanted if kind == "trace" else None,
    )
    await desk.feedback.add(given)
    for one in earlier:
        await desk.grading.withdraw(principal.organization_id, one.id, principal.who)
    return go_to(feedback_href(kind, wanted))


async def _asked(
    desk: Desk, request: Request, principal: Principal, *, fault: str | None = None, comment: str = ""
) -> Response:
    kind, wanted = _about_whole(request)
    task = await desk.task(principal, request.path_params["task_id"])
    found, _ = await desk.feedback.find(_query(principal, kind, wanted, task=task, limit=1))
    earlier = found[0] if found else None
    return page(
        "about_form.html",
        status=422 if fault else 200,
        kind=kind,
        wanted=present.visible(wanted),
        shown_at=_shown_at(kind, wanted),
        here_href=_href(task, kind, wanted),
        all_href=feedback_href(kind, wanted),
        name=present.visible(task.name) or "Without a name",
        instruction=present.visible(task.instruction, lines=True),
        questions=questions(task.json_schema, None if earlier is None else earlier.json_values),
        comment=present.visible(comment or (earlier and earlier.comment) or "", lines=True),
        fault=fault and present.visible(fault),
    )


def _about(request: Request) -> tuple[str, str]:
    """Which of them, and its id. Raises Refused."""
    for kind in _KINDS:
        if wanted := request.query_params.get(kind):
            return kind, wanted
    raise Refused("Which call, session or trace? The address has to say so.", status=404, code="not_found")


def _about_whole(request: Request) -> tuple[str, str]:
    """The same of what has its questions here: a call has them in the queue. Raises Refused."""
    kind, wanted = _about(request)
    if kind == "call":
        raise Refused("Which session or trace? The address has to say so.", status=404, code="not_found")
    return kind, wanted


def _query(
    principal: Principal, kind: str, wanted: str, *, task: FeedbackTask | None = None, limit: int = 100
) -> FeedbackQuery:
    return FeedbackQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        task_id=None if task is None else task.id,
        given_by=None if task is None else principal.who,
        completion_id=wanted if kind == "call" else None,
        session_id=wanted if kind == "session" else None,
        trace_id=wanted if kind == "trace" else None,
        limit=limit,
    )


def _href(task: FeedbackTask, kind: str, wanted: str) -> str:
    if kind == "call":
        return task_href(task.id, "calls", wanted)
    return f"/feedback/{quote(task.id, safe='', errors='replace')}?{urlencode({kind: wanted}, errors='replace')}"


def _shown_at(kind: str, wanted: str) -> str:
    return {"call": call_href, "session": session_href, "trace": trace_href}[kind](wanted)
