"""So many calls at a time."""

import asyncio
import contextlib

import pytest

from conftest import PATIENCE_S, until
from llm_proxy.errors import UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, Sending, UpstreamRequest
from llm_proxy.proxy.transport.turns import TakingTurns, Turns
from upstreams import response

ONE, OTHER = Origin("http", "one", 80), Origin("http", "other", 80)


def request_to(origin):
    return UpstreamRequest(origin=origin, method=b"GET", target=b"/v1/x", headers=[(b"Host", b"x")])


async def waiting_for(turns, origin, count=1):
    tasks = [asyncio.create_task(turns.wait(origin, Sending())) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def test_those_beyond_the_limit_wait_and_the_first_comes_first():
    turns = Turns(2, patience_s=PATIENCE_S)
    await turns.wait(ONE, Sending())
    await turns.wait(ONE, Sending())

    first, second = await waiting_for(turns, ONE, 2)
    turns.over(ONE)
    await first

    assert not second.done()
    turns.over(ONE)
    await second


async def test_how_long_one_waited_is_noted():
    turns = Turns(1, patience_s=PATIENCE_S)
    at_once, late = Sending(), Sending()
    await turns.wait(ONE, at_once)

    waiting = asyncio.create_task(turns.wait(ONE, late))
    await asyncio.sleep(0)
    turns.over(ONE)
    await waiting

    assert at_once.queued_s is None
    assert late.queued_s > 0


async def test_each_origin_has_a_limit_of_its_own():
    turns = Turns(1, patience_s=PATIENCE_S)
    await turns.wait(ONE, Sending())

    await turns.wait(OTHER, Sending())

    (still,) = await waiting_for(turns, ONE)
    assert not still.done()
    still.cancel()


async def test_who_waits_too_long_is_told_so_and_takes_no_place():
    turns = Turns(1, patience_s=0.01)
    await turns.wait(ONE, Sending())

    with pytest.raises(UpstreamTimeout, match="1 calls to one:80 are running"):
        await turns.wait(ONE, Sending())

    turns.over(ONE)
    await turns.wait(ONE, Sending())


@pytest.mark.parametrize("its_turn_comes", [False, True])
async def test_who_gives_up_while_waiting_leaves_the_place_to_the_next(its_turn_comes):
    turns = Turns(1, patience_s=PATIENCE_S)
    await turns.wait(ONE, Sending())
    impatient, patient = await waiting_for(turns, ONE, 2)

    if its_turn_comes:  # in the same moment
        turns.over(ONE)
    impatient.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await impatient
    if not its_turn_comes:
        turns.over(ONE)

    async with asyncio.timeout(PATIENCE_S):
        await patient


async def test_a_call_has_its_place_until_its_response_is_closed(upstream, make_transport, transport_name):
    transport = TakingTurns(make_transport(transport_name), Turns(1, patience_s=PATIENCE_S))
    upstream.script(response(b"ok"))
    origin = Origin("http", "127.0.0.1", upstream.port)
    first = await transport.send(request_to(origin))
    behind = request_to(origin)
    second = asyncio.create_task(transport.send(behind))
    await asyncio.sleep(0)  # it begins to wait
    await until(lambda: len(upstream.received) == 1)

    piece = first.available() or await first.read()
    assert (first.status, piece, second.done()) == (200, b"ok", False)
    first.close()
    first.close()

    answer = await second
    assert answer.status == 200
    assert behind.sending.queued_s > 0
    answer.close()


async def test_a_call_that_finds_nobody_gives_its_place_back(make_transport, transport_name, nobody):
    transport = TakingTurns(make_transport(transport_name), Turns(1, patience_s=PATIENCE_S))

    for _ in range(3):
        with pytest.raises(UpstreamUnreachable):
            await transport.send(request_to(nobody))


@pytest.fixture
async def nobody():
    """A port at which nobody listens."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return Origin("http", "127.0.0.1", port)


async def test_a_unix_socket_is_without_limit(tmp_path, make_transport):
    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(response(b"ok"))
        writer.close()

    path = str(tmp_path / "socket")
    server = await asyncio.start_unix_server(serve, path)
    transport = TakingTurns(make_transport("http1"), Turns(1, patience_s=0.01))
    origin = Origin("http", "store", 80, path)

    answers = [await transport.send(request_to(origin)) for _ in range(3)]

    assert [answer.status for answer in answers] == [200, 200, 200]
    for answer in answers:
        answer.close()
    await transport.close()
    server.close()
    await server.wait_closed()
