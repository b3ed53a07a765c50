"""Feedback in the Log10 API: tasks, and what people answered to them.

Served to the specification's clients (log10py, log10ts) and to log10-io, which sends other words and reads other
members: see docs/log10.md for who gets what. Values are checked against the schema of their task.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import call_of
from llm_proxy.api.json_schema import check_schema, faults_of
from llm_proxy.api.log10 import Log10, page_of, query_of
from llm_proxy.api.log10_json import feedback_json, legacy_task_json, task_json
from llm_proxy.api.log10_rows import MAX_ID_CHARACTERS, MAX_TAG_CHARACTERS, MAX_TAGS
from llm_proxy.api.members import object_, text, texts, truth, whole, wrong
from llm_proxy.api.resource import Fault, Method, Table, answered, read_object
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.exchange import new_id
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask
from llm_proxy.model.query import CompletionQuery

#: Calls that one feedback may be about, unless it says so itself (the specification's default), and if it does.
DEFAULT_MATCHES = 100
MAX_MATCHES = 1000
_MAX_NAME_CHARACTERS = 1000
_MAX_TEXT_CHARACTERS = 100_000


def table(log10: Log10) -> Table:
    """What is answered."""
    read = partial(Method, scope=Scope.READ, by_project=True)
    write = partial(Method, scope=Scope.WRITE, by_project=True)
    return {
        "/api/v1/feedback_task": {
            "GET": read(answer=partial(_list_tasks, log10)),
            "POST": write(answer=partial(_create_task, log10)),
        },
        "/api/v1/feedback_task/{task_id}": {"GET": read(answer=partial(_get_task, log10))},
        "/api/v1/feedback": {
            "GET": read(answer=partial(_list, log10)),
            "POST": write(answer=partial(_upload, log10)),
        },
        "/api/v1/feedback/{feedback_id}": {"GET": read(answer=partial(_get, log10))},
    }


async def _create_task(log10: Log10, request: Request, principal: Principal) -> Response:
    given = await read_object(request)
    principal = await log10.sender(principal, given)
    schema = object_(given, "json_schema", needed=True)
    assert schema is not None
    try:
        check_schema(schema)
    except ValueError as exc:
        raise Fault(f"json_schema {exc}", param="json_schema", code="invalid_schema") from exc
    task = FeedbackTask(
        id=new_id(),
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        created_at=_now(),
        name=text(given, "name", needed=True, most=_MAX_NAME_CHARACTERS) or "",
        instruction=text(given, "instruction", most=_MAX_TEXT_CHARACTERS) or "",
        json_schema=schema,
        tags=_selector(given.get("completion_tags_selector")),
    )
    await log10.feedback.add_task(task)
    return answered(task_json(task))


async def _list_tasks(log10: Log10, request: Request, principal: Principal) -> Response:
    words = query_of(request, "offset", "limit")
    if "offset" not in words and "limit" not in words:
        return answered([task_json(task) for task in await _tasks(log10, principal)])
    offset, limit = page_of(words)
    tasks = await _tasks(log10, principal, offset=offset, limit=limit)
    return answered({"data": [legacy_task_json(task) for task in tasks]})


async def _get_task(log10: Log10, request: Request, principal: Principal) -> Response:
    return answered(task_json(await _task(log10, principal, request.path_params["task_id"], "taskId", status=404)))


async def _upload(log10: Log10, request: Request, principal: Principal) -> Response:
    given = await read_object(request)
    principal = await log10.sender(principal, given)
    task_id = text(given, "task_id", needed=True) or ""
    values = object_(given, "json_values", needed=True)
    assert values is not None
    comment = text(given, "comment", most=_MAX_TEXT_CHARACTERS)
    summary = text(given, "completions_summary", most=_MAX_TEXT_CHARACTERS)
    task = await _task(log10, principal, task_id, "task_id", status=400)
    _check_values(task, values)
    # Whoever is of the task's project sees what calls it is about.
    tags, ids = await _about(log10, replace(principal, project_id=task.project_id), given)
    feedback = Feedback(
        id=new_id(),
        organization_id=principal.organization_id,
        project_id=task.project_id,
        created_at=_now(),
        task_id=task.id,
        json_values=values,
        comment=comment,
        completions_summary=summary,
        tags=tags,
        completion_ids=tuple(ids),
    )
    await log10.feedback.add(feedback)
    return answered(feedback_json(feedback, task.name))


async def _list(log10: Log10, request: Request, principal: Principal) -> Response:
    # The specification has the conditions in the body of the GET, log10-io has them in its query.
    given = {**query_of(request, "offset", "limit"), **await read_object(request, needed=False)}
    principal = await log10.sender(principal, given)
    offset, limit = page_of(given)
    query = FeedbackQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        task_id=text(given, "task_id") or None,
        completion_id=text(given, "completion_id") or None,
        offset=offset,
        limit=limit,
    )
    found, total = await log10.feedback.find(query)
    names = {task.id: task.name for task in await _tasks(log10, principal)}
    listed: list[JsonValue] = [feedback_json(one, names.get(one.task_id)) for one in found]
    # log10-io asks on until it has read ``total``, counting from its offset.
    return answered({"feedback": listed, "data": listed, "total": max(0, total - offset)})


async def _get(log10: Log10, request: Request, principal: Principal) -> Response:
    feedback_id: str = request.path_params["feedback_id"]
    found = await log10.feedback.get(principal.organization_id, feedback_id)
    if found is None or not principal.has_project(found.project_id):
        raise Fault(f"there is no feedback {feedback_id!r}", status=404, code="not_found", param="feedbackId")
    task = await log10.feedback.task(principal.organization_id, found.task_id)
    return answered(feedback_json(found, None if task is None else task.name))


async def _tasks(
    log10: Log10, principal: Principal, *, offset: int = 0, limit: int | None = None
) -> Sequence[FeedbackTask]:
    owner, project = principal.organization_id, principal.project_id
    return await log10.feedback.tasks(owner, project_id=project, offset=offset, limit=limit)


async def _task(log10: Log10, principal: Principal, task_id: str, param: str, *, status: int) -> FeedbackTask:
    task = await log10.feedback.task(principal.organization_id, task_id)
    if task is None or not principal.has_project(task.project_id):
        raise Fault(f"there is no feedback task {task_id!r}", status=status, code="not_found", param=param)
    return task


def _check_values(task: FeedbackTask, values: JsonObject) -> None:
    try:
        faults = faults_of(task.json_schema, values)
    except ValueError as exc:
        raise Fault(f"json_values cannot be checked: {exc}", param="json_values") from exc
    if faults:
        path, reason = faults[0]
        more = f"; and {len(faults) - 1} more" if len(faults) > 1 else ""
        message = f"json_values{path}: {reason} (by the schema of its task{more})"
        raise Fault(message, param=f"json_values{path}", code="invalid_values")


async def _about(log10: Log10, principal: Principal, given: JsonObject) -> tuple[tuple[str, ...], Sequence[str]]:
    """The tags that the calls were chosen by, if they were, and the ids of the calls."""
    ids, selector = given.get("completion_ids"), given.get("completion_tags_selector")
    if ids is not None and selector is not None:
        wrong("completion_ids", "and completion_tags_selector do not go together; send one of them")
    if ids is not None:
        return (), await _named(log10, principal, ids)
    if selector is None:
        wrong("completion_tags_selector", "or completion_ids is required")
    tags = _selector(selector)
    if not tags:
        wrong("completion_tags_selector", "must have a tag: without one it would be about every call")
    most = whole(given, "max_matched_completions", least=1, most=MAX_MATCHES) or DEFAULT_MATCHES
    unmatched = truth(given, "allow_unmatched_feedback") or False
    return tags, await _matched(log10, principal, tags, most=most, unmatched=unmatched)


async def _named(log10: Log10, principal: Principal, ids: JsonValue) -> Sequence[str]:
    named = texts(ids, "completion_ids", most=MAX_MATCHES, most_characters=MAX_ID_CHARACTERS)
    if not named:
        wrong("completion_ids", "must not be empty")
    if isinstance(ids, list) and len(ids) != len(named):
        wrong("completion_ids", "must not name a completion twice")
    for index, completion_id in enumerate(named):
        if await call_of(log10.store, completion_id, principal) is None:
            message = f"there is no completion {completion_id!r}"
            raise Fault(message, code="not_found", param=f"completion_ids[{index}]")
    return named


async def _matched(
    log10: Log10, principal: Principal, tags: tuple[str, ...], *, most: int, unmatched: bool
) -> Sequence[str]:
    query = CompletionQuery(
        organization_id=principal.organization_id, project_id=principal.project_id, tags=tags, limit=most
    )
    page = await log10.store.find(query)
    if page.next is not None:
        message = f"completion_tags_selector matches more than {most} completions (max_matched_completions)"
        raise Fault(message, code="too_many_matches", param="max_matched_completions")
    if not page.completions and not unmatched:
        message = "completion_tags_selector matches no completion; allow_unmatched_feedback would let it pass"
        raise Fault(message, code="no_match", param="completion_tags_selector")
    return [one.id for one in page.completions]


def _selector(given: JsonValue) -> tuple[str, ...]:
    """Tags, as a list (log10-io, log10ts), or in an object, which the specification has for them."""
    if given is None or given == {}:
        return ()
    if isinstance(given, dict):
        given = given["tags"] if "tags" in given else list(given.values())
    name = "completion_tags_selector"
    return texts(given, name, most=MAX_TAGS, most_characters=MAX_TAG_CHARACTERS)


def _now() -> datetime:
    return datetime.now(UTC)
