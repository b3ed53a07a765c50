import json
import random
from array import array
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decode.exchanges import exchange_of, sample
from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, Exchange
from llm_proxy.proxy.answers import error_body
from llm_proxy.understand import understand

CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_call_that_runs_is_started_and_nothing_is_known_of_its_outcome():
    completion = understand(exchange_of(Endpoint.CHAT, request=CHAT, ending=None, http_status=None))

    assert (completion.status, completion.failure_kind, completion.failure_reason) == (Status.STARTED, None, None)
    assert (completion.model, completion.chunk_count, completion.duration_s) == ("gpt-4o", None, None)


@pytest.mark.parametrize(
    ("ending", "reason", "status", "expected"),
    [
        (Ending.COMPLETE, None, 200, (Status.FINISHED, None, None)),
        (
            Ending.UPSTREAM_ERROR,
            None,
            503,
            (Status.FAILED, "upstream_error", "the upstream answered with status 503"),
        ),
        (Ending.UPSTREAM_UNREACHABLE, "no connection", 502, (Status.FAILED, "upstream_unreachable", "no connection")),
        (Ending.UPSTREAM_TIMEOUT, "silent", None, (Status.FAILED, "upstream_timeout", "silent")),
        (Ending.UPSTREAM_BROKE_OFF, "cut", 200, (Status.FAILED, "upstream_broke_off", "cut")),
        (Ending.CLIENT_DISCONNECTED, "gone", 200, (Status.FAILED, "client_disconnected", "gone")),
        (Ending.CLIENT_DISCONNECTED, None, 200, (Status.FAILED, "client_disconnected", None)),
        (Ending.REFUSED, "too large", 413, (Status.FAILED, "refused", "too large")),
        (Ending.ABORTED, "died", None, (Status.FAILED, "aborted", "died")),
    ],
)
def test_how_a_call_ended_decides_what_it_is(ending, reason, status, expected):
    exchange = exchange_of(Endpoint.CHAT, request=CHAT, ending=ending, reason=reason, http_status=status)

    completion = understand(exchange)

    assert (completion.status, completion.failure_kind, completion.failure_reason) == expected
    assert completion.ending is ending


def test_every_ending_has_an_outcome():
    for ending in Ending:
        status = understand(exchange_of(Endpoint.OTHER, ending=ending)).status

        assert status is (Status.FINISHED if ending is Ending.COMPLETE else Status.FAILED)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        (Endpoint.CHAT, "chat_text.sse"),
        (Endpoint.RESPONSES, "responses_text.sse"),
        (Endpoint.MESSAGES, "messages_text.sse"),
    ],
)
def test_a_client_that_leaves_at_the_end_mark_of_a_stream_had_it_all(endpoint, name):
    whole = sample(name)
    gone = {"request": CHAT | {"stream": True}, "ending": Ending.CLIENT_DISCONNECTED, "reason": "the client went away"}

    at_the_end = understand(exchange_of(endpoint, whole, **gone))
    before_it = understand(exchange_of(endpoint, whole[: len(whole) // 2], **gone))

    assert (at_the_end.status, at_the_end.failure_kind, at_the_end.failure_reason) == (Status.FINISHED, None, None)
    assert at_the_end.ending is Ending.CLIENT_DISCONNECTED
    assert (before_it.status, before_it.failure_kind) == (Status.FAILED, "client_disconnected")


@pytest.mark.parametrize("name", ["chat_error_in_chunk.sse", "chat_error_event.sse"])
def test_an_error_inside_a_stream_of_status_200_is_a_failure(name):
    completion = understand(exchange_of(Endpoint.CHAT, sample(name), request=CHAT | {"stream": True}))

    assert (completion.http_status, completion.ending) == (200, Ending.COMPLETE)
    assert completion.status is Status.FAILED
    assert completion.failure_kind
    assert completion.failure_reason


def test_what_the_provider_says_of_an_error_is_the_kind_and_the_reason():
    body = b'{"error": {"message": "Rate limit reached", "type": "rate_limit_exceeded"}}'

    completion = understand(
        exchange_of(Endpoint.CHAT, body, request=CHAT, http_status=429, ending=Ending.UPSTREAM_ERROR)
    )

    assert (completion.failure_kind, completion.failure_reason) == ("rate_limit_exceeded", "Rate limit reached")


def test_what_the_proxy_answered_by_itself_is_not_taken_for_the_providers_error():
    body = error_body(status=502, code="upstream_unreachable", message="no connection", call_id="x")

    completion = understand(
        exchange_of(
            Endpoint.CHAT,
            body,
            request=CHAT,
            http_status=502,
            ending=Ending.UPSTREAM_UNREACHABLE,
            reason="no connection",
        )
    )

    assert (completion.failure_kind, completion.failure_reason) == ("upstream_unreachable", "no connection")


def test_what_cannot_be_decoded_is_kept_as_it_came_with_the_reason():
    completion = understand(exchange_of(Endpoint.CHAT, b"{not json", request=b"\xff\xfe"))

    assert completion.status is Status.FINISHED
    assert completion.decode_problem is not None
    assert (completion.bodies.request_body, completion.bodies.response_body) == (b"\xff\xfe", b"{not json")
    assert (completion.model, completion.usage) == (None, None)


def test_what_the_wire_saw_and_what_it_means_come_together_in_the_record():
    exchange = exchange_of(
        Endpoint.CHAT,
        [b'{"model": "gpt-4o-2024", "usage": {"prompt_tokens": 1, "completion_tokens": 2}, ', b'"choices": []}'],
        request=CHAT,
        request_headers=(("X-LLM-Tags", "a,b"), ("X-LLM-Session-Id", "s")),
        path_context="user=u",
        upstream="default",
        provider="openai",
        client="10.0.0.1",
        key_fingerprint="f",
        request_bytes=5,
        response_bytes=6,
        connect_s=0.1,
        sent_s=0.15,
        overhead_s=0.01,
        queued_s=0.02,
        dns_s=0.03,
        tcp_s=0.04,
        tls_s=0.05,
        first_byte_s=0.2,
        ended_s=0.9,
        truncated=True,
    )

    completion = understand(exchange)

    assert (completion.id, completion.started_at) == (exchange.id, exchange.started_at)
    assert (completion.method, completion.path) == ("POST", "/v1/chat/completions")
    assert (completion.model, completion.response_model, completion.kind) == ("gpt-4o", "gpt-4o-2024", "chat")
    assert (completion.upstream, completion.provider) == ("default", "openai")
    assert (completion.client, completion.key_fingerprint) == ("10.0.0.1", "f")
    assert completion.context.tags == ("a", "b")
    assert (completion.context.session_id, completion.context.user_id) == ("s", "u")
    assert (completion.request_bytes, completion.response_bytes, completion.truncated) == (5, 6, True)
    assert (completion.connect_s, completion.ttfb_s, completion.duration_s) == (0.1, 0.2, 0.9)
    assert (completion.sent_s, completion.overhead_s, completion.queued_s) == (0.15, 0.01, 0.02)
    assert (completion.dns_s, completion.tcp_s, completion.tls_s) == (0.03, 0.04, 0.05)
    assert (completion.chunk_count, completion.longest_gap_s) == (2, 0.1)
    assert (completion.usage.input_tokens, completion.usage.output_tokens) == (1, 2)
    assert completion.bodies.chunks == exchange.chunks
    assert completion.bodies.request == CHAT


def _as_json(value) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (ValueError, OverflowError):  # beyond 64 bits
        return b"1" * 400


_texts = st.text(max_size=20) | st.sampled_from(["", ",", "%ff", "a=b;c=%", "{", "00-", "\x00"])
_names = st.sampled_from(
    ["X-LLM-Tags", "X-LLM-Metadata", "X-LLM-Meta-", "X-LLM-Log", "traceparent", "baggage", "Content-Type", "User-Agent"]
)
_codings = st.sampled_from(["gzip", "br", "zstd", "deflate", "gzip, gzip", "?"])
_headers = st.lists(
    st.tuples(_names | _texts, st.none() | _texts) | st.tuples(st.just("Content-Encoding"), _codings), max_size=6
).map(tuple)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["model", "messages", "input", "metadata", "user", "choices", "usage", "error", "delta", "type"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
_bodies = (
    st.none()
    | st.binary(max_size=100)
    | _json.filter(lambda value: not isinstance(value, int) or abs(value) < 2**63).map(_as_json)
    | st.lists(_json, max_size=3).map(lambda events: b"".join(b"data: %b\n\n" % _as_json(event) for event in events))
)
_exchanges = st.builds(
    Exchange,
    id=st.uuids().map(str),
    started_at=st.just(datetime(2026, 1, 1, tzinfo=UTC)),
    method=st.sampled_from(["POST", "GET", ""]),
    target=_texts,
    path_context=st.none() | _texts,
    endpoint=st.sampled_from(Endpoint),
    request_headers=_headers,
    request_body=_bodies,
    http_status=st.none() | st.integers(-1, 2**64 - 1),
    response_headers=_headers,
    response_body=_bodies,
    chunks=st.lists(st.integers(0, 2**64 - 1), max_size=4).map(
        lambda numbers: Chunks(times_us=array("Q", numbers), sizes=array("Q", numbers))
    ),
    ending=st.none() | st.sampled_from(Ending),
    reason=st.none() | _texts,
    truncated=st.booleans(),
)


@settings(max_examples=200)
@given(_exchanges)
def test_nothing_that_goes_over_the_wire_makes_it_fail(exchange):
    completion = understand(exchange)

    assert isinstance(completion, Completion)
    assert completion.bodies.request_body == exchange.request_body
    assert completion.bodies.response_body == exchange.response_body
    assert f"the {exchange.endpoint} decoder failed" not in (completion.decode_problem or "")
    assert not [note for note in completion.context.notes if "failed" in note]


def test_large_random_bodies_under_every_coding_do_no_harm():
    chance = random.Random(3)
    for coding in ("gzip", "br", "zstd", "deflate", None):
        exchange = exchange_of(Endpoint.CHAT, chance.randbytes(200_000), request=chance.randbytes(1000), coding=coding)

        assert understand(exchange).decode_problem


def test_a_body_that_asks_for_no_log_is_not_stored_and_neither_is_its_answer():
    answer = json.dumps({"choices": [{"message": {"role": "assistant", "content": "secret"}}]}).encode()

    completion = understand(exchange_of(Endpoint.CHAT, answer, request=CHAT | {"no-log": True, "user": "u1"}))

    kept = completion.bodies
    assert (kept.request_body, kept.response_body, kept.request, kept.response) == (None, None, None, None)
    assert (completion.preview, completion.model, completion.context.user_id) == (None, "gpt-4o", "u1")
    assert completion.context.notes == ("no-log in the body: the bodies were left out",)
    assert understand(exchange_of(Endpoint.CHAT, answer, request=CHAT | {"no-log": False})).bodies.response is not None
