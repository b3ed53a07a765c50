"""Records for tests: a plausible one with whatever a test wants different, and any that is possible at all."""

from array import array
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from llm_proxy.model.completion import (
    Bodies,
    Completion,
    Context,
    Cost,
    CostPart,
    CostSource,
    JsonObject,
    JsonValue,
    Status,
    Usage,
)
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, new_id
from llm_proxy.model.json_text import encode_json
from queue_exchanges import ATTEMPTS

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)

#: What a call costs for which an entry was found, and one for which none was.
COST = Cost(
    usd=Decimal("0.000065"),
    source=CostSource.LIST,
    version="genai-prices 0.2.3",
    entry="openai/gpt-4o",
    parts=(
        CostPart(name="input", quantity=14, rate=Decimal("0.0000025"), usd=Decimal("0.000035")),
        CostPart(name="output", quantity=3, rate=Decimal("0.00001"), usd=Decimal("0.00003")),
    ),
)
NO_COST = Cost(reason="unknown_model")

REQUEST: JsonObject = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
RESPONSE: JsonObject = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}],
}

BODIES = Bodies(
    request_headers=(("Content-Type", "application/json"), ("Authorization", None)),
    response_headers=(("content-type", "application/json"), ("x-request-id", "req_1"), ("x-request-id", "req_2")),
    request_body=b'{"model":"gpt-4o","messages":[{"role":"user","content":"What is the capital of France?"}]}',
    response_body=b'{ "id": "chatcmpl-1" }',
    request=REQUEST,
    response=RESPONSE,
    chunks=Chunks(times_us=array("Q", [410_000, 520_000]), sizes=array("Q", [12, 10])),
)


def record(**different: Any) -> Completion:
    """A finished chat completion, but for what is ``different``."""
    members: dict[str, Any] = {
        "id": new_id(),
        "status": Status.FINISHED,
        "ending": Ending.COMPLETE,
        "http_status": 200,
        "provider": "openai",
        "upstream": "default",
        "method": "POST",
        "path": "/v1/chat/completions",
        "endpoint": Endpoint.CHAT,
        "kind": "chat",
        "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "stream": False,
        "context": Context(
            tags=("nightly", "ci"),
            session_id="s-1",
            session_name="evening run",
            user_id="u-1",
            trace_id="0af7651916cd43dd8448eb211c80319c",
            metadata={"team": "search", "attempt": 2},
            notes=("a tag was too long and was cut",),
        ),
        "client": "127.0.0.1",
        "key_fingerprint": "5f1c…cdef",
        "project_id": "p-1",
        "key_id": "k-1",
        "started_at": NOON,
        "duration_s": 1.25,
        "ttfb_s": 0.4,
        "ttft_s": 0.41,
        "connect_s": 0.05,
        "longest_gap_s": 0.11,
        "sent_s": 0.056,
        "overhead_s": 0.002,
        "queued_s": 0.003,
        "dns_s": 0.01,
        "tcp_s": 0.015,
        "tls_s": 0.025,
        "chunk_count": 2,
        "usage": Usage(
            input_tokens=14,
            output_tokens=3,
            total_tokens=17,
            cached_input_tokens=0,
            raw={"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17},
        ),
        "finish_reasons": ("stop",),
        "preview": "What is the capital of France? → Paris.",
        "request_bytes": 88,
        "response_bytes": 22,
        "bodies": BODIES,
    }
    return Completion(**(members | different))


def tagged(*tags: str, **different: Any) -> Completion:
    """A record that has these tags and no other context."""
    return record(context=Context(tags=tags), **different)


def bare(**different: Any) -> Completion:
    """A record of which as little as possible is known."""
    members: dict[str, Any] = {
        "id": new_id(),
        "status": Status.STARTED,
        "method": "POST",
        "path": "/v1/chat/completions",
        "endpoint": Endpoint.CHAT,
        "started_at": NOON,
    }
    return Completion(**(members | different))


def conversation(turns: int, prefix: str = "", **different: Any) -> list[Completion]:
    """The calls of an agent that sends its whole history with each of them: one tool, and a message more every time.

    Each of these is long enough to be a piece. All conversations say the same; ``prefix`` begins their ids.
    """
    messages: list[JsonValue] = [_said("question")]
    calls = []
    for turn in range(turns):
        request: JsonObject = {"model": "gpt-4o", "messages": list(messages), "tools": [{"name": "t" * 600}]}
        bodies = replace(BODIES, request_body=encode_json(request), request=request)
        calls.append(record(id=f"{prefix}{turn:03}", bodies=bodies, **different))
        messages.append(_said(f"answer {turn}"))
    return calls


def _said(text: str) -> JsonObject:
    return {"role": "user", "content": f"{text} {'x' * 600}"}


#: Whatever a Python string can hold: NUL, lone surrogates, our own escape character.
texts = st.text(st.characters(exclude_categories=()), max_size=12) | st.sampled_from(["\x00", "\x1a0000", "\ud800", ""])
_maybe_texts = st.none() | texts
_numbers = st.integers() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | _numbers | texts,
    lambda members: st.lists(members, max_size=3) | st.dictionaries(texts, members, max_size=3),
    max_leaves=8,
)
_objects = st.dictionaries(texts, json_values, max_size=3)
_counts = st.none() | st.integers(0, 2**63 - 1)
_seconds = st.none() | st.floats(0, 1e9)
_headers = st.lists(st.tuples(texts, _maybe_texts), max_size=3).map(tuple)
_arrays = st.lists(st.integers(0, 2**64 - 1), max_size=4).map(lambda numbers: array("Q", numbers))
_several = st.lists(texts, max_size=3).map(tuple)

bodies = st.builds(
    Bodies,
    request_headers=_headers,
    response_headers=_headers,
    request_body=st.none() | st.binary(max_size=20),
    response_body=st.none() | st.binary(max_size=20),
    request=json_values,
    response=json_values,
    chunks=st.builds(Chunks, times_us=_arrays, sizes=_arrays),
    stacktrace=json_values,
    attempts=ATTEMPTS,
    sent=st.builds(Chunks, times_us=_arrays, sizes=_arrays),
)
_amounts = st.decimals(0, 10**9, places=12) | st.sampled_from([Decimal("1E-30"), Decimal("2E+5"), Decimal(0)])
costs = st.builds(
    Cost,
    usd=st.none() | _amounts,
    source=st.none() | st.sampled_from(CostSource),
    version=_maybe_texts,
    entry=_maybe_texts,
    parts=st.lists(
        st.builds(CostPart, name=texts, quantity=st.integers(0, 2**63) | _amounts, rate=_amounts, usd=_amounts),
        max_size=3,
    ).map(tuple),
    reason=_maybe_texts,
)
completions = st.builds(
    Completion,
    id=texts,
    organization_id=texts,
    status=st.sampled_from(Status),
    ending=st.none() | st.sampled_from(Ending),
    failure_kind=_maybe_texts,
    failure_reason=_maybe_texts,
    http_status=st.none() | st.integers(0, 999),
    provider=_maybe_texts,
    upstream=_maybe_texts,
    method=texts,
    path=texts,
    endpoint=st.sampled_from(Endpoint),
    kind=_maybe_texts,
    model=_maybe_texts,
    response_model=_maybe_texts,
    stream=st.none() | st.booleans(),
    context=st.builds(
        Context,
        tags=_several,
        session_id=_maybe_texts,
        session_inferred=st.booleans(),
        session_name=_maybe_texts,
        user_id=_maybe_texts,
        trace_id=_maybe_texts,
        metadata=_objects,
        notes=_several,
    ),
    client=_maybe_texts,
    key_fingerprint=_maybe_texts,
    project_id=_maybe_texts,
    key_id=_maybe_texts,
    tags_edited=st.booleans(),
    started_at=st.datetimes(timezones=st.just(UTC)),
    duration_s=_seconds,
    ttfb_s=_seconds,
    ttft_s=_seconds,
    connect_s=_seconds,
    longest_gap_s=_seconds,
    sent_s=_seconds,
    overhead_s=_seconds,
    queued_s=_seconds,
    dns_s=_seconds,
    tcp_s=_seconds,
    tls_s=_seconds,
    chunk_count=_counts,
    usage=st.none()
    | st.builds(
        Usage,
        input_tokens=_counts,
        output_tokens=_counts,
        total_tokens=_counts,
        cached_input_tokens=_counts,
        reasoning_output_tokens=_counts,
        cache_write_input_tokens=_counts,
        audio_input_tokens=_counts,
        audio_output_tokens=_counts,
        raw=_objects,
    ),
    cost=st.none() | costs,
    finish_reasons=_several,
    preview=_maybe_texts,
    request_bytes=_counts,
    response_bytes=_counts,
    truncated=st.booleans(),
    decode_problem=_maybe_texts,
    bodies=st.none() | bodies,
)
