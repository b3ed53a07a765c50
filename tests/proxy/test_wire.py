"""What does not get through: malformed and oversized requests, and what is done about pipelines and odd clients."""

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import PATIENCE_S, until
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.wire import WireLimits
from upstreams import CLOSE, LAST_CHUNK, SSE_HEAD, WAIT_FOR_CLIENT_GONE, chat_answer, chunk, json_response

POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\n"

MALFORMED = {
    "content-length and transfer-encoding": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding and content-length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
    "two content-lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two different content-lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a list as content-length": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a negative content-length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a signed content-length": POST + b"Content-Length: +2\r\n\r\n{}",
    "a huge content-length": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "an empty content-length": POST + b"Content-Length: \r\n\r\n{}",
    "an unknown transfer-encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "a bad chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a huge chunk size": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n{}\r\n",
    "a bare LF in a chunk line": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
    "a folded header": POST + b"X-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\n{}",
    "a space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "a NUL in a header": POST + b"X-A: 1\x002\r\nContent-Length: 2\r\n\r\n{}",
    "a NUL in a name": POST + b"X-\x00A: 1\r\nContent-Length: 2\r\n\r\n{}",
    "a CR in a header": POST + b"X-A: 1\r2\r\nContent-Length: 2\r\n\r\n{}",
    "an empty header name": POST + b": 1\r\nContent-Length: 2\r\n\r\n{}",
    "a coding besides chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two transfer-encodings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /v1/files HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab before chunked": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "bare LFs": b"GET /v1/models HTTP/1.1\nHost: h\n\n",
    "CONNECT": b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com\r\n\r\n",
    "OPTIONS *": b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
    "HTTP/2.0 in the line": b"GET /v1/models HTTP/2.0\r\nHost: h\r\n\r\n",
    "no host": b"GET /v1/models HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "an unknown version": b"GET /v1/models HTTP/3.7\r\nHost: h\r\n\r\n",
    "a version too many": b"GET /v1/models HTTP/1.1 HTTP/1.1\r\nHost: h\r\n\r\n",
    "no version": b"GET /v1/models\r\n\r\n",
    "an unknown method": b"FROB /v1/models HTTP/1.1\r\nHost: h\r\n\r\n",
    "a space in the target": b"GET /v1/mod els HTTP/1.1\r\nHost: h\r\n\r\n",
    "a fragment in the target": b"GET /v1/models#a HTTP/1.1\r\nHost: h\r\n\r\n",
    "a target that is no path": b"GET v1/models HTTP/1.1\r\nHost: h\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "10 000 headers": POST + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_request_is_a_400_and_goes_nowhere(upstream, proxy, request_bytes):
    answer = await proxy.raw(request_bytes)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in head.lower()
    assert b"x-llm-proxy-id: " in head.lower()
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert upstream.received == []
    assert proxy.ledger.get("refused.malformed") == 1


async def test_a_url_that_is_too_long_is_a_414(upstream, proxy):
    answer = await proxy.raw(b"GET /v1/models?q=" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 414 ")
    assert b"url_too_long" in answer
    assert upstream.received == []


@pytest.mark.parametrize("ended", [b"\r\n\r\n", b""], ids=["whole", "never ending"])
async def test_headers_that_are_too_long_are_a_431(start_proxy, upstream, ended):
    proxy = await start_proxy(upstream.url, wire=WireLimits(max_header_bytes=1000, max_url_bytes=1000))

    answer = await proxy.raw(POST + b"X-A: " + b"x" * 3000 + ended)

    assert answer.startswith(b"HTTP/1.1 431 ")
    assert b"header_too_large" in answer
    assert upstream.received == []


async def test_a_header_of_64_kb_goes_through(upstream, proxy):
    answer = await proxy.client.get("/v1/models", headers={"X-LLM-Tags": "t" * 65_536})

    assert answer.status_code == 200


async def test_pipelined_requests_are_answered_in_order(upstream, proxy):
    upstream.script(0.1, json_response({"n": 1}))
    upstream.script(json_response({"n": 2}))
    request = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"

    answer = await proxy.raw(request + request[:-2] + b"Connection: close\r\n\r\n")

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b'{"n": 1}') < answer.index(b'{"n": 2}')


async def test_one_task_answers_all_that_comes_on_a_connection_and_ends_with_it(upstream, proxy):
    before, seen = asyncio.all_tasks(), []
    reader, writer = await proxy.connect()

    for number in range(3):
        upstream.script(json_response({"n": number}))
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readuntil(b"}")
        seen.append({task for task in asyncio.all_tasks() - before if "_answer_all" in repr(task)})
    writer.close()
    await until(lambda: not seen[0] & asyncio.all_tasks())

    assert [len(tasks) for tasks in seen] == [1, 1, 1]
    assert seen[0] == seen[1] == seen[2]


async def test_a_connection_is_closed_when_it_was_idle_for_long_and_not_within_a_call(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, keep_alive_s=0.5)
    upstream.script(json_response({"n": 1}))
    upstream.script(1.0, json_response({"n": 2}))  # longer than an idle connection may last
    reader, writer = await proxy.connect()

    for _ in range(2):
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
        await reader.readuntil(b"}")

    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""
    assert len(await proxy.ended(2)) == 2
    writer.close()


async def test_a_connection_on_which_nothing_is_asked_is_closed(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, keep_alive_s=0.1)
    reader, writer = await proxy.connect()

    assert await asyncio.wait_for(reader.read(), PATIENCE_S) == b""

    writer.close()


@pytest.mark.parametrize("keep_alive_s", [0.05, PATIENCE_S])
@pytest.mark.parametrize(
    "beginning", [b"P", POST, POST + b"Content-Len"], ids=["in the line", "between headers", "in a header"]
)
async def test_a_head_that_does_not_come_to_its_end_is_a_408(start_proxy, upstream, beginning, keep_alive_s):
    proxy = await start_proxy(upstream.url, keep_alive_s=keep_alive_s, wire=WireLimits(patience_s=0.1))
    reader, writer = await proxy.connect()

    for byte in beginning:  # slowly, but for ever
        writer.write(bytes([byte]))
    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_timeout"
    assert upstream.received == []
    writer.close()


@pytest.mark.parametrize("buffered", [0, 100_000], ids=["streamed through", "read whole"])
async def test_a_body_that_does_not_go_on_is_a_408_and_on_record_as_the_clients_doing(start_proxy, upstream, buffered):
    proxy = await start_proxy(upstream.url, wire=WireLimits(patience_s=0.1), buffered_body_bytes=buffered)
    reader, writer = await proxy.connect()

    writer.write(POST + b"Content-Length: 100\r\n\r\n{")
    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)

    (exchange,) = await proxy.ended(1)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert exchange.ending is Ending.CLIENT_DISCONNECTED
    assert exchange.reason == "the rest of the request did not come within 0.1 s"
    assert exchange.request_body == b"{"
    writer.close()


async def test_a_request_that_comes_slowly_but_comes_is_answered(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, wire=WireLimits(patience_s=0.5))
    upstream.script(1.0, json_response({"n": 1}))  # the upstream may take longer than the client
    reader, writer = await proxy.connect()

    writer.write(POST + b"Content-Length: 4\r\n\r\n")
    for byte in b"null":
        writer.write(bytes([byte]))
        await asyncio.sleep(0.2)
    answer = await asyncio.wait_for(reader.readuntil(b"}"), PATIENCE_S)

    assert answer.startswith(b"HTTP/1.1 200 ")
    writer.close()


async def test_what_follows_a_bad_request_is_not_looked_at(upstream, proxy):
    smuggled = b"GET /v1/smuggled HTTP/1.1\r\nHost: h\r\n\r\n"

    answer = await proxy.raw(POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + smuggled)

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "malformed_request"
    assert upstream.received == []


async def test_a_body_that_turns_bad_later_stops_the_call(upstream, proxy):
    reader, writer = await proxy.connect()
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await until(lambda: upstream.connections)

    writer.write(b"zz\r\n")

    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED
    assert upstream.received == []  # its head and a part of its body came, never the end


async def test_expect_100_continue_is_answered_here(upstream, proxy):
    reader, writer = await proxy.connect()
    writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n")

    interim = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"{}")
    final = await reader.read()

    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert final.startswith(b"HTTP/1.1 200 OK")
    assert upstream.received[0].header("expect") is None
    writer.close()


async def test_http_1_0_gets_a_body_that_ends_with_the_connection(upstream, proxy):
    upstream.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    answer = await proxy.raw(b"GET /v1/models HTTP/1.0\r\n\r\n")

    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert body == b"hello"


async def test_http_1_0_sees_a_reset_when_the_answer_breaks_off(upstream, proxy):
    upstream.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", CLOSE)

    with pytest.raises(ConnectionResetError):
        await proxy.raw(b"GET /v1/models HTTP/1.0\r\n\r\n")


async def test_the_absolute_form_of_a_target_is_understood(upstream, proxy):
    await proxy.raw(b"GET http://anything/v1/models?a=b HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert upstream.received[0].request_line == b"GET /v1/models?a=b HTTP/1.1"


async def test_only_paths_below_v1_are_calls(upstream, proxy):
    answer = await proxy.client.get("/~tags=a/v2/models")

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"
    assert upstream.received == []


async def test_a_client_that_is_gone_while_the_upstream_says_nothing_is_noticed(upstream, proxy):
    upstream.script(WAIT_FOR_CLIENT_GONE)
    _, writer = await proxy.connect()
    writer.write(POST + b"Content-Length: 2\r\n\r\n{}")
    await upstream.wait_for_requests(1)

    writer.transport.abort()

    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)


async def test_a_bad_request_behind_a_good_one_waits_for_its_answer_and_closes(upstream, proxy):
    go_on = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(b"one"), go_on, chunk(b"two"), LAST_CHUNK)
    reader, writer = await proxy.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(b"one\r\n")

    writer.write(b"GET /v1/good HTTP/1.1\r\nHost: h\r\n\r\nBAD\r\n\r\n")
    await until(lambda: proxy.ledger.get("refused.malformed"))
    writer.write(b"GET /v1/late HTTP/1.1\r\nHost: h\r\n\r\n")
    await writer.drain()
    go_on.set()

    assert await reader.read() == chunk(b"two") + LAST_CHUNK
    assert len(upstream.received) == 1
    assert proxy.ledger.get("refused.malformed") == 1
    writer.close()


@pytest.mark.parametrize("request_line", [b"BAD\r\n\r\n", b"GET /v1/a\r\n\r\n"])
async def test_a_bad_request_behind_one_without_answer_yet_takes_nothing_from_it(upstream, proxy, request_line):
    go_on = asyncio.Event()
    upstream.script(go_on, json_response({"n": 1}))
    reader, writer = await proxy.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
    await upstream.wait_for_requests(1)

    writer.write(request_line)
    await until(lambda: proxy.ledger.get("refused.malformed"))
    go_on.set()

    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'{"n": 1}')
    writer.close()


async def test_a_bad_request_behind_an_answered_one_gets_its_400(upstream, proxy):
    reader, writer = await proxy.connect()
    writer.write(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
    await reader.readuntil(json_response(chat_answer())[-20:])

    writer.write(b"BAD\r\n\r\n")

    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def test_a_client_that_pipelined_and_left_takes_its_first_call_with_it(upstream, proxy):
    upstream.script(SSE_HEAD, chunk(b"one"), WAIT_FOR_CLIENT_GONE)
    reader, writer = await proxy.connect()
    request = b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n"
    writer.write(request)
    await reader.readuntil(b"one\r\n")

    writer.write(request)
    writer.close()

    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED


async def test_a_body_that_turns_bad_after_an_early_answer_began_breaks_it_off(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, transport="http1")
    upstream.answers_before_the_body = True
    upstream.script(SSE_HEAD, chunk(b"one"), asyncio.Event())
    reader, writer = await proxy.connect()
    writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await reader.readuntil(b"one\r\n")

    writer.write(b"zz\r\n")

    assert await reader.read() == b""
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.CLIENT_DISCONNECTED
    writer.close()


async def test_the_connection_goes_on_after_a_body_that_was_refused(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, max_body_bytes=10)
    last = b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

    answer = await proxy.raw(POST + b"Content-Length: 100\r\n\r\n" + bytes(100) + last)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 1
    assert len(upstream.received) == 1


async def test_trailers_of_a_request_are_dropped(upstream, proxy):
    answer = await proxy.raw(
        POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n"
    )

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert upstream.received[0].body == b"{}"
    assert upstream.received[0].header("x-sum") is None


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_a_request_in_small_pieces_is_the_same_request(upstream, proxy, size):
    wire = POST + b"X-A: b\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n0\r\n\r\n"
    reader, writer = await proxy.connect()

    for start in range(0, len(wire), size):
        writer.write(wire[start : start + size])
        await asyncio.sleep(0)

    assert (await reader.read()).startswith(b"HTTP/1.1 200 OK\r\n")
    assert upstream.received[0].body == b"{}\n"
    assert upstream.received[0].header("x-a") == b"b"
    writer.close()


@given(noise=st.binary(min_size=1, max_size=200))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_noise_goes_nowhere_and_hurts_nobody(upstream, proxy, noise):
    reader, writer = await proxy.connect()
    writer.write(noise)
    writer.write_eof()

    answer = await asyncio.wait_for(reader.read(), PATIENCE_S)

    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert upstream.received == []
    writer.close()
