"""One connection: who is to blame for a silence, who slows whom down, and what makes it unfit."""

import asyncio

import pytest

from conftest import until
from llm_proxy.errors import UpstreamBrokeOff, UpstreamTimeout
from proxy.transport.by_hand import OK, answered_once, receive
from upstreams import CLOSE, Upstream, json_response

MIB = 2**20


def idle_connection(transport, server):
    [connection] = transport._idle[server.origin]
    return connection


async def test_a_client_that_takes_its_time_is_not_the_upstreams_silence(make_transport, server):
    transport = make_transport("http1", idle_timeout_s=0.3)
    go_on = asyncio.Event()

    async def pieces():
        yield b"{"
        await go_on.wait()
        yield b"}"

    sending = asyncio.create_task(transport.send(server.request(pieces())))
    connection = await server.accept()
    await asyncio.sleep(0.8)  # longer than the upstream would be given
    still_waiting = not sending.done()
    go_on.set()
    while not (await receive(connection)).endswith(b"0\r\n\r\n"):
        pass
    connection.send(OK)

    response = await sending
    assert still_waiting
    assert response.status == 200
    response.close()
    connection.close()


async def test_a_relay_that_takes_its_time_is_not_the_upstreams_silence(make_transport, server):
    transport = make_transport("http1", idle_timeout_s=0.3)
    sending = asyncio.create_task(transport.send(server.request()))
    connection = await server.accept()
    await receive(connection)
    connection.send(OK[:-1])
    response = await sending

    await asyncio.sleep(0.8)  # nobody reads: the client is slow
    connection.send(OK[-1:])

    assert response.available() + await response.read() == b"ok"
    response.close()
    connection.close()


async def test_the_clock_starts_when_somebody_begins_to_wait(make_transport, server):
    transport = make_transport("http1", idle_timeout_s=60.0)
    sending = asyncio.create_task(transport.send(server.request()))
    connection = await server.accept()
    await receive(connection)
    connection.send(OK[:-2])
    response = await sending
    reading = asyncio.create_task(response.read())
    await until(lambda: response.waiting_since is not None)

    response._line._active_at -= 120  # the client was slow for two minutes, and waits only since now
    response._line._check_idle()
    await asyncio.sleep(0)
    still_waiting = not reading.done()
    connection.send(OK[-2:])

    assert await reading == b"ok"
    assert still_waiting
    response.close()
    connection.close()


async def test_a_connection_with_an_answer_before_its_request_was_sent_is_not_kept(make_transport, server):
    transport = make_transport("http1")

    async def pieces():
        yield b"{"
        await asyncio.Event().wait()

    sending = asyncio.create_task(transport.send(server.request(pieces())))
    connection = await server.accept()
    await receive(connection)
    connection.send(OK)
    response = await sending
    assert await response.read() == b"ok"

    response.close()

    assert transport._idle[server.origin] == []
    while await receive(connection):
        pass
    connection.close()


async def endless(taken):
    while True:
        taken.append(65536)
        yield bytes(65536)


async def test_an_upstream_that_does_not_read_stops_the_sender_and_is_late_in_the_end(make_transport, server):
    transport = make_transport("http1", idle_timeout_s=0.5)
    taken = []
    sending = asyncio.create_task(transport.send(server.request(endless(taken))))
    connection = await server.accept()

    with pytest.raises(UpstreamTimeout):
        await sending

    assert sum(taken) < 64 * MIB  # what the buffers of two kernels hold
    connection.close()


async def test_an_upstream_that_goes_away_stops_the_sender(make_transport, server):
    taken = []
    sending = asyncio.create_task(make_transport("http1").send(server.request(endless(taken))))
    connection = await server.accept()
    await receive(connection)

    connection.close()

    with pytest.raises(UpstreamBrokeOff):
        await sending
    before = len(taken)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(taken) == before


async def test_what_comes_unasked_closes_an_idle_connection(make_transport, server):
    transport = make_transport("http1")
    connection = await answered_once(transport, server)
    pooled = idle_connection(transport, server)
    usable_before = pooled.is_usable()

    connection.send(b"HTTP/1.1 408 Request Timeout\r\n\r\n")

    await until(lambda: pooled._closed)
    assert usable_before
    assert not pooled.is_usable()
    connection.close()


async def test_breaking_off_twice_is_breaking_off_once(make_transport, server):
    transport = make_transport("http1")
    connection = await answered_once(transport, server)
    pooled = idle_connection(transport, server)

    pooled.abort()
    pooled.abort()

    assert await receive(connection) == b""
    assert not pooled.is_usable()
    connection.close()


async def test_over_tls_a_connection_that_was_closed_meanwhile_is_not_used(start_proxy, server_tls, client_tls):
    upstream = Upstream()
    upstream.default = [json_response({}), CLOSE]
    await upstream.start(tls=server_tls)
    proxy = await start_proxy(f"https://localhost:{upstream.port}/v1", tls=client_tls)

    statuses = [(await proxy.client.post("/v1/chat/completions", json={})).status_code for _ in range(5)]

    assert statuses == [200] * 5
    assert len(upstream.received) == 5
    await upstream.stop()
