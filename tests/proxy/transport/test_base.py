"""The contract of a transport, held by both of them."""

import asyncio
import time

import pytest

from conftest import PATIENCE_S
from llm_proxy.errors import ClientDisconnected, UpstreamBrokeOff, UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from upstreams import CLOSE, LAST_CHUNK, RESET, WAIT_FOR_CLIENT_GONE, Upstream, chunk, response

CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def transport(make_transport, transport_name):
    return make_transport(transport_name)


def request_to(upstream, *, method=b"POST", target=b"/v1/x", headers=(), body=b"", chunked=False, origin=None):
    framing = [] if chunked or not isinstance(body, bytes) else [(b"Content-Length", b"%d" % len(body))]
    return UpstreamRequest(
        origin=origin or Origin("http", upstream.host, upstream.port),
        method=method,
        target=target,
        headers=[(b"Host", b"h"), *headers, *framing],
        body=body,
        chunked=chunked,
    )


async def in_pieces(*pieces):
    for piece in pieces:
        yield piece
        await asyncio.sleep(0)


async def whole(answer):
    body = answer.available()
    while not answer.complete:
        body += await answer.read()
    return body


async def test_a_request_is_on_the_wire_what_was_given(upstream, transport):
    headers = [(b"x-One", b"1"), (b"X-TWO", b"\xe4"), (b"x-One", b"3"), (b"User-Agent", b"me")]
    target = b"/v1/a%2Fb//../c?x=%41&&y=[]|"

    answer = await transport.send(request_to(upstream, method=b"PATCH", target=target, headers=headers, body=b"{}"))
    answer.close()

    request = upstream.received[0]
    assert request.request_line == b"PATCH " + target + b" HTTP/1.1"
    assert request.headers == [(b"Host", b"h"), *headers, (b"Content-Length", b"2")]
    assert request.body == b"{}"


async def test_a_response_is_what_was_on_the_wire(upstream, transport):
    upstream.script(response(b"body", status="418 Teapot", headers=[("x-One", "1"), ("X-TWO", "2"), ("x-One", "3")]))

    answer = await transport.send(request_to(upstream))

    assert answer.status == 418
    assert answer.headers == [(b"x-One", b"1"), (b"X-TWO", b"2"), (b"x-One", b"3"), (b"Content-Length", b"4")]
    assert await whole(answer) == b"body"
    answer.close()


async def test_a_body_in_pieces_of_known_length_is_sent_as_it_is(upstream, transport):
    request = request_to(upstream, headers=[(b"Content-Length", b"6")], body=in_pieces(b"ab", b"", b"cdef"))

    answer = await transport.send(request)
    answer.close()

    assert upstream.received[0].body == b"abcdef"
    assert upstream.received[0].header("transfer-encoding") is None


@pytest.mark.parametrize("pieces", [(b"ab", b"", b"cdef"), (), (b"",)])
async def test_a_body_in_pieces_of_unknown_length_is_chunked(upstream, transport, pieces):
    answer = await transport.send(request_to(upstream, body=in_pieces(*pieces), chunked=True))
    answer.close()

    assert upstream.received[0].body == b"".join(pieces)
    assert upstream.received[0].headers == [(b"Host", b"h"), (b"Transfer-Encoding", b"chunked")]


@pytest.mark.parametrize("body", [b"", b"abc"])
async def test_a_whole_body_is_chunked_if_it_came_so(upstream, transport, body):
    answer = await transport.send(request_to(upstream, body=body, chunked=True))
    answer.close()

    assert upstream.received[0].body == body
    assert upstream.received[0].header("transfer-encoding") == b"chunked"


async def test_a_piece_is_there_as_soon_as_it_has_arrived(upstream, transport):
    seen = asyncio.Event()
    upstream.script(CHUNKED_HEAD, chunk(b"first"), seen, chunk(b"second"), LAST_CHUNK)

    answer = await transport.send(request_to(upstream))
    first = answer.available() or await answer.read()
    complete_then = answer.complete
    seen.set()
    rest = await whole(answer)

    assert (first, complete_then, rest) == (b"first", False, b"second")
    answer.close()


async def test_a_complete_response_gives_its_connection_back(upstream, transport):
    for _ in range(3):
        answer = await transport.send(request_to(upstream))
        await whole(answer)
        answer.close()
        answer.close()

    assert upstream.connections == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\nConnection: close\r\n", b"HTTP/1.0 200 OK\r\n"], ids=["it says so", "HTTP/1.0"]
)
async def test_a_connection_that_is_to_end_is_not_used_again(upstream, transport, head):
    upstream.default = [head + b"Content-Length: 2\r\n\r\nok"]

    for _ in range(2):
        answer = await transport.send(request_to(upstream))
        assert await whole(answer) == b"ok"
        answer.close()

    assert upstream.connections == 2


@pytest.mark.parametrize("begun", [False, True])
async def test_a_response_that_is_closed_early_is_broken_off(upstream, transport, begun):
    upstream.script(CHUNKED_HEAD, chunk(b"first"), WAIT_FOR_CLIENT_GONE)
    answer = await transport.send(request_to(upstream))
    if begun:
        assert (answer.available() or await answer.read()) == b"first"

    answer.close()

    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)


async def test_a_cancelled_request_is_broken_off(upstream, transport):
    upstream.script(WAIT_FOR_CLIENT_GONE)
    sending = asyncio.create_task(transport.send(request_to(upstream)))
    await upstream.wait_for_requests(1)

    sending.cancel()

    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)
    with pytest.raises(asyncio.CancelledError):
        await sending


@pytest.mark.parametrize("how", [CLOSE, RESET])
@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nX: y"], ids=["nothing", "half a head"])
async def test_an_end_before_the_answer_is_a_break(upstream, transport, begin, how):
    upstream.default = [begin, how]

    with pytest.raises(UpstreamBrokeOff):
        await transport.send(request_to(upstream))

    assert len(upstream.received) == 1


@pytest.mark.parametrize("how", [CLOSE, RESET])
@pytest.mark.parametrize(
    "begin",
    [CHUNKED_HEAD + b"5\r\nhello\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"],
    ids=["chunked", "content-length"],
)
async def test_an_end_within_the_answer_is_a_break_after_what_had_arrived(upstream, transport, begin, how):
    seen = asyncio.Event()
    upstream.script(begin, seen, how)

    answer = await transport.send(request_to(upstream))
    assert (answer.available() or await answer.read()) == b"hello"
    seen.set()
    with pytest.raises(UpstreamBrokeOff):
        await answer.read()

    assert not answer.complete
    answer.close()


async def test_garbage_in_the_chunks_is_a_break(upstream, transport):
    upstream.script(CHUNKED_HEAD + chunk(b"hello") + b"zz\r\n")

    answer = await transport.send(request_to(upstream))
    with pytest.raises(UpstreamBrokeOff):
        await whole(answer)

    answer.close()


async def test_nobody_there_is_unreachable(upstream, transport):
    await upstream.stop()
    request = request_to(upstream)

    with pytest.raises(UpstreamUnreachable):
        await transport.send(request)

    assert request.sending.tcp_s > 0
    assert request.sending.sent_ns is None


@pytest.mark.parametrize("host", ["a..b", "x" * 70], ids=["no host name", "too long a host name"])
async def test_a_name_that_is_none_is_unreachable(upstream, transport, host):
    with pytest.raises(UpstreamUnreachable):
        await transport.send(request_to(upstream, origin=Origin("http", host, 80)))


async def test_silence_is_a_timeout_before_and_within_the_answer(upstream, make_transport, transport_name):
    transport = make_transport(transport_name, idle_timeout_s=0.5)
    upstream.script(WAIT_FOR_CLIENT_GONE)
    upstream.script(CHUNKED_HEAD, chunk(b"first"), WAIT_FOR_CLIENT_GONE)

    with pytest.raises(UpstreamTimeout):
        await transport.send(request_to(upstream))
    answer = await transport.send(request_to(upstream))
    first = answer.available() or await answer.read()
    with pytest.raises(UpstreamTimeout):
        await answer.read()

    assert first == b"first"
    answer.close()


async def test_an_upstream_that_speaks_now_and_then_is_not_silent(upstream, make_transport, transport_name):
    transport = make_transport(transport_name, idle_timeout_s=2.0)
    upstream.script(CHUNKED_HEAD, *[step for _ in range(10) for step in (0.25, chunk(b"x"))], LAST_CHUNK)

    answer = await transport.send(request_to(upstream))

    assert await whole(answer) == b"x" * 10
    answer.close()


async def test_what_the_pieces_raise_is_raised(upstream, transport):
    async def broken():
        yield b"first"
        raise ClientDisconnected("gone")

    with pytest.raises(ClientDisconnected):
        await transport.send(request_to(upstream, body=broken(), chunked=True))

    assert upstream.received == []


async def test_calls_do_not_wait_for_each_other(upstream, transport):
    together = asyncio.Event()
    upstream.default = [together, response(b"ok")]
    sending = [asyncio.create_task(transport.send(request_to(upstream))) for _ in range(50)]
    await upstream.wait_for_requests(50)

    together.set()

    for answer in await asyncio.gather(*sending):
        assert await whole(answer) == b"ok"
        answer.close()
    assert upstream.connections == 50


async def test_an_informational_response_is_not_the_answer(upstream, transport):
    upstream.script(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + response(b"ok"))

    answer = await transport.send(request_to(upstream))

    assert answer.status == 200
    assert answer.headers == [(b"Content-Length", b"2")]
    assert await whole(answer) == b"ok"
    answer.close()


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["two framings", "two lengths", "an upgrade", "an endless head", "a transfer coding"],
)
async def test_an_answer_of_doubtful_framing_is_no_answer(upstream, transport, head):
    upstream.script(head)

    with pytest.raises(UpstreamBrokeOff):
        await transport.send(request_to(upstream))


async def test_what_it_took_to_send_a_request_is_noted(make_transport, transport_name, server_tls, client_tls):
    upstream = Upstream()
    await upstream.start(tls=server_tls)
    transport = make_transport(transport_name, tls=client_tls)
    origin = Origin("https", "localhost", upstream.port)
    requests = [request_to(upstream, origin=origin) for _ in range(2)]

    before_ns = time.monotonic_ns()
    for request in requests:
        answer = await transport.send(request)
        await whole(answer)
        answer.close()

    first, second = (request.sending for request in requests)
    assert (upstream.connections, second.tcp_s, second.tls_s, second.dns_s) == (1, None, None, None)
    assert before_ns < first.sent_ns < second.sent_ns < time.monotonic_ns()
    assert first.tcp_s > 0
    assert first.tls_s > 0
    assert (first.dns_s is not None) == (transport_name == "http1")  # httpx does not tell
    assert first.tcp_s + first.tls_s + (first.dns_s or 0) <= (first.sent_ns - before_ns) / 1e9
    await upstream.stop()


async def test_a_certificate_is_checked(make_transport, transport_name, server_tls, client_tls):
    upstream = Upstream()
    await upstream.start(tls=server_tls)
    origin = Origin("https", "localhost", upstream.port)

    answer = await make_transport(transport_name, tls=client_tls).send(request_to(upstream, origin=origin))
    with pytest.raises(UpstreamUnreachable, match="certificate"):
        await make_transport(transport_name).send(request_to(upstream, origin=origin))

    assert answer.status == 200
    assert await whole(answer)
    answer.close()
    await upstream.stop()
