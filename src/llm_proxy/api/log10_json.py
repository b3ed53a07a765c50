"""What the clients of Log10 are answered with. Each member that one of them needs is there, in its type.

Where they want different things of one path, the answer has both: what log10py and log10ts were generated for, and what
log10-io reads. A member that the specification has as a string is never null.
"""

from collections.abc import Sequence
from datetime import datetime

from llm_proxy.model.chat_view import chat_request, chat_response
from llm_proxy.model.completion import Bodies, Completion, JsonObject, JsonValue
from llm_proxy.model.feedback import Feedback, FeedbackTask


def completion_json(completion: Completion) -> JsonObject:
    """A completion as the specification has it; what is not known is not there."""
    bodies = completion.bodies or Bodies()
    answer: JsonObject = {
        "id": completion.id,
        "organization_id": completion.organization_id,
        "kind": completion.kind if completion.kind in ("chat", "prompt") else None,
        "status": completion.status.value,
        "tags": list(completion.context.tags),
        "request": chat_request(bodies.request),
        "response": chat_response(bodies.response),
        "stacktrace": bodies.stacktrace if isinstance(bodies.stacktrace, list) else None,
        "session_id": completion.context.session_id,
        "duration": completion.duration_s,
        "failure_kind": completion.failure_kind,
        "failure_reason": completion.failure_reason,
    }
    return {name: value for name, value in answer.items() if value is not None}


def legacy_completion_json(completion: Completion, tag_ids: dict[str, str]) -> JsonObject:
    """A completion as log10-io reads it, whole; ``tag_ids`` are the ids of its tags."""
    bodies = completion.bodies or Bodies()
    is_chat = completion.kind == "chat"
    request, response = (chat_request(bodies.request), chat_response(bodies.response)) if is_chat else (None, None)
    return {
        "id": completion.id,
        "organization_id": completion.organization_id,
        "status": completion.status.value,
        "kind": "chat" if is_chat else "completion",
        "created_at": _time(completion.started_at),
        "request": request or _object(bodies.request),
        "response": response or _object(bodies.response),
        "duration": None if completion.duration_s is None else round(completion.duration_s * 1000),
        "session_id": completion.context.session_id,
        "failure_kind": completion.failure_kind,
        "failure_reason": completion.failure_reason,
        "stacktrace": bodies.stacktrace,
        "tags": list(completion.context.tags),
        "tagResolved": [{"id": tag_ids[tag], "name": tag} for tag in completion.context.tags],
    }


def legacy_listed_json(completion: Completion, tag_ids: dict[str, str]) -> JsonObject:
    """The same for a list, which log10-io prints: what somebody said must be text there, or it stumbles."""
    answer = legacy_completion_json(completion, tag_ids)
    request = answer["request"]
    if isinstance(request, dict) and isinstance(request.get("messages"), list):
        answer["request"] = {**request, "messages": [_as_text(message) for message in _list(request["messages"])]}
    return answer


def task_json(task: FeedbackTask) -> JsonObject:
    """A task as the specification has it, with its selector as an object."""
    return {
        "id": task.id,
        "organization_id": task.organization_id,
        "created_at_ms": _milliseconds(task.created_at),
        "created_at": _time(task.created_at),
        "name": task.name,
        "instruction": task.instruction,
        "json_schema": task.json_schema,
        "completion_tags_selector": {"tags": list(task.tags)} if task.tags else {},
    }


def legacy_task_json(task: FeedbackTask) -> JsonObject:
    """A task as log10-io lists it: with a selector as it sends it, and ``required``, without which it crashes."""
    return {
        **task_json(task),
        "json_schema": {"required": [], **task.json_schema},
        "completion_tags_selector": list(task.tags),
    }


def feedback_json(feedback: Feedback, task_name: str | None) -> JsonObject:
    """Feedback, with the name of its task."""
    answer: JsonObject = {
        "id": feedback.id,
        "organization_id": feedback.organization_id,
        "created_at_ms": _milliseconds(feedback.created_at),
        "created_at": _time(feedback.created_at),
        "task_id": feedback.task_id,
        "task_name": task_name or "",
        "json_values": feedback.json_values,
        "matched_completion_ids": list(feedback.completion_ids),
        "completion_tags_selector": list(feedback.tags),
        "comment": feedback.comment or "",
    }
    if feedback.completions_summary is not None:
        answer["completions_summary"] = feedback.completions_summary
    return answer


def _as_text(message: JsonValue) -> JsonValue:
    if not isinstance(message, dict) or isinstance(message.get("content"), str):
        return message
    parts = _list(message.get("content"))
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return {**message, "content": " ".join(text for text in texts if isinstance(text, str))}


def _list(value: JsonValue) -> Sequence[JsonValue]:
    return value if isinstance(value, list) else ()


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _milliseconds(time: datetime) -> int:
    return int(time.timestamp() * 1000)


def _time(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
