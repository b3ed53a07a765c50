"""What a program tells of a call of its own → the record of the call, piece by piece.

Pieces come in any order, and some of them twice. A record that has ended stays ended: a piece that only tells of its
start, and comes late, fills what is still unknown. Of what the proxy has seen itself, only what it could not see is
taken: the wire is not corrected by hearsay. Pure.
"""

from datetime import datetime, timedelta

from msgspec.structs import replace

from llm_proxy.decode.summary import last_user_text, preview_of, text_of, usage_of
from llm_proxy.model.chat_view import chat_request, chat_response, usage_counts
from llm_proxy.model.completion import Bodies, Completion, Context, JsonObject, JsonValue, Status, Usage
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.pushed import PushedRow

#: As what the records show a call of each kind, since no path is told.
_PATHS = {"chat": (Endpoint.CHAT, "/v1/chat/completions"), "prompt": (Endpoint.TEXT, "/v1/completions")}
#: By the beginning of the module whose call was logged.
_PROVIDERS = {
    "openai": "openai",
    "anthropic": "anthropic",
    "mistralai": "mistral",
    "vertexai": "google",
    "google.generativeai": "google",
}
#: Names and reasons stand in the rows of lists.
_NAME_CHARACTERS = 200
_REASON_CHARACTERS = 1000


def fold(
    found: Completion | None, row: PushedRow, *, completion_id: str, organization_id: str, now: datetime
) -> Completion:
    """The record ``found`` after ``row`` was told of it, or a new one."""
    if found is None:
        return _understood(_told(_new(completion_id, organization_id, row, now), row), row)
    if found.http_status is not None or found.upstream is not None:
        return _noted(found, row)
    if row.status is Status.STARTED and found.status is not Status.STARTED:
        return _understood(_filled(found, row), row)
    return _understood(_told(found, row), row)


def _new(completion_id: str, organization_id: str, row: PushedRow, now: datetime) -> Completion:
    # What is told of only when it is over began before.
    ago = timedelta(seconds=min(row.duration_s or 0, 86400.0)) if row.status is not Status.STARTED else timedelta()
    endpoint, path = _PATHS["chat"]
    return Completion(
        id=completion_id,
        organization_id=organization_id,
        status=Status.STARTED,
        method="POST",
        path=path,
        endpoint=endpoint,
        kind="chat",
        started_at=now - ago,
        bodies=Bodies(),
    )


def _told(found: Completion, row: PushedRow) -> Completion:
    """What the row says in place of what was known."""
    context, bodies = found.context, found.bodies or Bodies()
    status = row.status or found.status
    return replace(
        found,
        kind=row.kind or found.kind,
        status=status,
        ending=Ending.COMPLETE if status is Status.FINISHED else None,
        failure_kind=_cut(row.failure_kind, _NAME_CHARACTERS) if row.failure_kind is not None else found.failure_kind,
        failure_reason=_cut(row.failure_reason or found.failure_reason, _REASON_CHARACTERS),
        duration_s=found.duration_s if row.duration_s is None else row.duration_s,
        context=replace(
            context,
            tags=context.tags if row.tags is None else row.tags,
            session_id=row.session_id or context.session_id,
            metadata=_with_facts(context, row),
        ),
        bodies=replace(
            bodies,
            request=bodies.request if row.request is None else row.request,
            response=bodies.response if row.response is None else row.response,
            stacktrace=bodies.stacktrace if row.stacktrace is None else row.stacktrace,
        ),
    )


def _filled(found: Completion, row: PushedRow) -> Completion:
    """What the row says where nothing was known."""
    context, bodies = found.context, found.bodies or Bodies()
    return replace(
        found,
        duration_s=row.duration_s if found.duration_s is None else found.duration_s,
        context=replace(
            context,
            tags=context.tags or row.tags or (),
            session_id=context.session_id or row.session_id,
            metadata=_with_facts(context, row),
        ),
        bodies=replace(
            bodies,
            request=row.request if bodies.request is None else bodies.request,
            response=row.response if bodies.response is None else bodies.response,
            stacktrace=row.stacktrace if bodies.stacktrace is None else bodies.stacktrace,
        ),
    )


def _noted(found: Completion, row: PushedRow) -> Completion:
    """What only the program could tell of a call that the proxy has seen."""
    context = found.context
    bodies = found.bodies
    if row.stacktrace is not None:
        bodies = replace(bodies or Bodies(), stacktrace=row.stacktrace)
    return replace(
        found,
        context=replace(
            context,
            tags=tuple(dict.fromkeys([*context.tags, *(row.tags or ())])),
            session_id=context.session_id or row.session_id,
            metadata=_with_facts(context, row),
        ),
        bodies=bodies,
    )


def _understood(told: Completion, row: PushedRow) -> Completion:
    """``told`` with what follows from its bodies."""
    bodies = told.bodies or Bodies()
    request = bodies.request if isinstance(bodies.request, dict) else {}
    response = bodies.response if isinstance(bodies.response, dict) else {}
    endpoint, path = _PATHS.get(told.kind or "", _PATHS["chat"])
    asked, answered = chat_request(request) or {}, chat_response(response) or {}
    return replace(
        told,
        endpoint=endpoint,
        path=path,
        provider=_provider(row.facts, response) or told.provider,
        model=_name(request.get("model")),
        response_model=_name(response.get("model") or response.get("modelVersion")),
        stream=request["stream"] is True if "stream" in request else None,
        usage=_usage(response),
        finish_reasons=_finish_reasons(response),
        preview=preview_of(last_user_text(asked.get("messages")), _reply(answered)),
    )


def _with_facts(context: Context, row: PushedRow) -> JsonObject:
    known = context.metadata.get("log10")
    facts = {**(known if isinstance(known, dict) else {}), **row.facts}
    return {**context.metadata, "log10": facts} if facts else context.metadata


def _provider(facts: JsonObject, response: JsonObject) -> str | None:
    module = facts.get("orig_module")
    if isinstance(module, str):
        return next((provider for begin, provider in _PROVIDERS.items() if module.startswith(begin)), None)
    if response.get("type") == "message":
        return "anthropic"
    return "google" if "candidates" in response else None


def _usage(response: JsonObject) -> Usage | None:
    raw = response.get("usage") or response.get("usageMetadata")
    # log10-io writes zeros for Google, whose counts it does not read: no call takes nothing at all.
    if not isinstance(raw, dict) or not any(raw.values()):
        return None
    understood = usage_of({**raw, **(usage_counts(response) or {})})
    return None if understood is None else replace(understood, raw=raw)


def _reply(answer: JsonObject) -> str:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    message = first.get("message") if isinstance(first, dict) else {}
    if not isinstance(message, dict):
        return ""
    calls = message.get("tool_calls")
    return text_of(message.get("content")) or ", ".join(_written(call) for call in _list(calls))


def _written(call: JsonValue) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    return f"{function.get('name')}({function.get('arguments')})" if isinstance(function, dict) else ""


def _finish_reasons(response: JsonObject) -> tuple[str, ...]:
    choices = _list(response.get("choices") or response.get("candidates")) or [response]
    names = ("finish_reason", "finishReason", "stop_reason")
    told = [one.get(name) for one in choices if isinstance(one, dict) for name in names]
    return tuple(reason[:_NAME_CHARACTERS] for reason in told if isinstance(reason, str))


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _name(value: JsonValue) -> str | None:
    return _cut(value, _NAME_CHARACTERS) if isinstance(value, str) and value else None


def _cut(text: str | None, characters: int) -> str | None:
    return text if text is None or len(text) <= characters else text[: characters - 1] + "…"
