"""Exchanges made of bytes, for the tests of the decoders; piece n of a response arrives after n tenths of a second."""

import json
from array import array
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from llm_proxy.decode.dispatch import decode
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, Exchange

SAMPLES = Path(__file__).parent.parent / "samples"
PATHS = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.TEXT: "/v1/completions",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
    Endpoint.RESPONSES: "/v1/responses",
    Endpoint.MODERATIONS: "/v1/moderations",
    Endpoint.IMAGES: "/v1/images/generations",
    Endpoint.SPEECH: "/v1/audio/speech",
    Endpoint.TRANSCRIPTION: "/v1/audio/transcriptions",
    Endpoint.FILES: "/v1/files",
    Endpoint.BATCHES: "/v1/batches",
    Endpoint.MESSAGES: "/v1/messages",
    Endpoint.COUNT_TOKENS: "/v1/messages/count_tokens",
    Endpoint.GENERATE_CONTENT: "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
    Endpoint.CONVERSE: "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse-stream",
    Endpoint.INVOKE_MODEL: "/model/meta.llama3-3-70b-instruct-v1%3A0/invoke-with-response-stream",
    Endpoint.REALTIME: "/v1/realtime?model=gpt-realtime",
    Endpoint.OTHER: "/v1/models",
}


def sample(name: str) -> bytes:
    return (SAMPLES / name).read_bytes()


def exchange_of(
    endpoint: Endpoint,
    response: bytes | list[bytes] | None = None,
    *,
    request: Any = None,
    content_type: str | None = None,
    coding: str | None = None,
    **members: Any,
) -> Exchange:
    """An exchange; ``response`` as a list is what arrived piece by piece, ``request`` is bytes or becomes JSON."""
    pieces = response if isinstance(response, list) else [] if response is None else [response]
    body = None if response is None else b"".join(pieces)
    is_stream = body is not None and not body.lstrip().startswith((b"{", b"["))
    headers = [("Content-Type", content_type or ("text/event-stream" if is_stream else "application/json"))]
    if coding is not None:
        headers.append(("Content-Encoding", coding))
    exchange: dict[str, Any] = {
        "id": "01991c2f-0000-7000-8000-000000000000",
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "method": "POST",
        "target": PATHS[endpoint],
        "endpoint": endpoint,
        "request_headers": (("Content-Type", "application/json"), ("Authorization", None)),
        "request_body": request if isinstance(request, bytes | None) else json.dumps(request).encode(),
        "http_status": 200,
        "response_headers": tuple(headers),
        "response_body": body,
        "chunks": Chunks(
            times_us=array("Q", [100_000 * (place + 1) for place in range(len(pieces))]),
            sizes=array("Q", map(len, pieces)),
        ),
        "ending": Ending.COMPLETE,
    }
    return Exchange(**(exchange | members))


def chat_stream(*chunks: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """A stream of these chunks, each as JSON."""
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + end


def delta_stream(*deltas: Any, end: bytes = b"data: [DONE]\n\n") -> bytes:
    """A stream whose chunks have one choice each, with these deltas."""
    return chat_stream(*({"choices": [{"index": 0, "delta": delta}]} for delta in deltas), end=end)


def assert_cuts_change_nothing(endpoint: Endpoint, wire: bytes, **members: Any) -> None:
    """However an answer arrives, in two pieces or byte by byte, it means the same; only its first token has a time."""
    whole = decode(exchange_of(endpoint, [wire], **members))
    cuts = [[wire[:cut], wire[cut:]] for cut in range(1, len(wire))]

    for pieces in [*cuts, [wire[at : at + 1] for at in range(len(wire))]]:
        assert replace(decode(exchange_of(endpoint, pieces, **members)), first_token_s=whole.first_token_s) == whole
