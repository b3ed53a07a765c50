"""What the clients of Log10 send of a call, checked, as the row that it is.

The specification has objects and seconds. log10-io and log10js, on paths without a version, write request, response
and stack trace as JSON in a string, and milliseconds; one of log10-io's own functions misspells the stack trace.
"""

from llm_proxy.api.members import choice, number, object_, text, texts, wrong
from llm_proxy.api.resource import Fault, decode_strictly
from llm_proxy.model.completion import JsonObject, JsonValue, Status
from llm_proxy.model.pushed import PushedRow

MAX_TAGS = 1000
MAX_TAG_CHARACTERS = 1000
MAX_ID_CHARACTERS = 200
#: Of reasons and names.
_MAX_TEXT_CHARACTERS = 100_000
_MAX_FRAMES = 1000
_KINDS = {"chat": "chat", "prompt": "prompt", "completion": "prompt"}
#: What has no place of its own in a record.
_FACTS = ("orig_module", "orig_qualname")
_FRAME = {"file": "a string", "line": "a string", "lineno": "a number", "name": "a string"}


def row_of(given: JsonObject) -> PushedRow:
    """A completion as the specification has it."""
    return _row(
        given,
        request=object_(given, "request"),
        response=object_(given, "response"),
        stacktrace=_frames(given, "stack_trace" if given.get("stacktrace") is None else "stacktrace"),
        duration_s=number(given, "duration"),
    )


def legacy_row_of(given: JsonObject) -> PushedRow:
    """A row as log10-io and log10js post it."""
    unpacked = {**given, **{name: _unpacked(given, name) for name in ("request", "response", "stacktrace")}}
    duration_ms = number(given, "duration")
    return _row(
        given,
        request=object_(unpacked, "request"),
        response=object_(unpacked, "response"),
        stacktrace=_frames(unpacked, "stacktrace"),
        duration_s=None if duration_ms is None else duration_ms / 1000,
    )


def checked_id(completion_id: str, param: str = "id") -> str:
    """An id that a client has made. Raises Fault."""
    if not completion_id or not completion_id.isprintable():
        wrong(param, "must be visible text")
    if len(completion_id) > MAX_ID_CHARACTERS:
        wrong(param, f"must not be longer than {MAX_ID_CHARACTERS} characters")
    return completion_id


def _row(
    given: JsonObject,
    *,
    request: JsonObject | None,
    response: JsonObject | None,
    stacktrace: JsonValue,
    duration_s: float | None,
) -> PushedRow:
    kind, status, tags = choice(given, "kind", tuple(_KINDS)), choice(given, "status", tuple(Status)), given.get("tags")
    facts = {name: fact for name in _FACTS if (fact := text(given, name, most=MAX_ID_CHARACTERS))}
    return PushedRow(
        kind=None if kind is None else _KINDS[kind],
        status=None if status is None else Status(status),
        tags=None if tags is None else texts(tags, "tags", most=MAX_TAGS, most_characters=MAX_TAG_CHARACTERS),
        request=request,
        response=response,
        stacktrace=stacktrace,
        session_id=text(given, "session_id", most=MAX_ID_CHARACTERS) or None,
        duration_s=duration_s,
        failure_kind=text(given, "failure_kind", most=_MAX_TEXT_CHARACTERS),
        failure_reason=text(given, "failure_reason", most=_MAX_TEXT_CHARACTERS),
        facts={**facts},
    )


def _unpacked(given: JsonObject, name: str) -> JsonValue:
    """What stands in a string as JSON; an object is taken as it is."""
    value = given.get(name)
    if not isinstance(value, str):
        return value
    try:
        return decode_strictly(value.encode("utf-8", "surrogatepass"))
    except ValueError as exc:
        raise Fault(f"{name} is no JSON: {exc}", param=name, code="invalid_json") from exc


def _frames(given: JsonObject, name: str) -> JsonValue:
    frames = given.get(name)
    if frames is None:
        return None
    if not isinstance(frames, list):
        wrong(name, "must be a list of frames")
    if len(frames) > _MAX_FRAMES:
        wrong(name, f"must not have more than {_MAX_FRAMES} members")
    for index, frame in enumerate(frames):
        if not isinstance(frame, dict):
            wrong(f"{name}[{index}]", "must be an object")
        for member, kind in _FRAME.items():
            value = frame.get(member)
            fits = isinstance(value, str) if kind == "a string" else _is_number(value)
            if not fits:
                wrong(f"{name}[{index}].{member}", f"must be {kind}")
    return frames


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
