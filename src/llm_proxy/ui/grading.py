"""The tasks that ask for feedback: all of them, a new one with a preview of its form, and one with how far it is."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.json_schema import check_schema
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.agreement import agreement
from llm_proxy.model.completion import JsonObject
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask
from llm_proxy.model.json_text import decode_json
from llm_proxy.ui import present
from llm_proxy.ui.calls import call_href, session_href
from llm_proxy.ui.desk import Desk, in_words, task_href
from llm_proxy.ui.questions import questions
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.templating import fragment, page
from llm_proxy.ui.written_tags import read_tags, write_tags

#: Of these, the newest, agreement is told.
COMPARED = 1000
_LISTED = 50
_TASKS = 200
_MAX_CHARACTERS = {"name": 200, "instruction": 10_000}
#: What can be changed of a task: not what it asks, to which there are answers already.
_CHANGED = ("name", "instruction", "tags", "answers")
_MAX_TAGS = 20
_MAX_ANSWERS = 20
#: What a new task begins with: one question of each kind that is answered with a digit, and one in words.
_EXAMPLE = {
    "type": "object",
    "properties": {
        "quality": {"type": "integer", "minimum": 1, "maximum": 5, "title": "How good is the answer?"},
        "correct": {"type": "boolean", "title": "Is it correct?"},
        "fault": {"enum": ["none", "too long", "off topic", "made up"], "title": "What is wrong with it?"},
    },
    "required": ["quality", "correct"],
}


def table(desk: Desk) -> Table:
    """What can be asked for."""
    new = {
        **looks(partial(_new, desk), Scope.WRITE, by_project=True),
        **changes(partial(_create, desk), by_project=True),
    }
    task = {**looks(partial(_task, desk), by_project=True), **changes(partial(_change, desk), by_project=True)}
    return {
        "/grading": looks(partial(_tasks, desk), by_project=True),
        "/grading/new": new,
        "/grading/preview": changes(_preview, by_project=True),
        "/grading/{task_id}": task,
    }


async def _tasks(desk: Desk, request: Request, principal: Principal) -> Response:
    tasks = await desk.feedback.tasks(principal.organization_id, project_id=principal.project_id, limit=_TASKS)
    now = datetime.now(UTC)
    progress = await asyncio.gather(*(desk.grading.progress(task, now=now) for task in tasks))
    return page(
        "grading.html",
        tasks=[
            {"task": _shown(task), "href": task_href(task.id), "progress": each}
            for task, each in zip(tasks, progress, strict=True)
        ],
        may_grade=Scope.WRITE in principal.scopes,
    )


async def _new(desk: Desk, request: Request, principal: Principal) -> Response:
    tags = request.query_params.get("tags", "")
    filled = {"name": "", "instruction": "", "tags": tags, "answers": "1", "schema": json.dumps(_EXAMPLE, indent=2)}
    return _form(filled)


async def _create(desk: Desk, request: Request, principal: Principal) -> Response:
    fields = await read_form(request)
    filled = {name: first(fields, name) for name in (*_CHANGED, "schema")}
    try:
        if first(fields, "act") == "preview":
            return _form(filled)
        schema = _schema(filled["schema"])
        blank = FeedbackTask(
            id=new_id(),
            organization_id=principal.organization_id,
            project_id=principal.project_id,
            created_at=datetime.now(UTC),
            name="",
            json_schema=schema,
        )
        task = _filled_in(blank, filled)
    except ValueError as exc:
        return _form(filled, fault=str(exc))
    await desk.feedback.add_task(task)
    return go_to(task_href(task.id))


async def _preview(request: Request, principal: Principal) -> Response:
    """The form that a schema makes, as a piece of a page."""
    fields = await read_form(request)
    return Response(fragment("preview.html", **_previewed(first(fields, "schema"))), media_type="text/html")


async def _task(desk: Desk, request: Request, principal: Principal) -> Response:
    task = await desk.task(principal, request.path_params["task_id"])
    return await _of_task(desk, task, principal, ended="ended" in request.query_params)


async def _change(desk: Desk, request: Request, principal: Principal) -> Response:
    task = await desk.task(principal, request.path_params["task_id"])
    fields = await read_form(request)
    try:
        changed = _filled_in(task, {name: first(fields, name) for name in _CHANGED})
    except ValueError as exc:
        return await _of_task(desk, task, principal, fault=str(exc))
    await desk.grading.change_task(changed)
    return go_to(task_href(task.id))


async def _of_task(
    desk: Desk, task: FeedbackTask, principal: Principal, *, ended: bool = False, fault: str | None = None
) -> Response:
    query = FeedbackQuery(organization_id=principal.organization_id, task_id=task.id, limit=COMPARED)
    progress = await desk.grading.progress(task, now=datetime.now(UTC))
    given, total = await desk.feedback.find(query)
    people = {one.given_by for one in given if one.given_by}
    return page(
        "task.html",
        status=422 if fault else 200,
        task=_shown(task),
        href=task_href(task.id),
        next_href=task_href(task.id, "next"),
        progress=progress,
        answers=present.count(total),
        people=present.count(len(people)),
        agreements=[
            {
                "question": present.visible(one.question),
                "calls": one.calls,
                "agreed": f"{one.agreed:.0%}",
                "beyond": present.DASH if one.beyond_chance is None else f"{one.beyond_chance:.2f}",
            }
            for one in agreement(given)
        ],
        compared=len(given),
        given=[_line(one) for one in given[:_LISTED]],
        questions=questions(task.json_schema),
        may_grade=Scope.WRITE in principal.scopes,
        ended=ended,
        fault=fault,
    )


def _form(filled: Mapping[str, str], *, fault: str | None = None) -> Response:
    return page(
        "task_new.html", status=422 if fault else 200, filled=filled, fault=fault, **_previewed(filled["schema"])
    )


def _previewed(schema: str) -> dict[str, object]:
    try:
        return {"questions": questions(_schema(schema)), "schema_fault": None}
    except ValueError as exc:
        return {"questions": (), "schema_fault": present.visible(str(exc))}


def _schema(text: str) -> JsonObject:
    try:
        schema = decode_json(text.encode(errors="surrogatepass"))
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"The schema is not JSON: {exc}") from exc
    if not isinstance(schema, dict):
        raise ValueError("The schema is no JSON object.")  # noqa: TRY004 - of what was typed in
    try:
        check_schema(schema)
    except ValueError as exc:
        raise ValueError(f"The schema {exc}.") from exc
    return schema


def _filled_in(task: FeedbackTask, filled: Mapping[str, str]) -> FeedbackTask:
    """``task`` with what was filled in. Raises ValueError."""
    for name, most in _MAX_CHARACTERS.items():
        if len(filled[name]) > most:
            raise ValueError(f"The {name} is longer than {most} characters.")
    if not filled["name"]:
        raise ValueError("The task needs a name.")
    tags = read_tags(filled["tags"])
    if len(tags) > _MAX_TAGS:
        raise ValueError(f"More than {_MAX_TAGS} tags are too many.")
    wanted = filled["answers"]
    if not wanted.isdecimal() or not 1 <= int(wanted[:4]) <= _MAX_ANSWERS:
        raise ValueError(f"From 1 to {_MAX_ANSWERS} people can be asked about each call.")
    return replace(task, name=filled["name"], instruction=filled["instruction"], tags=tags, answers_wanted=int(wanted))


def _shown(task: FeedbackTask) -> dict[str, object]:
    return {
        "id": task.id,
        "name": present.visible(task.name) or "Without a name",
        "instruction": present.visible(task.instruction, lines=True),
        "tags": [present.visible(tag) for tag in task.tags],
        "written_tags": write_tags(present.visible(tag) for tag in task.tags),
        "answers": task.answers_wanted,
        "created": present.time(task.created_at),
        "schema": present.visible(json.dumps(task.json_schema, indent=2, ensure_ascii=False), lines=True),
    }


def _line(one: Feedback) -> dict[str, object]:
    """Feedback in a list, and where what it is about is to be found."""
    about = [(present.visible(each), call_href(each)) for each in one.completion_ids[:3]]
    if one.session_id is not None:
        about.append((f"Session {present.visible(one.session_id)}", session_href(one.session_id)))
    if one.trace_id is not None:
        about.append((f"Trace {present.visible(one.trace_id)}", f"/?q=trace:{present.visible(one.trace_id)}"))
    return {
        "time": present.time(one.created_at),
        "by": present.text(one.given_by),
        "values": in_words(one.json_values),
        "comment": one.comment and present.visible(one.comment),
        "about": about,
        "more": max(0, len(one.completion_ids) - 3),
    }
