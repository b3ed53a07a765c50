"""What goes through unchanged, on both transports."""

import asyncio
import gzip
import itertools
import random
import sys

import brotli
import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import CHAT, PATIENCE_S
from llm_proxy.model.exchange import Ending, Endpoint
from proxy.transport.by_hand import HandServer, receive
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

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture
def server():
    made = HandServer()
    yield made
    made.listener.close()


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


async def test_a_head_leaves_before_there_is_any_of_its_body(upstream, proxy):
    seen = asyncio.Event()
    upstream.script(SSE_HEAD, seen, LAST_CHUNK)

    async with proxy.client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        status = answer.status_code
        seen.set()

    assert status == 200


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("br", brotli.compress), ("zstd", zstd.compress), ("odd", bytes)]
)
async def test_an_encoded_body_is_relayed_and_recorded_encoded(upstream, proxy, coding, encode):
    encoded = encode(b'{"a": 1}')
    upstream.script(response(encoded, headers=[("Content-Encoding", coding), ("Content-Type", "application/json")]))

    async with proxy.client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])

    assert raw == encoded
    assert answer.headers["content-encoding"] == coding
    [exchange] = await proxy.ended()
    assert exchange.response_body == encoded
    assert ("Content-Encoding", coding) in exchange.response_headers


async def test_an_encoded_request_goes_upstream_encoded(upstream, proxy):
    encoded = gzip.compress(b'{"a": 1}')

    await proxy.client.post("/v1/chat/completions", content=encoded, headers={"Content-Encoding": "gzip"})

    assert upstream.received[0].body == encoded
    assert upstream.received[0].header("content-encoding") == b"gzip"


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


async def test_an_upload_of_unknown_length_is_passed_on_piece_by_piece(upstream, proxy):
    async def pieces():
        yield b"first "
        yield b"second"

    await proxy.client.post("/v1/chat/completions", content=pieces())

    assert upstream.received[0].header("transfer-encoding") == b"chunked"
    assert upstream.received[0].body == b"first second"
    [exchange] = await proxy.ended()
    assert exchange.request_body == b"first second"


async def test_a_multipart_upload_is_passed_on_and_recorded(upstream, proxy):
    request = proxy.client.build_request(
        "POST", "/v1/audio/transcriptions", files={"file": ("a.wav", bytes(range(256)) * 10_000)}, data={"model": "w"}
    )
    body = await request.aread()

    answer = await proxy.client.send(request)

    assert upstream.received[0].body == body
    [exchange] = await proxy.ended()
    assert (exchange.endpoint, exchange.request_body) == (Endpoint.TRANSCRIPTION, body)
    assert exchange.request_bytes == len(body)
    assert exchange.response_bytes == len(answer.content)


async def test_a_slow_client_slows_the_upstream_down(upstream, proxy):
    total, sent = 128 * 2**20, []

    def pieces(request):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total
        for _ in range(128):
            sent.append(2**20)
            yield bytes(2**20)

    upstream.choose = pieces
    reader, writer = await proxy.connect()
    writer.write(b"GET /v1/files/f/content HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")

    await no_longer_growing(sent)

    assert sum(sent) < total / 2  # what the buffers of the kernel hold, four times, and a few pieces
    writer.close()


async def test_an_upstream_that_does_not_read_slows_the_client_down(start_proxy, server, transport_name):
    proxy = await start_proxy(f"http://127.0.0.1:{server.origin.port}/v1", transport=transport_name)
    taken = []

    async def endless():
        while True:
            taken.append(65536)
            yield bytes(65536)

    sending = asyncio.create_task(proxy.client.post("/v1/files", content=endless()))
    connection = await server.accept()
    await receive(connection)

    await no_longer_growing(taken)

    assert sum(taken) < 64 * 2**20  # what the buffers of the kernel hold, four times, and a few pieces
    sending.cancel()
    connection.close()


async def no_longer_growing(taken):
    before = -1
    while len(taken) > before:
        before = len(taken)
        await asyncio.sleep(0.3)


async def test_50_mb_go_up_and_down_unchanged(upstream, proxy):
    body = random.Random(1).randbytes(50 * 2**20)
    upstream.script(response(body))

    answer = await proxy.client.post("/v1/files", content=body)

    assert upstream.received[0].body == body
    assert answer.content == body
    [exchange] = await proxy.ended()
    assert (exchange.request_bytes, exchange.response_bytes) == (len(body), len(body))


PIECES = st.lists(st.binary(min_size=1, max_size=3000), max_size=8)


@given(up=PIECES, down=PIECES, chunked=st.tuples(st.booleans(), st.booleans()), cuts=st.lists(st.integers(1, 20_000)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_bytes_in_are_bytes_out_however_they_are_cut(upstream, proxy, up, down, chunked, cuts):
    async def pieces():
        for piece in up:
            yield piece

    sent, answered = b"".join(up), b"".join(down)
    wire = response(answered)
    if chunked[1]:
        wire = SSE_HEAD + b"".join(chunk(piece) for piece in down) + LAST_CHUNK
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    upstream.script(*[wire[start:end] for start, end in itertools.pairwise(places)])

    answer = await proxy.client.post("/v1/chat/completions", content=pieces() if chunked[0] else sent)

    assert answer.content == answered
    assert upstream.received[-1].body == sent
    recorded = {exchange.id: exchange for exchange in proxy.recorded()}[answer.headers["x-llm-proxy-id"]]
    assert (recorded.request_body, recorded.response_body) == (sent, answered)
    assert recorded.ending is Ending.COMPLETE


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


async def test_an_answer_that_is_no_http_is_a_502(upstream, proxy):
    upstream.script(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.status_code == 502
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_BROKE_OFF


async def test_silence_in_the_middle_breaks_the_answer_off(start_proxy, upstream, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name, idle_timeout_s=0.5)
    upstream.script(SSE_HEAD, chunk(chat_chunk("Hel")), WAIT_FOR_CLIENT_GONE)

    with pytest.raises(httpx.RemoteProtocolError):
        await proxy.client.post("/v1/chat/completions", json=CHAT)

    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.UPSTREAM_TIMEOUT
    assert exchange.response_body == chat_chunk("Hel")


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


async def test_a_connection_is_used_again(upstream, proxy):
    for _ in range(3):
        await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert upstream.connections == 1


async def test_a_connection_that_the_upstream_closed_meanwhile_is_not_used(upstream, proxy):
    upstream.default = [json_response({}), CLOSE]

    statuses = [(await proxy.client.post("/v1/chat/completions", json=CHAT)).status_code for _ in range(5)]

    assert statuses == [200] * 5
    assert len(upstream.received) == 5
