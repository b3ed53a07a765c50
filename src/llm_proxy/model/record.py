"""The one JSON shape of a record: what the API answers, ``logs --json`` prints and exports hold.

The members of the Log10 ``Completion`` schema have its names and units (``duration`` in seconds). Unknown is null.
Headers are lists of [name, value] pairs, since an object would lose their order and duplicates; the value of a header
that is recorded by its name only is null.
"""

from llm_proxy.model.completion import Bodies, Completion, JsonObject, JsonValue, Usage
from llm_proxy.model.exchange import RecordedHeaders


def record_json(completion: Completion, *, with_bodies: bool) -> JsonObject:
    """``completion`` as JSON; its bodies and headers are null if they were not read or not kept."""
    record = _head(completion) | _context(completion) | _timings(completion) | _outcome(completion)
    return record | _bodies(completion.bodies) if with_bodies else record


def _head(completion: Completion) -> JsonObject:
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


def _context(completion: Completion) -> JsonObject:
    context = completion.context
    return {
        "tags": list(context.tags),
        "session_id": context.session_id,
        "session_name": context.session_name,
        "user_id": context.user_id,
        "trace_id": context.trace_id,
        "metadata": context.metadata,
        "notes": list(context.notes),
        "client": completion.client,
        "key_fingerprint": completion.key_fingerprint,
    }


def _timings(completion: Completion) -> JsonObject:
    return {
        "started_at": completion.started_at.isoformat(timespec="microseconds"),
        "duration": completion.duration_s,
        "ttfb_s": completion.ttfb_s,
        "ttft_s": completion.ttft_s,
        "connect_s": completion.connect_s,
        "longest_gap_s": completion.longest_gap_s,
        "chunk_count": completion.chunk_count,
    }


def _outcome(completion: Completion) -> JsonObject:
    return {
        "usage": _usage(completion.usage),
        "finish_reasons": list(completion.finish_reasons),
        "preview": completion.preview,
        "request_bytes": completion.request_bytes,
        "response_bytes": completion.response_bytes,
        "truncated": completion.truncated,
        "decode_problem": completion.decode_problem,
        # A member of the Log10 schema that only a client library can know; it comes with the bodies.
        "stacktrace": None,
    }


def _usage(usage: Usage | None) -> JsonValue:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
    }


def _bodies(bodies: Bodies | None) -> JsonObject:
    if bodies is None:
        return {"request": None, "response": None, "request_headers": None, "response_headers": None}
    return {
        "request": _shown(bodies.request, bodies.request_body),
        "response": _shown(bodies.response, bodies.response_body),
        "request_headers": _pairs(bodies.request_headers),
        "response_headers": _pairs(bodies.response_headers),
        "stacktrace": bodies.stacktrace,
    }


def _shown(decoded: JsonValue, raw: bytes | None) -> JsonValue:
    """What was decoded, or else the bytes as text, so that nothing that is recorded stays unseen."""
    return raw.decode(errors="replace") if decoded is None and raw else decoded


def _pairs(headers: RecordedHeaders) -> JsonValue:
    return [[name, value] for name, value in headers]
