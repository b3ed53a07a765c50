"""What is wrong with a body, fault by fault, and how Maxim's clients are told.

Its APIs answer ``{"error": {"message", "code", "details"}}``. maxim-py shows the ``message``; ``details`` are the path
and the reason of each fault. What was sent is never repeated.
"""

from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from llm_proxy.api.resource import Fault
from llm_proxy.errors import Refused
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.trace import Kind

#: Faults that are told; who has more of them has seen enough.
MAX_FAULTS = 100

#: A path like ``logs[3].messages[0].role``, and what is wrong there.
Flaw: TypeAlias = tuple[str, str]

_TAGS = {
    "type": f"must be one of {', '.join(Kind)}",
    "object": "must be chat.completion or text_completion",
}
_MESSAGES = {
    "missing": "is required",
    "string_type": "must be a string",
    "dict_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "float_type": "must be a number",
    "too_short": "must not be empty",
}


class InvalidBody(Fault):
    """The body is not what it must be; nothing of it was stored."""

    def __init__(self, flaws: list[Flaw]) -> None:
        path, reason = flaws[0]
        more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
        super().__init__(f"{path or 'the body'} {reason}{more}", param=path or None, code="invalid_body")
        self.flaws = flaws


def maxim_error(refused: Refused) -> JsonObject:
    """An error as Maxim's APIs and SDKs have it."""
    error: JsonObject = {"message": str(refused), "code": refused.code}
    if isinstance(refused, InvalidBody):
        error["details"] = [{"path": path, "message": reason} for path, reason in refused.flaws[:MAX_FAULTS]]
    elif isinstance(refused, Fault) and refused.param is not None:
        error["details"] = [{"path": refused.param, "message": str(refused)}]
    return {"error": error}


def check(expected: TypeAdapter[Any], body: JsonValue) -> None:
    """Raises InvalidBody if ``body`` is not what is expected; nothing is converted."""
    try:
        expected.validate_python(body, strict=True)
    except ValidationError as exc:
        errors = exc.errors(include_url=False, include_input=False)
        raise InvalidBody([_flaw(body, error) for error in errors]) from exc


def _flaw(body: JsonValue, error: ErrorDetails) -> Flaw:
    """Where it is, and what. What pydantic puts into a path beside the members and places are the names of types."""
    path, here, is_missing = "", body, error["type"] == "missing"
    steps = error["loc"]
    for number, step in enumerate(steps, 1):
        if isinstance(here, dict) and (step in here or (is_missing and number == len(steps))):
            path, here = f"{path}.{step}" if path else str(step), here.get(str(step))
        elif isinstance(here, list) and isinstance(step, int) and step < len(here):
            path, here = f"{path}[{step}]", here[step]
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        member = "object" if path.endswith("result") else "type"
        return f"{path}.{member}", _TAGS[member]
    if error["type"] == "too_long":
        return path, f"must not have more than {error['ctx']['max_length']} members"
    told = _MESSAGES.get(error["type"], error["msg"].removeprefix("Value error, "))
    return path, told.replace("Input should", "must").replace(" should ", " must ")
