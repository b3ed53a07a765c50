"""What is sent and what is answered: the bytes, made once.

A header of the request names its answer (``X-Bench: plain=1024/0/0``, ``stream=150/20/0``: so many chunks, so many
milliseconds apart, of at least so many bytes): nobody has to read a body to know it. Bodies are JSON of exactly the
size that is said, of words that compress about as well as prose does.
"""

import json
import random
import re
from dataclasses import dataclass

#: Time between two chunks of a stream, in milliseconds.
CHUNK_INTERVAL_MS = 20
#: Where a chunk of a stamped stream says when it was sent: nanoseconds, on the clock that all processes share.
STAMP = re.compile(rb'"id":"chatcmpl-(\d{19})"')
NO_STAMP = b"0" * 19

_TEXT = """
    the of and to in that is was he for it with as his on be at by had not are but from or have an they which one you
    were all her she there would their we him been has when who will no more if out so up said what its about than
"""
_ASKED = re.compile(rb"\r\nX-Bench: (plain|stream|stamped)=(\d+)/(\d+)/(\d+)\r\n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of call."""

    #: ``plain``, ``stream``, or ``stamped`` for a stream whose chunks say when they were sent.
    kind: str
    #: Size of the request and of the answer in bytes, or number of chunks.
    amount: int
    #: Time between two chunks, in milliseconds.
    interval_ms: int = 0
    #: Of a chunk at least.
    chunk_bytes: int = 0


def plain(size_bytes: int) -> Workload:
    """JSON of this size, both ways."""
    return Workload("plain", size_bytes)


def stream(
    chunks: int, *, interval_ms: int = CHUNK_INTERVAL_MS, stamped: bool = False, chunk_bytes: int = 0
) -> Workload:
    """A streamed answer of so many chunks."""
    return Workload("stamped" if stamped else "stream", chunks, interval_ms, chunk_bytes)


def workload_of(request_head: bytes) -> Workload:
    """What a request asks for."""
    asked = _ASKED.search(request_head)
    if asked is None:
        raise ValueError(f"not a request of this benchmark: {request_head[:80]!r}")
    return Workload(asked[1].decode(), *(int(number) for number in asked.groups()[1:]))


def request(workload: Workload, port: int) -> bytes:
    """The whole request as it goes on the wire, with the headers of an OpenAI client."""
    body = _request_body(workload)
    head = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept-Encoding: gzip, deflate",
        "Connection: keep-alive",
        "Accept: application/json",
        "Content-Type: application/json",
        "User-Agent: OpenAI/Python 1.99.0",
        f"X-Bench: {workload.kind}={workload.amount}/{workload.interval_ms}/{workload.chunk_bytes}",
        "Authorization: Bearer sk-benchmark-0123456789abcdef",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def answer(workload: Workload) -> bytes:
    """The whole plain answer, or the head of a streamed one."""
    if workload.kind != "plain":
        # nginx, which buffers unless it is told not to, hears it from many a streaming server in this way.
        return _head("text/event-stream", "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked")
    body = _padded(_answer_body, workload.amount)
    return _head("application/json", f"Content-Length: {len(body)}") + body


def chunks(workload: Workload) -> list[bytes]:
    """The chunks of a streamed answer, in chunked encoding; the end of the message goes with the last one."""
    words = _words(workload.amount)
    events = [_event({"content": f"{word} ".ljust(workload.chunk_bytes, ".")}) for word in words[:-1]]
    events.append(_event({}, finish_reason="stop") + b"data: [DONE]\n\n")
    wire = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    return [*wire[:-1], wire[-1] + b"0\r\n\r\n"]


def _head(content_type: str, framing: str) -> bytes:
    head = (
        "HTTP/1.1 200 OK",
        "Date: Thu, 01 Jan 2026 00:00:00 GMT",
        f"Content-Type: {content_type}",
        framing,
        "openai-processing-ms: 12",
        "x-request-id: req_0123456789abcdef0123456789abcdef",
        "x-ratelimit-remaining-requests: 9999",
    )
    return "\r\n".join(head).encode() + b"\r\n\r\n"


def _request_body(workload: Workload) -> bytes:
    if workload.kind == "plain":
        return _padded(_question, workload.amount)
    return _json({"model": "gpt-4o", "messages": [{"role": "user", "content": "Tell me more."}], "stream": True})


def _question(text: str) -> dict[str, object]:
    system = {"role": "system", "content": "You are a helpful assistant."}
    return {"model": "gpt-4o", "temperature": 0.2, "messages": [system, {"role": "user", "content": text}]}


def _answer_body(text: str) -> dict[str, object]:
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-0123456789abcdef0123456789",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "gpt-4o-2024-08-06",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 210, "completion_tokens": 120, "total_tokens": 330},
        "system_fingerprint": "fp_0123456789",
    }


def _event(delta: dict[str, str], *, finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    event = {
        "id": f"chatcmpl-{NO_STAMP.decode()}",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "gpt-4o-2024-08-06",
        "system_fingerprint": "fp_0123456789",
        "choices": [choice],
    }
    return b"data: " + _json(event) + b"\n\n"


def _padded(shape, size_bytes: int) -> bytes:
    """JSON of ``shape(text)`` with as much text as makes it ``size_bytes`` long."""
    room = size_bytes - len(_json(shape("")))
    if room < 0:
        raise ValueError(f"{size_bytes} bytes are too few for a body")
    return _json(shape(" ".join(_words(room))[:room]))


def _words(count: int) -> list[str]:
    return random.Random(1).choices(_TEXT.split(), k=count)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
