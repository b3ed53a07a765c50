"""The one JSON shape of a record: what the API answers, ``logs --json`` prints and exports hold.

The members of the Log10 ``Completion`` schema have its names and units (``duration`` in seconds). Unknown is null.
Headers are lists of [name, value] pairs, since an object would lose their order and duplicates; the value of a header
that is recorded by its name only is null.

The types say what each member is, for whoever describes the API.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Annotated, Any, TypedDict

from msgspec import Meta

from llm_proxy.model.completion import Completion, JsonObject, JsonValue, Status, Usage
from llm_proxy.model.cost_json import CostFields, cost_json
from llm_proxy.model.exchange import Attempt, Ending, Endpoint, RecordedHeaders


class FieldGroup(StrEnum):
    """Members of a record that are asked for together."""

    HEAD = "head"
    CONTEXT = "context"
    TIMINGS = "timings"
    OUTCOME = "outcome"
    BODIES = "bodies"


class HeadFields(TypedDict):
    """What the call was, and how it ended."""

    id: str
    organization_id: str
    status: Annotated[str, Meta(extra_json_schema={"enum": [*Status]})]
    failure_kind: str | None
    failure_reason: str | None
    ending: Annotated[str, Meta(extra_json_schema={"enum": [*Ending]})] | None
    http_status: int | None
    provider: str | None
    upstream: str | None
    method: str
    path: str
    endpoint: Annotated[str, Meta(extra_json_schema={"enum": [*Endpoint]})]
    kind: str | None
    model: str | None
    response_model: str | None
    stream: bool | None


class ContextFields(TypedDict):
    """Who and what it belongs to."""

    tags: list[str]
    session_id: str | None
    session_inferred: bool
    session_name: str | None
    user_id: str | None
    trace_id: str | None
    metadata: dict[str, Any]
    notes: list[str]
    client: str | None
    key_fingerprint: str | None
    project_id: str | None
    key_id: str | None
    #: Whether somebody has changed the tags by hand.
    tags_edited: bool


class TimingFields(TypedDict):
    """When it was, and how long it took, in seconds."""

    started_at: str
    duration: float | None
    ttfb_s: float | None
    ttft_s: float | None
    connect_s: float | None
    longest_gap_s: float | None
    chunk_count: int | None
    tokens_per_s: float | None
    sent_s: float | None
    overhead_s: float | None
    queued_s: float | None
    dns_s: float | None
    tcp_s: float | None
    tls_s: float | None


class UsageFields(TypedDict):
    """Tokens as the provider counted them."""

    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached_input_tokens: int | None
    reasoning_output_tokens: int | None
    cache_write_input_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    #: Whether nobody counted them, and the text was measured.
    estimated: bool


class OutcomeFields(TypedDict):
    """What came of it."""

    usage: UsageFields | None
    cost: CostFields | None
    finish_reasons: list[str]
    preview: str | None
    request_bytes: int | None
    response_bytes: int | None
    truncated: bool
    decode_problem: str | None
    #: A member of the Log10 schema that only a client library can know; it comes with the bodies.
    stacktrace: Any


class AttemptFields(TypedDict):
    """One of several attempts to have a call answered; offsets in seconds."""

    upstream: str
    provider: str | None
    model: str | None
    started_s: float
    ended_s: float
    wait_s: float | None
    connect_s: float | None
    sent_s: float | None
    overhead_s: float | None
    queued_s: float | None
    dns_s: float | None
    tcp_s: float | None
    tls_s: float | None
    http_status: int | None
    failure: str | None
    reason: str | None
    headers: list[list[str | None]]
    #: Beginning of the body of a failure, as text.
    body: str | None


class BodyFields(TypedDict):
    """What was sent and answered, decoded; and the recorded headers, as pairs of name and value."""

    request: Any
    response: Any
    request_headers: list[list[str | None]] | None
    response_headers: list[list[str | None]] | None
    stacktrace: Any
    #: If there was more than one, all of them.
    attempts: list[AttemptFields]


class Record(HeadFields, ContextFields, TimingFields, OutcomeFields, BodyFields):
    """A completion."""


def record_json(completion: Completion, *, with_bodies: bool) -> JsonObject:
    """``completion`` as JSON; its bodies and headers are null if they were not read or not kept."""
    groups = set(FieldGroup) if with_bodies else set(FieldGroup) - {FieldGroup.BODIES}
    return record_fields(completion, groups)


def record_fields(completion: Completion, groups: Collection[FieldGroup]) -> JsonObject:
    """The members of these groups, and the id."""
    members: dict[str, Any] = {"id": completion.id}
    for group, fields in _GROUPS.items():
        if group in groups:
            members |= fields(completion)
    return members


def _head(completion: Completion) -> HeadFields:
    return {
        "id": completion.id,
        "organization_id": completion.organization_id,
        "status": completion.status.value,
        "failure_kind": completion.failure_kind,
        "failure_reason": completion.failure_reason,
        "ending": completion.ending.value if completion.ending else None,
        "http_status": completion.http_status,
        "provider": completion.provider,
        "upstream": completion.upstream,
        "method": completion.method,
        "path": completion.path,
        "endpoint": completion.endpoint.value,
        "kind": completion.kind,
        "model": completion.model,
        "response_model": completion.response_model,
        "stream": completion.stream,
    }


def _context(completion: Completion) -> ContextFields:
    context = completion.context
    return {
        "tags": list(context.tags),
        "session_id": context.session_id,
        "session_inferred": context.session_inferred,
        "session_name": context.session_name,
        "user_id": context.user_id,
        "trace_id": context.trace_id,
        "metadata": context.metadata,
        "notes": list(context.notes),
        "client": completion.client,
        "key_fingerprint": completion.key_fingerprint,
        "project_id": completion.project_id,
        "key_id": completion.key_id,
        "tags_edited": completion.tags_edited,
    }


def _timings(completion: Completion) -> TimingFields:
    return {
        "started_at": completion.started_at.isoformat(timespec="microseconds"),
        "duration": completion.duration_s,
        "ttfb_s": completion.ttfb_s,
        "ttft_s": completion.ttft_s,
        "connect_s": completion.connect_s,
        "longest_gap_s": completion.longest_gap_s,
        "chunk_count": completion.chunk_count,
        "tokens_per_s": completion.tokens_per_s,
        "sent_s": completion.sent_s,
        "overhead_s": completion.overhead_s,
        "queued_s": completion.queued_s,
        "dns_s": completion.dns_s,
        "tcp_s": completion.tcp_s,
        "tls_s": completion.tls_s,
    }


def _outcome(completion: Completion) -> OutcomeFields:
    return {
        "usage": _usage(completion.usage),
        "cost": None if completion.cost is None else cost_json(completion.cost),
        "finish_reasons": list(completion.finish_reasons),
        "preview": completion.preview,
        "request_bytes": completion.request_bytes,
        "response_bytes": completion.response_bytes,
        "truncated": completion.truncated,
        "decode_problem": completion.decode_problem,
        "stacktrace": None,
    }


def _usage(usage: Usage | None) -> UsageFields | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
        "cache_write_input_tokens": usage.cache_write_input_tokens,
        "audio_input_tokens": usage.audio_input_tokens,
        "audio_output_tokens": usage.audio_output_tokens,
        "estimated": usage.is_estimated,
    }


def _bodies(completion: Completion) -> BodyFields:
    bodies = completion.bodies
    if bodies is None:
        return {
            "request": None,
            "response": None,
            "request_headers": None,
            "response_headers": None,
            "stacktrace": None,
            "attempts": [],
        }
    return {
        "request": _shown(bodies.request, bodies.request_body),
        "response": _shown(bodies.response, bodies.response_body),
        "request_headers": _pairs(bodies.request_headers),
        "response_headers": _pairs(bodies.response_headers),
        "stacktrace": bodies.stacktrace,
        "attempts": [_attempt(attempt) for attempt in bodies.attempts],
    }


def _attempt(attempt: Attempt) -> AttemptFields:
    return {
        "upstream": attempt.upstream,
        "provider": attempt.provider,
        "model": attempt.model,
        "started_s": attempt.started_s,
        "ended_s": attempt.ended_s,
        "wait_s": attempt.wait_s,
        "connect_s": attempt.connect_s,
        "sent_s": attempt.sent_s,
        "overhead_s": attempt.overhead_s,
        "queued_s": attempt.queued_s,
        "dns_s": attempt.dns_s,
        "tcp_s": attempt.tcp_s,
        "tls_s": attempt.tls_s,
        "http_status": attempt.http_status,
        "failure": attempt.failure,
        "reason": attempt.reason,
        "headers": _pairs(attempt.headers),
        "body": None if attempt.body is None else attempt.body.decode(errors="replace"),
    }


def _shown(decoded: JsonValue, raw: bytes | None) -> JsonValue:
    """What was decoded, or else the bytes as text, so that nothing that is recorded stays unseen."""
    return raw.decode(errors="replace") if decoded is None and raw else decoded


def _pairs(headers: RecordedHeaders) -> list[list[str | None]]:
    return [[name, value] for name, value in headers]


_GROUPS: Mapping[FieldGroup, Callable[[Completion], Mapping[str, Any]]] = {
    FieldGroup.HEAD: _head,
    FieldGroup.CONTEXT: _context,
    FieldGroup.TIMINGS: _timings,
    FieldGroup.OUTCOME: _outcome,
    FieldGroup.BODIES: _bodies,
}
