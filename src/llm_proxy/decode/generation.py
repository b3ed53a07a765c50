"""A generation that a program told of → the record of a call, so that it is listed, searched and graded like any other.

The record has an id of its own, which follows from organisation, repository and the id of the generation, and never
changes; where it comes from stands in its metadata under ``maxim``, with what a record has no place for. Pure.
"""

import json

from llm_proxy.decode.summary import as_text, call_text, last_user_text, preview_of, text_of, usage_of
from llm_proxy.model.completion import Bodies, Completion, Context, JsonObject, JsonValue, Status
from llm_proxy.model.entity import completion_id
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.tag_map import tags_of
from llm_proxy.model.trace import Entity, Settled

_ENDPOINTS = {"text_completion": Endpoint.TEXT, "response": Endpoint.RESPONSES}
#: As what the records show a call of each, since no path is told.
_PATHS = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.TEXT: "/v1/completions",
    Endpoint.RESPONSES: "/v1/responses",
}
#: Names and reasons stand in the rows of lists.
_NAME_CHARACTERS = 200
_REASON_CHARACTERS = 1000


def completion_of(organization_id: str, settled: Settled) -> Completion:
    """The record of a generation."""
    generation = settled.generation
    result = generation.result if isinstance(generation.result, dict) else {}
    endpoint = _ENDPOINTS.get(as_text(result.get("object")), Endpoint.CHAT)
    request = _request(generation, endpoint)
    status, kind, reason = _outcome(generation)
    ended_at = generation.ended_at
    return Completion(
        id=completion_id(organization_id, generation.key),
        organization_id=organization_id,
        project_id=generation.key.repository,
        status=status,
        ending=Ending.COMPLETE if status is Status.FINISHED else None,
        failure_kind=kind,
        failure_reason=reason,
        provider=_cut(generation.provider, _NAME_CHARACTERS),
        method="POST",
        path=_PATHS[endpoint],
        endpoint=endpoint,
        kind="prompt" if endpoint is Endpoint.TEXT else "chat",
        model=_cut(generation.model, _NAME_CHARACTERS),
        response_model=_cut(as_text(result.get("model")) or None, _NAME_CHARACTERS),
        context=Context(
            tags=tags_of(generation.tags),
            session_id=settled.session_id,
            trace_id=settled.trace_id,
            metadata={**generation.metadata, "maxim": _provenance(generation)},
        ),
        started_at=generation.started_at,
        duration_s=None if ended_at is None else max(0.0, (ended_at - generation.started_at).total_seconds()),
        usage=usage_of(_whole(result.get("usage"))),
        finish_reasons=_finish_reasons(result),
        preview=preview_of(last_user_text(list(generation.messages)), _reply(result)),
        bodies=Bodies(request=request, response=generation.result),
    )


def _request(generation: Entity, endpoint: Endpoint) -> JsonObject:
    asked: JsonValue = list(generation.messages)
    member = {Endpoint.RESPONSES: "input", Endpoint.TEXT: "prompt"}.get(endpoint, "messages")
    if endpoint is Endpoint.TEXT:
        asked = "\n".join(
            text_of(message.get("content")) for message in generation.messages if isinstance(message, dict)
        )
    return {
        "model": generation.model,
        member: asked,
        **{name: _parsed(value) for name, value in generation.parameters.items() if name not in ("model", member)},
    }


def _outcome(generation: Entity) -> tuple[Status, str | None, str | None]:
    if generation.failures:
        failure = generation.failures[-1]
        kind = _cut(failure.type or failure.code or "error", _NAME_CHARACTERS)
        return Status.FAILED, kind, _cut(failure.message, _REASON_CHARACTERS)
    has_ended = generation.result is not None or generation.ended_at is not None
    return Status.FINISHED if has_ended else Status.STARTED, None, None


def _provenance(generation: Entity) -> JsonObject:
    result = generation.result if isinstance(generation.result, dict) else {}
    facts: JsonObject = {
        "id": generation.key.id,
        "repository": generation.key.repository,
        "name": generation.name,
        "span_id": generation.span_id,
        "prompt_id": generation.prompt_id,
        "prompt_version_id": generation.prompt_version_id,
        "metrics": {**generation.metrics},
        "cost": {**generation.cost} or result.get("cost"),
    }
    return {name: value for name, value in facts.items() if value not in (None, {})}


def _reply(result: JsonObject) -> str:
    choices, output = result.get("choices"), result.get("output")
    if isinstance(choices, list) and choices and isinstance(first := choices[0], dict):
        message = first.get("message")
        if not isinstance(message, dict):
            return as_text(first.get("text"))
        return text_of(message.get("content")) or ", ".join(_called(message.get("tool_calls")))
    if isinstance(output, list):
        return " ".join(filter(None, (text_of(item.get("content")) for item in output if isinstance(item, dict))))
    return ""


def _called(calls: JsonValue) -> list[str]:
    functions = [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [
        call_text(function.get("name"), function.get("arguments"))
        for function in functions
        if isinstance(function, dict)
    ]


def _finish_reasons(result: JsonObject) -> tuple[str, ...]:
    choices = result.get("choices")
    told = (
        [choice.get("finish_reason") for choice in choices if isinstance(choice, dict)]
        if isinstance(choices, list)
        else []
    )
    return tuple(reason[:_NAME_CHARACTERS] for reason in told if isinstance(reason, str))


def _whole(usage: JsonValue) -> JsonValue:
    """Counts of tokens as whole numbers: the specification has them as numbers of any kind."""
    if not isinstance(usage, dict):
        return usage
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() else value for name, value in usage.items()
    }


def _parsed(value: JsonValue) -> JsonValue:
    """A parameter as it was: maxim-py writes all of them as text."""
    if not isinstance(value, str) or not value or value[0] not in '-0123456789tfn{["':
        return value
    try:
        parsed: JsonValue = json.loads(value, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return value
    return parsed


def _cut(text: str | None, characters: int) -> str | None:
    return text if text is None or len(text) <= characters else text[: characters - 1] + "…"
