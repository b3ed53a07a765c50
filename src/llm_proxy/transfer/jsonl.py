"""Our own format: one JSON object a line, nothing lost.

A line has the members of ``record_json`` and, besides them, what that leaves out: the bytes of both bodies, when each
chunk arrived, the provider's usage object. Its first member, ``llm_proxy_record``, is the version of the format. A
reader takes what it does not know for the work of a newer program of the same version, and leaves it out; what it
knows must have its type.

Bytes stand as text if they are UTF-8, else as ``{"base64": "..."}``. ``raw`` is null for a record without its bodies.
"""

import base64
from array import array
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any, BinaryIO

import msgspec

from llm_proxy.model.completion import Bodies, Completion, Context, JsonObject, JsonValue, Status, Usage
from llm_proxy.model.cost_json import cost_from_json
from llm_proxy.model.exchange import Attempt, Chunks, Ending, Endpoint
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.model.record import record_json
from llm_proxy.transfer.base import BadRow, Row

#: Name of the first member of a line, and the version that is written.
VERSION_MEMBER = "llm_proxy_record"
VERSION = 1


class JsonlWriter:
    """Writes every record."""

    with_bodies = True

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, completion: Completion) -> str | None:
        """Write one record as a line."""
        try:
            line = encode_record(completion)
        except RecursionError:
            return "its JSON is nested too deep"
        self._file.write(line + b"\n")
        return None

    def close(self) -> None:
        """Nothing belongs at the end."""


def encode_record(completion: Completion) -> bytes:
    """The line of ``completion``, without its end. Raises RecursionError if its JSON is too deep."""
    bodies = completion.bodies
    line: JsonObject = {VERSION_MEMBER: VERSION} | record_json(completion, with_bodies=True)
    if completion.usage is not None and isinstance(usage := line["usage"], dict):
        usage["raw"] = completion.usage.raw
    # In record_json, a body that was not decoded stands in for its JSON.
    line["request"] = None if bodies is None else bodies.request
    line["response"] = None if bodies is None else bodies.response
    line["raw"] = None if bodies is None else _raw(bodies)
    return encode_json(line)


def decode_record(line: bytes) -> Completion:
    """The record that ``encode_record`` made ``line`` of. Raises ValueError with a reason in a few words."""
    try:
        value = decode_json(line)
    except (ValueError, RecursionError) as exc:
        raise ValueError("no valid JSON") from exc
    if not isinstance(value, dict) or VERSION_MEMBER not in value:
        raise ValueError(f"no {VERSION_MEMBER} of ours")
    if value[VERSION_MEMBER] != VERSION:
        raise ValueError(f"written in version {value[VERSION_MEMBER]} of the format, this program reads {VERSION}")
    try:
        return _completion(msgspec.convert(value, _Line))
    except (msgspec.ValidationError, ValueError, OverflowError) as exc:
        raise ValueError(str(exc)) from exc


def read_records(file: Iterable[bytes]) -> Iterator[Row]:
    """The records of a file, given as its lines; empty lines are none."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            yield decode_record(line)
        except ValueError as exc:
            yield BadRow(place=f"line {number}", reason=str(exc))


class _Base64(msgspec.Struct):
    base64: str


class _Raw(msgspec.Struct):
    request_body: str | _Base64 | None = None
    response_body: str | _Base64 | None = None
    chunk_times_us: list[int] = []
    chunk_sizes: list[int] = []
    #: One for each of the attempts.
    attempt_bodies: list[str | _Base64 | None] = []
    #: Those of what was sent after a 101.
    sent_times_us: list[int] = []
    sent_sizes: list[int] = []


class _Attempt(msgspec.Struct):
    upstream: str
    started_s: float
    ended_s: float
    provider: str | None = None
    model: str | None = None
    wait_s: float | None = None
    connect_s: float | None = None
    sent_s: float | None = None
    overhead_s: float | None = None
    queued_s: float | None = None
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None
    http_status: int | None = None
    failure: str | None = None
    reason: str | None = None
    headers: list[tuple[str, str | None]] = []


class _Usage(msgspec.Struct):
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    raw: dict[str, Any] = {}


class _Line(msgspec.Struct):
    """A line as it must be; what a record may not know may also be absent."""

    id: str
    organization_id: str
    status: Status
    method: str
    path: str
    endpoint: Endpoint
    started_at: str
    failure_kind: str | None = None
    failure_reason: str | None = None
    ending: Ending | None = None
    http_status: int | None = None
    provider: str | None = None
    upstream: str | None = None
    kind: str | None = None
    model: str | None = None
    response_model: str | None = None
    stream: bool | None = None
    tags: list[str] = []
    session_id: str | None = None
    session_inferred: bool = False
    session_name: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    metadata: dict[str, Any] = {}
    notes: list[str] = []
    client: str | None = None
    key_fingerprint: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    tags_edited: bool = False
    duration: float | None = None
    ttfb_s: float | None = None
    ttft_s: float | None = None
    connect_s: float | None = None
    longest_gap_s: float | None = None
    sent_s: float | None = None
    overhead_s: float | None = None
    queued_s: float | None = None
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None
    chunk_count: int | None = None
    usage: _Usage | None = None
    cost: dict[str, Any] | None = None
    finish_reasons: list[str] = []
    preview: str | None = None
    request_bytes: int | None = None
    response_bytes: int | None = None
    truncated: bool = False
    decode_problem: str | None = None
    request: Any = None
    response: Any = None
    request_headers: list[tuple[str, str | None]] | None = None
    response_headers: list[tuple[str, str | None]] | None = None
    stacktrace: Any = None
    attempts: list[_Attempt] = []
    raw: _Raw | None = None


def _raw(bodies: Bodies) -> JsonObject:
    return {
        "request_body": _text(bodies.request_body),
        "response_body": _text(bodies.response_body),
        "chunk_times_us": list(bodies.chunks.times_us),
        "chunk_sizes": list(bodies.chunks.sizes),
        "attempt_bodies": [_text(attempt.body) for attempt in bodies.attempts],
        "sent_times_us": list(bodies.sent.times_us),
        "sent_sizes": list(bodies.sent.sizes),
    }


def _text(body: bytes | None) -> JsonValue:
    try:
        return None if body is None else body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body or b"").decode("ascii")}


def _bytes(text: str | _Base64 | None) -> bytes | None:
    if isinstance(text, _Base64):
        return base64.b64decode(text.base64, validate=True)
    return None if text is None else text.encode()


def _completion(line: _Line) -> Completion:
    return Completion(
        id=line.id,
        organization_id=line.organization_id,
        status=line.status,
        ending=line.ending,
        failure_kind=line.failure_kind,
        failure_reason=line.failure_reason,
        http_status=line.http_status,
        provider=line.provider,
        upstream=line.upstream,
        method=line.method,
        path=line.path,
        endpoint=line.endpoint,
        kind=line.kind,
        model=line.model,
        response_model=line.response_model,
        stream=line.stream,
        context=_context(line),
        client=line.client,
        key_fingerprint=line.key_fingerprint,
        project_id=line.project_id,
        key_id=line.key_id,
        tags_edited=line.tags_edited,
        started_at=_time(line.started_at),
        duration_s=line.duration,
        ttfb_s=line.ttfb_s,
        ttft_s=line.ttft_s,
        connect_s=line.connect_s,
        longest_gap_s=line.longest_gap_s,
        sent_s=line.sent_s,
        overhead_s=line.overhead_s,
        queued_s=line.queued_s,
        dns_s=line.dns_s,
        tcp_s=line.tcp_s,
        tls_s=line.tls_s,
        chunk_count=line.chunk_count,
        usage=_usage(line.usage),
        cost=None if line.cost is None else cost_from_json(line.cost),
        finish_reasons=tuple(line.finish_reasons),
        preview=line.preview,
        request_bytes=line.request_bytes,
        response_bytes=line.response_bytes,
        truncated=line.truncated,
        decode_problem=line.decode_problem,
        bodies=None if line.raw is None else _bodies(line, line.raw),
    )


def _context(line: _Line) -> Context:
    return Context(
        tags=tuple(line.tags),
        session_id=line.session_id,
        session_inferred=line.session_inferred,
        session_name=line.session_name,
        user_id=line.user_id,
        trace_id=line.trace_id,
        metadata=line.metadata,
        notes=tuple(line.notes),
    )


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("started_at has no offset from UTC")
    return time.astimezone(UTC)


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    return Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.total_tokens,
        cached_input_tokens=usage.cached_input_tokens,
        reasoning_output_tokens=usage.reasoning_output_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        audio_input_tokens=usage.audio_input_tokens,
        audio_output_tokens=usage.audio_output_tokens,
        raw=usage.raw,
    )


def _bodies(line: _Line, raw: _Raw) -> Bodies:
    return Bodies(
        request_headers=tuple(line.request_headers or ()),
        response_headers=tuple(line.response_headers or ()),
        request_body=_bytes(raw.request_body),
        response_body=_bytes(raw.response_body),
        request=line.request,
        response=line.response,
        chunks=Chunks(times_us=array("Q", raw.chunk_times_us), sizes=array("Q", raw.chunk_sizes)),
        stacktrace=line.stacktrace,
        attempts=tuple(
            _attempt(attempt, body)
            for attempt, body in zip_longest(line.attempts, raw.attempt_bodies[: len(line.attempts)])
        ),
        sent=Chunks(times_us=array("Q", raw.sent_times_us), sizes=array("Q", raw.sent_sizes)),
    )


def _attempt(attempt: _Attempt, body: str | _Base64 | None) -> Attempt:
    members: dict[str, Any] = msgspec.structs.asdict(attempt) | {"headers": tuple(attempt.headers)}
    return Attempt(**members, body=_bytes(body))
