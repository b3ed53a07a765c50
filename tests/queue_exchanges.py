"""Exchanges for tests of queues: a plausible one with whatever a test wants different, and any that is possible."""

import random
from array import array
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from llm_proxy.model.exchange import Attempt, Chunks, Ending, Endpoint, Exchange, new_id

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


def exchange(**different: Any) -> Exchange:
    """A finished chat call, but for what is ``different``."""
    members: dict[str, Any] = {
        "id": new_id(),
        "started_at": NOON,
        "method": "POST",
        "target": "/v1/chat/completions",
        "endpoint": Endpoint.CHAT,
        "upstream": "default",
        "provider": "openai",
        "client": "127.0.0.1",
        "key_fingerprint": "5f1c…cdef",
        "request_headers": (("Content-Type", "application/json"), ("Authorization", None)),
        "request_body": b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}',
        "request_bytes": 62,
        "http_status": 200,
        "response_headers": (("content-type", "application/json"),),
        "response_body": b'{"choices":[{"message":{"role":"assistant","content":"Hello"}}]}',
        "response_bytes": 64,
        "chunks": Chunks(times_us=array("Q", [410_000, 520_000]), sizes=array("Q", [12, 52])),
        "ending": Ending.COMPLETE,
        "connect_s": 0.05,
        "first_byte_s": 0.4,
        "ended_s": 0.53,
        "sent_s": 0.055,
        "overhead_s": 0.004,
        "dns_s": 0.01,
        "tcp_s": 0.02,
        "tls_s": 0.02,
    }
    return Exchange(**(members | different))


def running(**different: Any) -> Exchange:
    """A call that has not been answered yet."""
    nothing: dict[str, Any] = {
        "http_status": None,
        "response_headers": (),
        "response_body": None,
        "response_bytes": None,
    }
    nothing |= {"chunks": Chunks(), "ending": None, "first_byte_s": None, "ended_s": None}
    return exchange(**(nothing | different))


def incompressible(size: int) -> bytes:
    """Bytes that are as long compressed."""
    return random.Random(size).randbytes(size)


_TEXT = st.text(max_size=20)
_HEADERS = st.lists(st.tuples(_TEXT, st.none() | _TEXT), max_size=3).map(tuple)
_COUNT = st.none() | st.integers(0, 2**40)
_SECONDS = st.none() | st.floats(0, 1e6)


ATTEMPTS = st.lists(
    st.builds(
        Attempt,
        upstream=_TEXT,
        provider=st.none() | _TEXT,
        model=st.none() | _TEXT,
        started_s=st.floats(0, 1e6),
        ended_s=st.floats(0, 1e6),
        http_status=st.none() | st.integers(100, 599),
        failure=st.none() | _TEXT,
        reason=st.none() | _TEXT,
        connect_s=_SECONDS,
        headers=_HEADERS,
        body=st.none() | st.binary(max_size=20),
        wait_s=_SECONDS,
        sent_s=_SECONDS,
        overhead_s=_SECONDS,
        queued_s=_SECONDS,
        dns_s=_SECONDS,
        tcp_s=_SECONDS,
        tls_s=_SECONDS,
    ),
    max_size=2,
).map(tuple)


@st.composite
def _chunks(draw: st.DrawFn) -> Chunks:
    times = draw(st.lists(st.integers(0, 2**50), max_size=8))
    sizes = draw(st.lists(st.integers(0, 2**40), min_size=len(times), max_size=len(times)))
    return Chunks(times_us=array("Q", times), sizes=array("Q", sizes))


def any_exchange() -> st.SearchStrategy[Exchange]:
    """Whatever the journal may deliver."""
    return st.builds(
        Exchange,
        id=st.uuids(version=4).map(str),
        started_at=st.datetimes(timezones=st.just(UTC)),
        method=_TEXT,
        target=_TEXT,
        path_context=st.none() | _TEXT,
        endpoint=st.sampled_from(Endpoint),
        upstream=st.none() | _TEXT,
        provider=st.none() | _TEXT,
        client=st.none() | _TEXT,
        key_fingerprint=st.none() | _TEXT,
        request_headers=_HEADERS,
        request_body=st.none() | st.binary(max_size=300),
        request_bytes=_COUNT,
        http_status=st.none() | st.integers(100, 599),
        response_headers=_HEADERS,
        response_body=st.none() | st.binary(max_size=300),
        response_bytes=_COUNT,
        chunks=_chunks(),
        sent=_chunks(),
        ending=st.none() | st.sampled_from(Ending),
        reason=st.none() | _TEXT,
        truncated=st.booleans(),
        connect_s=_SECONDS,
        first_byte_s=_SECONDS,
        ended_s=_SECONDS,
        sent_s=_SECONDS,
        overhead_s=_SECONDS,
        queued_s=_SECONDS,
        dns_s=_SECONDS,
        tcp_s=_SECONDS,
        tls_s=_SECONDS,
        attempts=ATTEMPTS,
    )
