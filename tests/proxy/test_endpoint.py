"""The straight line of one call: what is refused, what goes on without a record, and which ending it gets."""

import asyncio
import gc
import json
from uuid import UUID

import pytest

from conftest import CHAT, PATIENCE_S, until
from journal.disks import files_no_longer_than
from llm_proxy.journal.writer import JournalLimits
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.cycle import WireCycle
from llm_proxy.proxy.transport.http1_response import Http1Response
from upstreams import (
    CLOSE,
    LAST_CHUNK,
    RESET,
    SSE_HEAD,
    WAIT_FOR_CLIENT_GONE,
    chat_answer,
    chat_chunk,
    chunk,
    json_response,
    streamed_chat,
)

FULL = JournalLimits(fsync="never", max_bytes=0)
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"


async def test_every_answer_carries_the_id_under_which_the_call_is_on_record(upstream, proxy):
    upstream.script(json_response({}, status="404 Not Found"))

    failed = await proxy.client.post("/v1/chat/completions", json=CHAT)
    relayed = await proxy.client.post("/v1/chat/completions", json=CHAT)
    refused = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Provider": "nobody"})

    ids = [answer.headers["x-llm-proxy-id"] for answer in (failed, relayed, refused)]
    assert [UUID(text).version for text in ids] == [7, 7, 7]
    assert sorted(ids) == ids
    assert [exchange.id for exchange in await proxy.ended(3)] == ids


async def test_the_call_is_on_record_before_the_upstream_has_it(upstream, proxy):
    recorded_then = []

    def answer(request):
        recorded_then.extend(proxy.recorded())
        return [json_response(chat_answer())]

    upstream.choose = answer

    await proxy.client.post("/v1/chat/completions", json=CHAT)

    [exchange] = recorded_then
    assert json.loads(exchange.request_body) == CHAT
    assert exchange.ending is None


async def test_a_client_that_has_the_end_finds_the_call_ended(upstream, proxy, start_proxy, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name)

    for steps in ([json_response(chat_answer())], streamed_chat("a"), [b"HTTP/1.1 204 No Content\r\n\r\n"]):
        upstream.script(*steps)
        await proxy.client.post("/v1/chat/completions", json=CHAT)
        assert proxy.recorded()[-1].ending is Ending.COMPLETE


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_client_that_leaves_with_the_last_byte_had_a_complete_answer(
    start_proxy, upstream, transport_name, method
):
    proxy = await start_proxy(upstream.url, transport=transport_name)
    reader, writer = await proxy.connect()
    writer.write(f"{method} /v1/models HTTP/1.1\r\nHost: h\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    if method == "GET":
        await reader.readexactly(len(json.dumps(chat_answer())))

    writer.transport.abort()

    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.COMPLETE
    assert proxy.ledger.get("ended.client_disconnected") == 0


async def test_a_client_that_leaves_one_byte_early_had_none(upstream, proxy):
    upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123456789", WAIT_FOR_CLIENT_GONE)
    reader, writer = await proxy.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"123456789")

    writer.transport.abort()

    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED


async def test_a_full_journal_lets_calls_go_on_and_counts_them(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, journal=FULL)
    upstream.script(*streamed_chat("Hel", "lo"))

    streamed = await proxy.client.post("/v1/chat/completions", json=CHAT)
    plain = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert streamed.content.endswith(b"data: [DONE]\n\n")
    assert plain.json() == chat_answer()
    assert proxy.recorded() == []
    assert proxy.ledger.get("dropped.journal_full") == 2
    assert proxy.ledger.get("accepted") == 0
    assert (await proxy.client.get("/readyz")).status_code == 503


async def test_a_journal_that_breaks_within_a_stream_lets_it_go_on_and_says_that_a_part_is_missing(upstream, proxy):
    seen = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(chat_chunk("Hel")), seen, chunk(chat_chunk("lo")), b"0\r\n\r\n")

    async with proxy.client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        with files_no_longer_than(0):
            seen.set()
            rest = b"".join([piece async for piece in pieces])
    await proxy.client.get("/readyz")  # writing works again

    assert (first, rest) == (chat_chunk("Hel"), chat_chunk("lo"))
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.COMPLETE
    assert exchange.response_body == chat_chunk("Hel")
    assert exchange.truncated
    assert proxy.ledger.get("truncated") == 1


async def test_an_operator_may_prefer_a_refused_call_to_an_unrecorded_one(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, journal=FULL, unrecorded="refuse")

    refused = await proxy.client.post("/v1/chat/completions", json=CHAT)
    wanted_so = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Log": "off"})

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "unrecorded"
    assert wanted_so.status_code == 200
    assert len(upstream.received) == 1
    assert proxy.ledger.get("dropped.journal_full") == 1


async def test_a_body_that_turns_out_too_long_is_a_413(start_proxy, upstream, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name, max_body_bytes=100_000, buffered_body_bytes=10)

    async def pieces():
        for _ in range(20):
            yield bytes(10_000)

    answer = await proxy.client.post("/v1/files", content=pieces())

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.REFUSED
    assert upstream.received == []


async def test_a_body_that_says_it_is_too_long_is_a_413_before_it_comes(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, max_body_bytes=100_000, buffered_body_bytes=10)
    reader, writer = await proxy.connect()

    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n")

    assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 413 Request Entity Too Large\r\n"
    [exchange] = await proxy.ended()
    assert (exchange.ending, exchange.request_bytes) == (Ending.REFUSED, None)
    assert upstream.connections == 0
    writer.close()


async def test_a_body_at_the_limit_is_not_too_long(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, max_body_bytes=1000)

    answer = await proxy.client.post("/v1/files", content=bytes(1000))

    assert answer.status_code == 200
    assert upstream.received[0].body == bytes(1000)


@pytest.mark.parametrize("length", [9_999, 10_000, 10_001])
async def test_a_body_is_the_same_buffered_or_not(start_proxy, upstream, transport_name, length):
    proxy = await start_proxy(upstream.url, transport=transport_name, buffered_body_bytes=10_000)
    body = b"x" * length

    await proxy.client.post("/v1/chat/completions", content=body)

    assert upstream.received[0].body == body
    assert upstream.received[0].header("content-length") == str(length).encode()
    assert upstream.received[0].header("transfer-encoding") is None
    [exchange] = await proxy.ended()
    assert exchange.request_body == body


ODD_BODIES = {
    "no JSON": b"\xff\xfe\x00 hello",
    "deeply nested": b"[" * 200_000,
    "duplicate keys": b'{"model": "a", "model": "b"}',
    "a lone surrogate": rb'{"model": "\ud800"}',
    "a huge number": b'{"model": "a", "n": 1e999999, "seed": ' + b"9" * 10_000 + b"}",
    "wrong types": b'{"model": 3, "messages": {"a": null}, "stream": "yes"}',
    "nothing": b"",
    "NUL": bytes(1000),
}


@pytest.mark.parametrize("body", ODD_BODIES.values(), ids=ODD_BODIES.keys())
async def test_a_body_is_for_the_provider_to_judge(upstream, proxy, body):
    error = {"error": {"message": "that is no request", "type": "invalid_request_error"}}
    upstream.script(json_response(error, status="400 Bad Request"))

    answer = await proxy.client.post("/v1/chat/completions", content=body, headers={"Content-Type": "application/json"})

    assert answer.json() == error
    assert upstream.received[0].body == body
    [exchange] = await proxy.ended()
    assert exchange.request_body == body


@pytest.mark.parametrize("value", [b"a" * 60_000, b"\xff\x80", b"{bad json", b'"\\ud800"', b"a,,b;=", b""])
async def test_a_bad_value_in_one_of_our_headers_fails_no_call(upstream, proxy, value):
    head = b"".join(
        name + b": " + value + b"\r\n" for name in (b"X-LLM-Tags", b"X-LLM-Metadata", b"X-LLM-Log", b"X-LLM-Meta-K")
    )

    answer = await proxy.raw(POST + head + b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert [name for name, _ in upstream.received[0].headers] == [b"Host", b"Content-Length"]
    assert len(await proxy.ended()) == 1


async def test_what_is_not_understood_is_recorded_with_head_and_sizes(upstream, proxy):
    upstream.script(json_response({"data": []}))

    answer = await proxy.client.get("/v1/models", headers={"X-Request-Id": "r1"})

    [exchange] = await proxy.ended()
    assert exchange.method == "GET"
    assert exchange.target == "/v1/models"
    assert ("X-Request-Id", "r1") in exchange.request_headers
    assert (exchange.response_body, exchange.response_bytes) == (None, len(answer.content))


@pytest.mark.parametrize("steps", [[], [SSE_HEAD, chunk(chat_chunk("Hel"))]], ids=["before the answer", "in a stream"])
async def test_a_call_that_is_cut_by_the_end_of_the_proxy_is_aborted_and_broken_off(upstream, proxy, steps):
    upstream.script(*steps, WAIT_FOR_CLIENT_GONE)
    reader, writer = await proxy.connect()
    writer.write(POST + b"Content-Length: 2\r\n\r\n{}")
    await upstream.wait_for_requests(1)
    if steps:
        await reader.readuntil(b"Hel")

    proxy.cancel_calls()

    rest = await asyncio.wait_for(reader.read(), PATIENCE_S)
    assert not rest.endswith(b"0\r\n\r\n")
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.ABORTED
    assert exchange.response_body == (chat_chunk("Hel") if steps else None)
    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)
    writer.close()


async def test_an_upload_is_on_record_as_far_as_it_has_come(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, buffered_body_bytes=10)
    _, writer = await proxy.connect()
    writer.write(POST + b"Content-Length: 1000\r\n\r\n" + b"a" * 100)
    await until(lambda: proxy.ledger.get("journal_bytes") > 100)
    written = proxy.ledger.get("journal_bytes")

    writer.write(b"b" * 100)

    await until(lambda: proxy.ledger.get("journal_bytes") > written + 100)
    writer.close()
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED
    assert (exchange.request_body, exchange.request_bytes) == (b"a" * 100 + b"b" * 100, 200)
    assert upstream.received == []


@pytest.mark.parametrize("how", [CLOSE, RESET])
async def test_an_upstream_that_does_not_answer_is_a_502_and_was_asked_once(upstream, proxy, how):
    upstream.default = [how]

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_broke_off"
    assert answer.json()["error"]["llm_proxy_id"] == answer.headers["x-llm-proxy-id"]
    assert len(upstream.received) == 1


async def test_an_upstream_that_is_not_there_is_a_502(upstream, proxy):
    await upstream.stop()

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_unreachable"
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_UNREACHABLE
    assert exchange.http_status == 502


async def test_silence_before_the_answer_is_a_504(start_proxy, upstream, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name, idle_timeout_s=0.1)
    upstream.script(WAIT_FOR_CLIENT_GONE)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "upstream_timeout"
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_TIMEOUT


async def test_a_connection_that_does_not_come_up_in_time_is_a_504(start_proxy, upstream, transport_name):
    upstream.default = [WAIT_FOR_CLIENT_GONE]  # it accepts, and never says a word of TLS
    url = upstream.url.replace("http://", "https://")
    proxy = await start_proxy(url, transport=transport_name, connect_timeout_s=0.2)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "upstream_timeout"


async def test_a_call_that_asks_for_it_is_not_recorded(upstream, proxy):
    await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Log": "off"})
    await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Log": "metadata"})

    [exchange] = await proxy.ended()
    assert exchange.request_body is None
    assert exchange.response_body is None
    assert exchange.response_bytes is not None
    assert proxy.ledger.get("dropped.log_off") == 1
    assert proxy.ledger.get("accepted") == 1
    assert len(upstream.received) == 2


async def test_a_call_that_is_over_is_gone_and_waits_for_no_cycle_collector(upstream, proxy):
    upstream.default = [SSE_HEAD, chunk(b"data: 1\n\n"), LAST_CHUNK]
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            await proxy.client.post("/v1/chat/completions", json=CHAT)

        left = [one for one in gc.get_objects() if isinstance(one, Capture | Http1Response | WireCycle)]
    finally:
        gc.enable()

    assert len(left) < 10  # a connection holds the latest


async def test_a_key_in_the_query_is_swapped_and_known_by_its_fingerprint(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, keys={"default": "sk-ours"})

    await proxy.client.post("/v1/chat/completions?a=b&key=AIza-theirs-0123456789", json=CHAT)

    [received] = upstream.received
    assert received.request_line == b"POST /v1/chat/completions?a=b HTTP/1.1"
    assert received.header("authorization") == b"Bearer sk-ours"
    [exchange] = await proxy.ended()
    assert exchange.target == "/v1/chat/completions?a=b&key=***"
    assert exchange.key_fingerprint.endswith("…6789")


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_call_is_signed_anew_over_its_whole_body(start_proxy, upstream, transport_name, is_chunked):
    aws = {"bedrock": ("AKIDEXAMPLE", "secret", "token")}
    proxy = await start_proxy(
        upstream.url, transport=transport_name, named={"bedrock": upstream.url}, aws=aws, buffered_body_bytes=10
    )

    async def pieces():
        yield b'{"messages": '
        yield b"[]}"

    await proxy.client.post(
        "/model/m%3A0/converse",
        content=pieces() if is_chunked else b'{"messages": []}',
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=AKIDTHEIRS/x", "X-Amz-Security-Token": "theirs"},
    )

    [received] = upstream.received
    assert received.body == b'{"messages": []}'
    assert (received.header("content-length"), received.header("transfer-encoding")) == (b"16", None)
    assert received.header("authorization").startswith(b"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert received.header("x-amz-security-token") == b"token"
    assert b"theirs" not in received.head.lower()
    [exchange] = await proxy.ended()
    assert exchange.request_body == b'{"messages": []}'
