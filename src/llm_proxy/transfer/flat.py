"""A record as one flat row of named, typed columns, for tables of all kinds. What is unknown is None."""

from datetime import datetime
from typing import Literal, TypeAlias

from llm_proxy.model.completion import Completion, Cost, JsonValue, Usage
from llm_proxy.model.cost_json import cost_json, decimal_text
from llm_proxy.model.json_text import encode_json

FlatValue: TypeAlias = "str | int | float | bool | datetime | list[str] | None"
#: ``json`` is text, too: a JSON value in compact form.
FlatType: TypeAlias = Literal["text", "int", "float", "bool", "time", "texts", "json"]

#: Name and type of each column, in order. New ones come last: who reads by position reads on.
COLUMNS: dict[str, FlatType] = {
    "id": "text",
    "organization_id": "text",
    "started_at": "time",
    "status": "text",
    "ending": "text",
    "failure_kind": "text",
    "failure_reason": "text",
    "http_status": "int",
    "provider": "text",
    "upstream": "text",
    "method": "text",
    "path": "text",
    "endpoint": "text",
    "kind": "text",
    "model": "text",
    "response_model": "text",
    "stream": "bool",
    "tags": "texts",
    "session_id": "text",
    "session_name": "text",
    "user_id": "text",
    "trace_id": "text",
    "metadata": "json",
    "notes": "texts",
    "client": "text",
    "key_fingerprint": "text",
    "project_id": "text",
    "key_id": "text",
    "duration_s": "float",
    "ttfb_s": "float",
    "ttft_s": "float",
    "connect_s": "float",
    "longest_gap_s": "float",
    "chunk_count": "int",
    "input_tokens": "int",
    "output_tokens": "int",
    "total_tokens": "int",
    "cached_input_tokens": "int",
    "reasoning_output_tokens": "int",
    "usage": "json",
    "finish_reasons": "texts",
    "preview": "text",
    "request_bytes": "int",
    "response_bytes": "int",
    "truncated": "bool",
    "decode_problem": "text",
    "cache_write_input_tokens": "int",
    "audio_input_tokens": "int",
    "audio_output_tokens": "int",
    "cost_usd": "text",
    "cost": "json",
    "tokens_per_s": "float",
    "sent_s": "float",
    "overhead_s": "float",
    "queued_s": "float",
    "dns_s": "float",
    "tcp_s": "float",
    "tls_s": "float",
}


def flat_row(completion: Completion) -> dict[str, FlatValue]:
    """The row of ``completion``, in the order of ``COLUMNS``; its bodies are not in it."""
    context, usage = completion.context, completion.usage or Usage()
    return {
        "id": completion.id,
        "organization_id": completion.organization_id,
        "started_at": completion.started_at,
        "status": completion.status.value,
        "ending": completion.ending.value if completion.ending else None,
        "failure_kind": completion.failure_kind,
        "failure_reason": completion.failure_reason,
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
        "tags": list(context.tags),
        "session_id": context.session_id,
        "session_name": context.session_name,
        "user_id": context.user_id,
        "trace_id": context.trace_id,
        "metadata": json_text(context.metadata or None),
        "notes": list(context.notes),
        **_caller(completion),
        "duration_s": completion.duration_s,
        "ttfb_s": completion.ttfb_s,
        "ttft_s": completion.ttft_s,
        "connect_s": completion.connect_s,
        "longest_gap_s": completion.longest_gap_s,
        "chunk_count": completion.chunk_count,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_output_tokens": usage.reasoning_output_tokens,
        "usage": json_text(usage.raw or None),
        "finish_reasons": list(completion.finish_reasons),
        "preview": completion.preview,
        "request_bytes": completion.request_bytes,
        "response_bytes": completion.response_bytes,
        "truncated": completion.truncated,
        "decode_problem": completion.decode_problem,
        **_charged(usage, completion.cost),
        **_timed(completion),
    }


def _caller(completion: Completion) -> dict[str, FlatValue]:
    return {
        "client": completion.client,
        "key_fingerprint": completion.key_fingerprint,
        "project_id": completion.project_id,
        "key_id": completion.key_id,
    }


def _charged(usage: Usage, cost: Cost | None) -> dict[str, FlatValue]:
    """The columns that came with prices."""
    return {
        "cache_write_input_tokens": usage.cache_write_input_tokens,
        "audio_input_tokens": usage.audio_input_tokens,
        "audio_output_tokens": usage.audio_output_tokens,
        "cost_usd": None if cost is None or cost.usd is None else decimal_text(cost.usd),
        "cost": None if cost is None else encode_json(cost_json(cost)).decode(),
    }


def _timed(completion: Completion) -> dict[str, FlatValue]:
    """The columns that came with what each step took."""
    return {
        "tokens_per_s": completion.tokens_per_s,
        "sent_s": completion.sent_s,
        "overhead_s": completion.overhead_s,
        "queued_s": completion.queued_s,
        "dns_s": completion.dns_s,
        "tcp_s": completion.tcp_s,
        "tls_s": completion.tls_s,
    }


def json_text(value: JsonValue) -> str | None:
    """``value`` as compact JSON; None for null. Raises RecursionError if it is too deep."""
    return None if value is None else encode_json(value).decode()
