"""Feedback to a whole session or trace: which task, and then its questions; what was said before stands below."""

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
from llm_proxy.ui.calls import session_href
from llm_proxy.ui.desk import Desk, in_words
from llm_proxy.ui.grading_queue import checked
from llm_proxy.ui.questions import questions
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.templating import page

_KINDS = {"session": "session_id", "trace": "trace_id"}


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
    names = {task.id: present.visible(task.name) for task in tasks}
    return page(
        "about.html",
        kind=kind,
        wanted=present.visible(wanted),
        shown_at=_shown_at(kind, wanted),
        tasks=[(names[task.id] or "Without a name", _href(task, kind, wanted)) for task in tasks],
        given=[
            {
                "time": present.time(one.created_at),
                "task": names.get(one.task_id) or "Another task",
                "by": present.text(one.given_by),
                "values": in_words(one.json_values),
                "comment": one.comment and present.visible(one.comment),
            }
            for one in found
        ],
        may_grade=Scope.WRITE in principal.scopes,
    )


async def _form(desk: Desk, request: Request, principal: Principal) -> Response:
    return await _asked(desk, request, principal)


async def _save(desk: Desk, request: Request, principal: Principal) -> Response:
    kind, wanted = _about(request)
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
    return go_to(f"/feedback?{urlencode({kind: wanted}, errors='replace')}")


async def _asked(
    desk: Desk, request: Request, principal: Principal, *, fault: str | None = None, comment: str = ""
) -> Response:
    kind, wanted = _about(request)
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
        all_href=f"/feedback?{urlencode({kind: wanted}, errors='replace')}",
        name=present.visible(task.name) or "Without a name",
        instruction=present.visible(task.instruction, lines=True),
        questions=questions(task.json_schema, None if earlier is None else earlier.json_values),
        comment=present.visible(comment or (earlier and earlier.comment) or "", lines=True),
        fault=fault and present.visible(fault),
    )


def _about(request: Request) -> tuple[str, str]:
    """Which of the two, and its id. Raises Refused."""
    for kind in _KINDS:
        if wanted := request.query_params.get(kind):
            return kind, wanted
    raise Refused("Which session or trace? The address has to say so.", status=404, code="not_found")


def _query(
    principal: Principal, kind: str, wanted: str, *, task: FeedbackTask | None = None, limit: int = 100
) -> FeedbackQuery:
    return FeedbackQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        task_id=None if task is None else task.id,
        given_by=None if task is None else principal.who,
        session_id=wanted if kind == "session" else None,
        trace_id=wanted if kind == "trace" else None,
        limit=limit,
    )


def _href(task: FeedbackTask, kind: str, wanted: str) -> str:
    return f"/feedback/{quote(task.id, safe='', errors='replace')}?{urlencode({kind: wanted}, errors='replace')}"


def _shown_at(kind: str, wanted: str) -> str:
    return session_href(wanted) if kind == "session" else f"/?q={quote(f'trace:{wanted}', errors='replace')}"
