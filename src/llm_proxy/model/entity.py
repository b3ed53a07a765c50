"""A state of folding.py → the entity that it is. A value of the wrong type is as unknown as one that is absent."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.folding import State, canonical, listed, mapped, single, time_of
from llm_proxy.model.trace import Attachment, Entity, Evaluation, Failure, Feedback, Key

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Of all ids of records that are made of generations; drawn once.
_NAMESPACE = UUID("5f0d6c1e-8f0e-4b53-9a65-6d6b0f0a3c27")
#: What has a place of its own in an entity, or says nothing that would not be known.
_KNOWN = frozenset({
    "id", "type", "name", "sessionId", "traceId", "spanId", "startTimestamp", "endTimestamp", "timestamp",
    "input", "output", "provider", "model", "messages", "maximPromptId", "maximPromptVersionId", "result",
    "description", "args",
})  # fmt: skip


def entity_of(key: Key, state: State) -> Entity:
    """What ``state`` says of the entity ``key``."""
    return Entity(
        key=key,
        name=text_in(state, "name"),
        session_id=text_in(state, "sessionId"),
        trace_id=text_in(state, "traceId"),
        span_id=text_in(state, "spanId"),
        started_at=started_at(state),
        ended_at=time_of(single(state, "endTimestamp")),
        tags=_texts(mapped(state, "tags")),
        metadata=mapped(state, "metadata"),
        metrics=_numbers(mapped(state, "metrics")),
        input=single(state, "input"),
        output=single(state, "output"),
        feedback=tuple(map(_feedback, _objects(state, "feedback"))),
        evaluations=tuple(map(_evaluation, _objects(state, "evaluations"))),
        failures=tuple(map(_failure, _objects(state, "errors"))),
        attachments=tuple(map(_attachment, _objects(state, "attachments"))),
        provider=text_in(state, "provider"),
        model=text_in(state, "model"),
        messages=_messages(state),
        parameters=mapped(state, "modelParameters"),
        cost=_numbers(mapped(state, "cost")),
        prompt_id=text_in(state, "maximPromptId"),
        prompt_version_id=text_in(state, "maximPromptVersionId"),
        result=single(state, "result"),
        description=text_in(state, "description"),
        arguments=text_in(state, "args"),
        other=_other(state),
    )


def completion_id(organization_id: str, generation: Key) -> str:
    """The id of the record that stands for a generation: always the same one, and no other organisation's."""
    return str(uuid5(_NAMESPACE, canonical([organization_id, generation.repository, generation.id]).decode()))


def text_in(state: State, member: str) -> str | None:
    """The text that ``member`` is."""
    return _text(single(state, member))


def started_at(state: State) -> datetime:
    """When it began, as it was told, or when it was first heard of."""
    told = single(state, "startTimestamp") or single(state, "timestamp")
    return time_of(told) or _EPOCH + timedelta(microseconds=state["heard"])


def _other(state: State) -> JsonObject:
    other = {member: single(state, member) for member in sorted(state["one"]) if member not in _KNOWN}
    commands = listed(state, "commands")
    return other | {"commands": commands} if commands else other


def _messages(state: State) -> tuple[JsonValue, ...]:
    begun = single(state, "messages")
    return (*(begun if isinstance(begun, list) else ()), *listed(state, "addedMessages"))


def _feedback(told: JsonObject) -> Feedback:
    return Feedback(score=_number(told.get("score")), comment=_text(told.get("comment")))


def _evaluation(told: JsonObject) -> Evaluation:
    evaluators = told.get("evaluators")
    names = evaluators if isinstance(evaluators, list) else []
    return Evaluation(
        evaluators=tuple(name for name in names if isinstance(name, str)), variables=_object(told.get("variables"))
    )


def _failure(told: JsonObject) -> Failure:
    return Failure(
        message=_text(told.get("message")),
        code=_text(told.get("code")),
        type=_text(told.get("type")),
        id=_text(told.get("id")),
        metadata=_object(told.get("metadata")),
    )


def _attachment(told: JsonObject) -> Attachment:
    size = told.get("size")
    return Attachment(
        id=_text(told.get("id")) or "",
        name=_text(told.get("name")),
        url=_text(told.get("url")),
        key=_text(told.get("key")),
        mime_type=_text(told.get("mimeType")),
        size_bytes=size if isinstance(size, int) and not isinstance(size, bool) else None,
        tags=_texts(_object(told.get("tags"))),
        metadata=_object(told.get("metadata")),
    )


def _objects(state: State, member: str) -> list[JsonObject]:
    return [element for element in listed(state, member) if isinstance(element, dict)]


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: JsonValue) -> str | None:
    return value if isinstance(value, str) else None


def _number(value: JsonValue) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _texts(members: JsonObject) -> dict[str, str]:
    return {key: value for key, value in members.items() if isinstance(value, str)}


def _numbers(members: JsonObject) -> dict[str, float]:
    return {key: number for key, value in members.items() if (number := _number(value)) is not None}
