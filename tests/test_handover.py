"""Connections that go from one server to the next one, both in this process, through a real queue."""

import asyncio
import contextlib
import functools
import os
import socket

import pytest

from llm_proxy.app_server import Retiring, serve_app
from llm_proxy.assignment import RETIRE
from llm_proxy.child import Lifeline
from llm_proxy.handover import Handover, handover_queue
from llm_proxy.proxy.wire import WireLimits, WireProtocol
from running import PATIENCE_S, until

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Served:
    """A server that says its name, and the supervisor's end of its lifeline."""

    def __init__(self, name, port, handover):
        self.ours, self.theirs = socket.socketpair()
        self.go_on = asyncio.Event()
        self.started = asyncio.Event()

        async def app(wire):
            await wire.begin(200, [(b"content-length", b"5")])
            if wire.path == "/slow":
                self.started.set()
                await self.go_on.wait()
            await wire.go_on(name, more=False)

        self.running = asyncio.create_task(
            serve_app(
                app,
                port,
                Lifeline(self.theirs),
                http=functools.partial(WireProtocol, limits=WireLimits(), on_malformed=lambda: None),
                keep_alive_s=PATIENCE_S,
                drain_s=1,
                retiring=Retiring(handover, limit_s=PATIENCE_S),
            )
        )

    async def ready(self):
        async with asyncio.timeout(PATIENCE_S):
            assert await asyncio.get_running_loop().sock_recv(self.ours, 64) == b"ready\n"

    def retire(self):
        self.ours.sendall(RETIRE)


@pytest.fixture
async def serving():
    """Functions that start a server on a port that all share, and that connect to it."""
    started, connected = [], []
    with contextlib.ExitStack() as held:
        port = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        queue = [held.enter_context(end) for end in handover_queue()]

        async def start(name):
            ends = [held.enter_context(end.dup()) for end in queue]
            served = Served(name, port.dup(), Handover(*ends))
            served.ours.setblocking(False)
            started.append(served)
            await served.ready()
            return served

        async def connect():
            connected.append(await asyncio.open_connection(*port.getsockname()))
            return connected[-1]

        yield start, connect
        for _, writer in connected:
            writer.close()
            await writer.wait_closed()
        for served in started:
            served.go_on.set()
            served.ours.close()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.gather(*(served.running for served in started))
        for served in started:
            served.theirs.close()


async def ask(connection, request=GET):
    """Send a request, and return the name in its answer."""
    reader, writer = connection
    writer.write(request)
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
    assert head.startswith(b"HTTP/1.1 200")
    assert b"close" not in head
    return await asyncio.wait_for(reader.readexactly(5), PATIENCE_S)


async def test_idle_connections_are_answered_by_who_comes_next_and_the_one_that_left_is_gone(serving):
    start, connect = serving
    old = await start(b"old..")
    used = await connect()
    fresh = await connect()
    before = await ask(used)
    new = await start(b"new..")

    old.retire()
    async with asyncio.timeout(PATIENCE_S):
        await old.running
    after = [await ask(connection) for connection in (used, fresh, used)]

    assert before == b"old.."
    assert after == [b"new.."] * 3
    assert not new.running.done()


async def test_what_is_under_way_ends_where_it_began_and_then_its_connection_goes_on(serving):
    start, connect = serving
    old = await start(b"old..")
    busy = await connect()
    half = await connect()
    half[1].write(GET[:10])
    running = asyncio.create_task(ask(busy, GET.replace(b"/ ", b"/slow ")))
    await old.started.wait()
    await start(b"new..")

    old.retire()
    first = await ask(half, GET[10:])
    second = await ask(half)
    still_there = not old.running.done()
    old.go_on.set()
    answers = [await running, await ask(busy)]

    assert (first, second) in ((b"old..", b"new.."), (b"old..", b"old.."))
    assert still_there
    assert answers[0] == b"old.."
    await until(old.running.done, "the end of the one that left")
    assert await ask(busy) == b"new.."


async def test_many_connections_that_never_pause_lose_no_request_when_they_change_hands(serving):
    start, connect = serving
    old = await start(b"old..")
    connections = [await connect() for _ in range(20)]
    stop = asyncio.Event()

    async def keep_asking(connection):
        names = []
        while not stop.is_set():
            names.append(await ask(connection))
        return names

    asking = [asyncio.create_task(keep_asking(connection)) for connection in connections]
    await start(b"new..")
    old.retire()
    async with asyncio.timeout(PATIENCE_S):
        await old.running
    stop.set()
    answers = await asyncio.gather(*asking)

    assert {name for names in answers for name in names} == {b"old..", b"new.."}
    assert [await ask(connection) for connection in connections] == [b"new.."] * 20


async def test_a_full_queue_keeps_the_connection_where_it_is():
    reading, writing = handover_queue()
    with reading, writing, socket.socket() as connection:
        handover = Handover(reading, writing)
        given = 0
        while handover.give(connection.fileno()):
            given += 1
        taken = []
        with handover.adopting(lambda come: _keep(come, taken)):
            await until(lambda: len(taken) == given, "all of them")

        assert given > 0
        assert all(os.path.samestat(os.fstat(one.fileno()), os.fstat(connection.fileno())) for one in taken)
        for one in taken:
            one.close()


async def _keep(connection, taken):
    taken.append(connection)
