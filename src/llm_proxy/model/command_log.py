"""The lines in which Maxim's SDKs tell of their work → statements.

A line is ``ENTITY{id=ID,action=ACTION,data=JSON}``. What maxim-py and maxim-js write differs here and there (a metric
is a pair or a member, documents come with an update or with the end); both come out the same. A line of an entity that
is unknown, or whose data are of another type than they must be, is a fault; an action that is unknown is kept as it is,
so that a newer SDK loses nothing.
"""

import re
from collections.abc import Callable, Iterable
from typing import cast

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.folding import canonical, time_of
from llm_proxy.model.trace import MAX_TAGS, Kind, Stage, Statement

#: ``\Z`` and not ``$``, which would let a line break stand at the end.
_LINE = re.compile(
    rb"([A-Za-z_]{1,40})\{id=([A-Za-z0-9_-]{1,500}),action=([A-Za-z0-9_-]{1,60}),data=(.*)\}\Z", re.DOTALL
)
#: A line that stands for another one, which was uploaded since it is large.
STORAGE = "storage"
PROCESS_LARGE_LOG = "process-large-log"

KINDS = {
    "session": Kind.SESSION,
    "trace": Kind.TRACE,
    "span": Kind.SPAN,
    "generation": Kind.GENERATION,
    "retrieval": Kind.RETRIEVAL,
    "tool_call": Kind.TOOL_CALL,
    "toolCall": Kind.TOOL_CALL,
}
_CHILDREN = {
    "add-trace": Kind.TRACE,
    "add-span": Kind.SPAN,
    "add-generation": Kind.GENERATION,
    "add-retrieval": Kind.RETRIEVAL,
    "add-tool-call": Kind.TOOL_CALL,
    "add-event": Kind.EVENT,
}
#: Actions whose data are members of the entity.
_TELLING = frozenset({"create", "start", "update", "end", "result", "error"})
_PARENTS = {Kind.SESSION: "sessionId", Kind.TRACE: "traceId", Kind.SPAN: "spanId"}
#: What the members of a line must be; of others anything is taken.
_OBJECTS = frozenset({"tags", "metadata", "metrics", "modelParameters", "cost", "variables"})
_LISTS = frozenset({"messages", "evaluators"})
_TEXTS = frozenset({
    "id", "name", "sessionId", "traceId", "spanId", "provider", "model", "maximPromptId", "maximPromptVersionId",
    "description", "comment", "message", "key", "url", "mimeType",
})  # fmt: skip
_TIMES = frozenset({"startTimestamp", "endTimestamp"})


class Fault(ValueError):
    """What is wrong with a command, and where in it: ``path`` is like ``data.tags``."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class Command:
    """One line, taken apart; its data are still JSON text."""

    __slots__ = ("action", "data", "entity", "id")

    def __init__(self, line: bytes) -> None:
        """Raises Fault if it is none."""
        parts = _LINE.match(line)
        if parts is None:
            raise Fault("", "is no ENTITY{id=…,action=…,data=…}")
        self.entity, self.id, self.action = parts[1].decode(), parts[2].decode(), parts[3].decode()
        self.data = parts[4]


def statements(entity: str, entity_id: str, action: str, data: JsonValue, *, heard_at_us: int) -> list[Statement]:
    """What one command tells. Raises Fault."""
    kind = KINDS.get(entity)
    if kind is None:
        raise Fault("entity", f"must be one of {', '.join(KINDS)}")
    told = _checked(data)
    child = _CHILDREN.get(action)
    if child is not None:
        return [_child(kind, entity_id, child, told, heard_at_us)]
    stage = Stage.BEGUN if action in ("create", "start") else Stage.CHANGED
    read = _ACTIONS.get(action)
    members = _members(told, stage) if read is None else read(told)
    if read is None and action not in _TELLING:
        members = {"commands": [{"action": action, "data": data}]}
    return [Statement(kind=kind, id=entity_id, stage=stage, heard_at_us=heard_at_us, members=members)]


def _child(parent: Kind, parent_id: str, kind: Kind, told: JsonObject, heard_at_us: int) -> Statement:
    child_id = told.get("id")
    if not isinstance(child_id, str) or not child_id:
        raise Fault("data.id", "must be the id of what is added")
    members = _members({name: value for name, value in told.items() if name != "id"}, Stage.BEGUN)
    if parent in _PARENTS:
        members[_PARENTS[parent]] = parent_id
    return Statement(kind=kind, id=child_id, stage=Stage.BEGUN, heard_at_us=heard_at_us, members=members)


def _checked(data: JsonValue) -> JsonObject:
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise Fault("data", "must be an object")
    told: JsonObject = {name: value for name, value in data.items() if value is not None}
    for name, value in told.items():
        flaw = _flaw(name, value)
        if flaw is not None:
            raise Fault(f"data.{name}", flaw)
    return told


def _flaw(name: str, value: JsonValue) -> str | None:
    if name in _OBJECTS and not isinstance(value, dict):
        return "must be an object"
    if name == "tags" and len(_object(value)) > MAX_TAGS:
        return f"must not have more than {MAX_TAGS} members"
    if name in _LISTS and not isinstance(value, list):
        return "must be a list"
    if name in _TEXTS and not isinstance(value, str):
        return "must be a string"
    if name in _TIMES and time_of(value) is None:
        return "must be a time in ISO 8601"
    return None


def _members(told: JsonObject, stage: Stage) -> JsonObject:
    """The members of a command that creates, changes or ends something."""
    members = dict(told)
    if "tags" in members:
        members["tags"] = {key: _as_text(value) for key, value in _object(members["tags"]).items()}
    if "metrics" in members:
        members["metrics"] = _metrics(_object(members["metrics"]))
    if "docs" in members:
        members["output"] = members.pop("docs")
    if stage is Stage.CHANGED and "messages" in members:
        members["addedMessages"] = members.pop("messages")
    if "args" in members:
        members["args"] = _as_text(members["args"])
    if "error" in members:
        members["errors"] = [_error(_object(members.pop("error")))]
    if isinstance(members.get("input"), dict) and set(_object(members["input"])) == {"type", "value"}:
        members["input"] = _object(members["input"])["value"]  # of a span
    return _of_result(members)


def _of_result(members: JsonObject) -> JsonObject:
    """An error comes as a result that is none."""
    result = members.get("result")
    if isinstance(result, dict) and isinstance(result.get("error"), dict) and "choices" not in result:
        del members["result"]
        members["errors"] = [_error(_object(result["error"]))]
    return members


def _metrics(told: JsonObject) -> JsonObject:
    pair = set(told) == {"name", "value"} and isinstance(told["name"], str)
    metrics: JsonObject = {str(told["name"]): told["value"]} if pair else told
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Fault(f"data.metrics.{name}", "must be a number")
    return metrics


def _error(told: JsonObject) -> JsonObject:
    renamed = {"errorType": "type", "errorMessage": "message", "errorCode": "code", "errorId": "id"}
    error: JsonObject = {}
    for name, value in told.items():
        if value not in (None, ""):
            error[renamed.get(name, name)] = value
    return error


def _evaluation(told: JsonObject) -> JsonObject:
    evaluators = told.get("evaluators", [])
    names = sorted(str(name) for name in cast("list[JsonValue]", evaluators))  # maxim-py has them in a set
    evaluation: JsonObject = {"evaluators": cast("JsonValue", names)}
    if "variables" in told:
        evaluation["variables"] = told["variables"]
    return {"evaluations": [evaluation]}


def _attachment(told: JsonObject) -> JsonObject:
    if not isinstance(told.get("id"), str):
        raise Fault("data.id", "must be the id of the attachment")
    renamed = {"mime_type": "mimeType"}
    # The contents are uploaded; what of them comes here in spite of that is no part of a log.
    left_out = ("path", "data", "retry_count")
    attachment: JsonObject = {renamed.get(name, name): value for name, value in told.items() if name not in left_out}
    return {"attachments": [attachment]}


#: What the data of an action are, other than members of the entity.
_ACTIONS: dict[str, Callable[[JsonObject], JsonObject]] = {
    "add-feedback": lambda told: {"feedback": [told]},
    "add-error": lambda told: {"errors": [_error(told)]},
    "evaluate": _evaluation,
    "add-attachment": _attachment,
    "add-cost": lambda told: {"cost": _object(told.get("cost", told))},
}


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _as_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else canonical(value).decode()


def lines_of(body: bytes) -> Iterable[tuple[int, bytes]]:
    """The lines of a body with their numbers from 1 on, without empty ones."""
    return ((number, line) for number, raw in enumerate(body.split(b"\n"), 1) if (line := raw.rstrip(b"\r")).strip())
