"""What goes through unchanged, on both transports."""

import asyncio
import gzip

import httpx
import pytest

from conftest import CHAT, PATIENCE_S
from llm_proxy.model.exchange import Ending
from upstreams import (
    CLOSE,
    LAST_CHUNK,
    RESET,
    SSE_HEAD,
    WAIT_FOR_CLIENT_GONE,
    chat_chunk,
    chunk,
    json_response,
    response,
    streamed_chat,
)


@pytest.fixture
async def proxy(start_proxy, upstream, transport_name):
    return await start_proxy(upstream.url, transport=transport_name)


async def test_a_plain_answer_is_relayed_and_recorded(upstream, proxy):
    upstream.script(json_response({"answer": 42}))

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.json() == {"answer": 42}
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.COMPLETE
    assert exchange.id == answer.headers["x-llm-proxy-id"]
    assert exchange.request_body == answer.request.content
    assert exchange.request_bytes == len(answer.request.content)
    assert exchange.response_body == answer.content
    assert 0 < exchange.first_byte_s <= exchange.ended_s


async def test_a_stream_is_relayed_byte_for_byte(upstream, proxy):
    upstream.script(*streamed_chat("Hel", "lo"))

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT | {"stream": True})

    assert answer.content == chat_chunk("Hel") + chat_chunk("lo") + chat_chunk(finish="stop") + b"data: [DONE]\n\n"
    [exchange] = await proxy.ended()
    assert exchange.response_body == answer.content
    assert sum(exchange.chunks.sizes) == exchange.response_bytes == len(answer.content)


async def test_a_chunk_leaves_when_it_has_arrived_and_is_on_record_before(upstream, proxy):
    seen = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(chat_chunk("Hel")), seen, chunk(chat_chunk("lo")), LAST_CHUNK)

    async with proxy.client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        pieces = answer.aiter_raw()
        first = await anext(pieces)
        recorded_then = proxy.recorded()
        seen.set()
        rest = b"".join([piece async for piece in pieces])

    assert first == chat_chunk("Hel")
    assert rest == chat_chunk("lo")
    assert recorded_then[0].ending is None
    assert recorded_then[0].response_body is None or recorded_then[0].response_body == first


async def test_request_headers_keep_order_case_and_duplicates(upstream, proxy):
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: example\r\nX-One: 1\r\nx-TWO: 2\r\nX-One: 3\r\n"
        b"authorization: Bearer sk-test\r\nAccept-Encoding: br;q=0.1, zstd\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n{}"
    )

    await proxy.raw(request)

    assert upstream.received[0].headers == [
        (b"host", f"127.0.0.1:{upstream.port}".encode()),
        (b"X-One", b"1"),
        (b"x-TWO", b"2"),
        (b"X-One", b"3"),
        (b"authorization", b"Bearer sk-test"),
        (b"Accept-Encoding", b"br;q=0.1, zstd"),
        (b"Content-Length", b"2"),
    ]
    assert upstream.received[0].body == b"{}"


async def test_nothing_is_added_to_a_request(upstream, proxy):
    await proxy.raw(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert [name for name, _ in upstream.received[0].headers] == [b"Host"]


async def test_response_headers_keep_order_case_and_duplicates(upstream, proxy):
    upstream.script(response(b"ok", headers=[("X-One", "1"), ("x-two", "2"), ("X-One", "3"), ("Set-Cookie", "a=b")]))

    answer = await proxy.raw(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    lines = answer.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[:6] == [
        b"HTTP/1.1 200 OK",
        b"X-One: 1",
        b"x-two: 2",
        b"X-One: 3",
        b"Set-Cookie: a=b",
        b"Content-Length: 2",
    ]
    assert [line.split(b":")[0].lower() for line in lines[6:]] == [b"x-llm-proxy-id", b"connection"]


async def test_hop_by_hop_headers_end_here_both_ways(upstream, proxy):
    upstream.script(
        response(
            b"ok", headers=[("Connection", "x-private"), ("X-Private", "1"), ("Keep-Alive", "timeout=5"), ("X", "y")]
        )
    )
    request = (
        b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n"
        b"TE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTrailer: T\r\n"
        b"Expect: 100-continue\r\nX: y\r\n\r\n"
    )

    answer = await proxy.raw(request)

    assert [name for name, _ in upstream.received[0].headers] == [b"Host", b"X"]
    head = answer.lower()
    assert b"x-private" not in head
    assert b"keep-alive" not in head
    assert b"\r\nx: y\r\n" in head


async def test_gateway_headers_do_not_go_upstream(upstream, proxy):
    headers = {"X-LLM-Tags": "a", "Helicone-Auth": "Bearer secret", "traceparent": "00-abc"}

    await proxy.client.post("/v1/chat/completions", json=CHAT, headers=headers)

    request = upstream.received[0]
    assert request.header("x-llm-tags") is None
    assert request.header("helicone-auth") is None
    assert request.header("traceparent") == b"00-abc"
    [exchange] = await proxy.ended()
    recorded = {name.lower(): value for name, value in exchange.request_headers}
    assert recorded["x-llm-tags"] == "a"
    assert recorded["helicone-auth"] is None


async def test_path_and_query_are_not_touched(upstream, proxy):
    target = b"/v1/files/a%2Fb%20c//./d?x=%41&y=1+2&&z"

    await proxy.raw(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert upstream.received[0].request_line == b"GET " + target + b" HTTP/1.1"


async def test_secrets_in_the_query_are_sent_and_not_recorded(upstream, proxy):
    await proxy.client.get("/v1/models?key=AIza-secret&page=2")

    assert upstream.received[0].request_line == b"GET /v1/models?key=AIza-secret&page=2 HTTP/1.1"
    [exchange] = await proxy.ended()
    assert exchange.target == "/v1/models?key=***&page=2"


async def test_an_encoded_body_is_relayed_and_recorded_encoded(upstream, proxy):
    encoded = gzip.compress(b'{"a": 1}')
    upstream.script(response(encoded, headers=[("Content-Encoding", "gzip"), ("Content-Type", "application/json")]))

    async with proxy.client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])

    assert raw == encoded
    assert answer.headers["content-encoding"] == "gzip"
    [exchange] = await proxy.ended()
    assert exchange.response_body == encoded


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS", "PATCH", "PUT"])
async def test_every_method_goes_through(upstream, proxy, method):
    answer = await proxy.client.request(method, "/v1/responses/resp_1")

    assert answer.status_code == 200
    assert upstream.received[0].request_line == f"{method} /v1/responses/resp_1 HTTP/1.1".encode()


async def test_head_has_the_length_and_no_body(upstream, proxy):
    upstream.default = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"]

    first = await proxy.client.head("/v1/models")
    second = await proxy.client.head("/v1/models")

    assert first.headers["content-length"] == "1000"
    assert second.status_code == 200
    assert len(await proxy.ended(2)) == 2


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n"])
async def test_answers_without_a_body_end_with_their_head(upstream, proxy, head):
    upstream.default = [head]

    answers = [await proxy.client.get("/v1/files/f") for _ in range(2)]

    assert [answer.content for answer in answers] == [b"", b""]
    assert "transfer-encoding" not in answers[0].headers


async def test_a_body_that_ends_with_the_connection_is_complete(upstream, proxy):
    upstream.script(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it", CLOSE)

    answer = await proxy.client.get("/v1/files/f")

    assert answer.content == b"all of it"
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.COMPLETE


async def test_an_error_of_the_upstream_is_relayed_as_it_is(upstream, proxy):
    error = {"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}}
    upstream.script(json_response(error, status="429 Too Many Requests", headers=[("retry-after", "3")]))

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 429
    assert answer.json() == error
    assert answer.headers["retry-after"] == "3"
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_ERROR


@pytest.mark.parametrize("how", [CLOSE, RESET])
@pytest.mark.parametrize("head", [SSE_HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"])
async def test_an_upstream_that_breaks_off_is_never_shown_as_complete(upstream, proxy, head, how):
    seen = asyncio.Event()
    body = chat_chunk("Hel")
    upstream.script(head, chunk(body) if head is SSE_HEAD else body, seen, how)

    async with proxy.client.stream("POST", "/v1/chat/completions", json=CHAT | {"stream": True}) as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == body
        seen.set()
        with pytest.raises(httpx.TransportError):
            await anext(pieces)

    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_BROKE_OFF
    assert exchange.response_body == body


@pytest.mark.parametrize("how", [CLOSE, RESET])
async def test_an_upstream_that_does_not_answer_is_a_502_and_was_asked_once(upstream, proxy, how):
    upstream.default = [how]

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "upstream_broke_off"
    assert answer.json()["error"]["llm_proxy_id"] == answer.headers["x-llm-proxy-id"]
    assert len(upstream.received) == 1


async def test_an_answer_that_is_no_http_is_a_502(upstream, proxy):
    upstream.script(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 502
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_BROKE_OFF


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


async def test_silence_in_the_middle_breaks_the_answer_off(start_proxy, upstream, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name, idle_timeout_s=0.5)
    upstream.script(SSE_HEAD, chunk(chat_chunk("Hel")), WAIT_FOR_CLIENT_GONE)

    with pytest.raises(httpx.RemoteProtocolError):
        await proxy.client.post("/v1/chat/completions", json=CHAT)

    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_TIMEOUT
    assert exchange.response_body == chat_chunk("Hel")


async def test_a_connection_that_does_not_come_up_in_time_is_a_504(start_proxy, upstream, transport_name):
    upstream.default = [WAIT_FOR_CLIENT_GONE]  # it accepts, and never says a word of TLS
    url = upstream.url.replace("http://", "https://")
    proxy = await start_proxy(url, transport=transport_name, connect_timeout_s=0.2)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 504
    assert answer.json()["error"]["code"] == "upstream_timeout"


@pytest.mark.parametrize("steps", [[], [SSE_HEAD, chunk(chat_chunk("Hel"))]], ids=["before the answer", "in a stream"])
async def test_a_client_that_leaves_takes_the_upstream_call_with_it(upstream, proxy, steps):
    upstream.script(*steps, WAIT_FOR_CLIENT_GONE)
    reader, writer = await proxy.connect()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
    await upstream.wait_for_requests(1)
    if steps:
        await reader.readuntil(b"Hel")

    writer.close()

    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED
    assert exchange.response_body == (chat_chunk("Hel") if steps else None)


async def test_a_client_that_leaves_in_the_middle_of_its_request_is_on_record(upstream, proxy):
    _, writer = await proxy.connect()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()

    writer.close()

    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED
    assert upstream.received == []


async def test_an_upload_of_unknown_length_is_passed_on_piece_by_piece(upstream, proxy):
    async def pieces():
        yield b"first "
        yield b"second"

    await proxy.client.post("/v1/chat/completions", content=pieces())

    assert upstream.received[0].header("transfer-encoding") == b"chunked"
    assert upstream.received[0].body == b"first second"
    [exchange] = await proxy.ended()
    assert exchange.request_body == b"first second"


async def test_a_multipart_upload_is_passed_on_and_only_its_size_recorded(upstream, proxy):
    request = proxy.client.build_request(
        "POST", "/v1/audio/transcriptions", files={"file": ("a.wav", bytes(range(256)) * 10_000)}, data={"model": "w"}
    )
    body = await request.aread()

    answer = await proxy.client.send(request)

    assert upstream.received[0].body == body
    [exchange] = await proxy.ended()
    assert exchange.request_body is None
    assert exchange.request_bytes == len(body)
    assert exchange.response_bytes == len(answer.content)


async def test_a_configured_key_takes_the_place_of_the_clients(start_proxy, upstream, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name, authorization=b"Bearer sk-ours")

    await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"Authorization": "Bearer sk-theirs-1234567890"})

    values = [value for name, value in upstream.received[0].headers if name.lower() == b"authorization"]
    assert values == [b"Bearer sk-ours"]
    [exchange] = await proxy.ended()
    assert exchange.key_fingerprint.endswith("…7890")
    assert dict(exchange.request_headers)["Authorization"] is None


async def test_a_named_upstream_is_chosen_by_header_or_path(start_proxy, upstream, transport_name):
    proxy = await start_proxy("http://127.0.0.1:1/v1", transport=transport_name, named={"other": upstream.url})

    by_header = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Provider": "other"})
    by_path = await proxy.client.post("/~provider=other;tags=a/v1/chat/completions", json=CHAT)
    unknown = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Provider": "nobody"})

    assert (by_header.status_code, by_path.status_code, unknown.status_code) == (200, 200, 400)
    assert upstream.received[1].request_line == b"POST /v1/chat/completions HTTP/1.1"
    assert "other" in unknown.json()["error"]["message"]
    exchanges = await proxy.ended(3)
    assert [exchange.upstream for exchange in exchanges[:2]] == ["other", "other"]
    assert exchanges[1].path_context == "provider=other;tags=a"
    assert exchanges[2].ending is Ending.REFUSED


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


async def test_websockets_are_refused_clearly(upstream, proxy):
    answer = await proxy.raw(
        b"GET /v1/realtime HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 501 ")
    assert b"websocket_not_supported" in answer
    assert upstream.received == []


async def test_a_connection_is_used_again(upstream, proxy):
    for _ in range(3):
        await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert upstream.connections == 1


async def test_a_connection_that_the_upstream_closed_meanwhile_is_not_used(upstream, proxy):
    upstream.default = [json_response({}), CLOSE]

    statuses = [(await proxy.client.post("/v1/chat/completions", json=CHAT)).status_code for _ in range(5)]

    assert statuses == [200] * 5
    assert len(upstream.received) == 5


async def test_a_slow_client_slows_the_upstream_down(upstream, proxy):
    total = 64 * 2**20
    upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total, *[bytes(2**20)] * 64)
    reader, writer = await proxy.connect()
    writer.write(b"GET /v1/files/f/content HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    await asyncio.sleep(0.5)  # not reading is what this test is about

    taken_meanwhile = proxy.recorded()[0].response_bytes

    assert taken_meanwhile < total / 2
    writer.close()
