"""What only the fast transport does: informational responses, early answers, and the rule of sending again."""

import asyncio
import socket
import sys

import pytest

from conftest import CHAT, until
from llm_proxy.errors import UpstreamBrokeOff
from proxy.transport.by_hand import OK, answered_once, readable, receive
from upstreams import json_response


@pytest.fixture
def transport(make_transport):
    return make_transport("http1")


@pytest.fixture
async def proxy(start_proxy, upstream):
    return await start_proxy(upstream.url, transport="http1")


def between_look_and_write(transport, server, happens):
    """Let something happen when the pooled connection was found usable, and nothing was written yet."""
    [pooled] = transport._idle[server.origin]
    look = pooled.is_usable

    def is_usable():
        usable = look()
        happens()
        return usable

    pooled.is_usable = is_usable


@pytest.mark.skipif(sys.platform != "linux", reason="what the peer acknowledged is known on Linux only")
async def test_a_request_is_sent_again_if_the_upstream_had_closed_before_it_came(transport, server):
    connection = await answered_once(transport, server)
    between_look_and_write(transport, server, connection.close)

    sending = asyncio.create_task(transport.send(server.request()))
    second = await server.accept()
    assert b"POST /v1/x" in await receive(second)
    second.send(OK)

    response = await sending
    assert response.status == 200
    response.close()
    second.close()


async def test_a_request_is_not_sent_again_to_an_upstream_that_closed_one_way_and_took_it(transport, server):
    connection = await answered_once(transport, server)
    between_look_and_write(transport, server, lambda: connection.shutdown(socket.SHUT_WR))

    with pytest.raises(UpstreamBrokeOff):
        await transport.send(server.request())

    assert b"POST /v1/x" in await receive(connection)
    with pytest.raises(BlockingIOError):
        server.listener.accept()
    connection.close()


async def test_a_request_is_sent_again_once_at_most(transport, server):
    connection = await answered_once(transport, server)
    between_look_and_write(transport, server, connection.close)
    sending = asyncio.create_task(transport.send(server.request()))
    second = await server.accept()
    await receive(second)

    second.close()

    with pytest.raises(UpstreamBrokeOff):
        await sending
    with pytest.raises(BlockingIOError):
        server.listener.accept()


async def test_a_body_in_pieces_never_goes_out_on_a_connection_that_may_be_stale(transport, server):
    first = await answered_once(transport, server)

    async def pieces():
        yield b"{}"

    sending = asyncio.create_task(transport.send(server.request(pieces())))
    second = await server.accept()
    assert b"POST /v1/x" in await receive(second)
    second.send(OK)

    response = await sending
    assert await response.read() == b"ok"
    response.close()
    first.close()
    second.close()


async def test_a_connection_is_closed_when_it_was_idle_for_long_enough(make_transport, server):
    connection = await answered_once(make_transport("http1", pool_idle_s=0.1), server)

    assert await receive(connection) == b""

    connection.close()


async def test_a_connection_in_use_when_the_transport_closes_ends_with_its_response(transport, server):
    sending = asyncio.create_task(transport.send(server.request()))
    connection = await server.accept()
    await receive(connection)

    await transport.close()
    connection.send(OK)
    response = await sending
    assert await response.read() == b"ok"
    response.close()

    assert await receive(connection) == b""
    connection.close()


async def test_a_request_is_not_sent_again_if_the_upstream_took_it_and_closed(transport, server):
    connection = await answered_once(transport, server)
    sending = asyncio.create_task(transport.send(server.request()))
    assert b"POST /v1/x" in await receive(connection)

    connection.close()

    with pytest.raises(UpstreamBrokeOff):
        await sending
    with pytest.raises(BlockingIOError):
        server.listener.accept()


async def test_a_request_is_not_sent_again_if_the_upstream_reset_without_reading(transport, server):
    connection = await answered_once(transport, server)
    sending = asyncio.create_task(transport.send(server.request()))
    await until(lambda: readable(connection))  # in the server's kernel, unread: who knows whether it looked at it

    connection.close()

    with pytest.raises(UpstreamBrokeOff):
        await sending
    with pytest.raises(BlockingIOError):
        server.listener.accept()


async def test_a_connection_on_which_something_came_unasked_is_not_used(transport, server):
    connection = await answered_once(transport, server)
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npoisoned!")

    sending = asyncio.create_task(transport.send(server.request()))
    second = await server.accept()
    await receive(second)
    second.send(OK)

    response = await sending
    assert await response.read() == b"ok"
    response.close()
    second.close()
    connection.close()


async def test_a_response_with_bytes_behind_its_end_is_the_last_on_its_connection(transport, server):
    sending = asyncio.create_task(transport.send(server.request()))
    connection = await server.accept()
    await receive(connection)
    connection.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    response = await sending
    assert await response.read() == b"ok"
    response.close()

    assert transport._idle[server.origin] == []
    connection.close()


async def test_an_answer_before_the_request_was_sent_is_relayed(start_proxy, server):
    proxy = await start_proxy(f"http://127.0.0.1:{server.origin.port}/v1", transport="http1")

    async def endless():
        for _ in range(1000):
            yield bytes(65536)

    sending = asyncio.create_task(proxy.client.post("/v1/files", content=endless()))
    connection = await server.accept()
    await receive(connection)
    connection.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnope")

    answer = await sending
    assert (answer.status_code, answer.content) == (413, b"nope")
    connection.close()


async def test_informational_responses_are_passed_on(upstream, proxy):
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    wire = early.replace(b"Link", b"Connection: x-hop\r\nX-Hop: 1\r\nLink")
    upstream.script(b"HTTP/1.1 100 Continue\r\n\r\n" + wire + json_response({}))

    answer = await proxy.raw(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert early in answer
    assert answer.split(early)[1].startswith(b"HTTP/1.1 200 OK")


async def test_http_1_0_is_told_nothing_informational(upstream, proxy):
    upstream.script(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + json_response({}))

    answer = await proxy.raw(b"GET /v1/models HTTP/1.0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


async def test_trailers_are_dropped(upstream, proxy):
    upstream.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n")

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.content == b"ok"
