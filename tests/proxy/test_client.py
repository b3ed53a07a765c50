"""The calling side: its body, and the interruption when it goes away."""

import asyncio

import pytest

from conftest import PATIENCE_S
from llm_proxy.errors import ClientDisconnected, Refused
from llm_proxy.proxy.client import Client

GONE = None, False


def piece(body, *, more):
    return body, more


class Pieces:
    """The line: the pieces given, then silence; on it the client can ``leave``."""

    gone_because = None
    unread = True

    def __init__(self, *pieces):
        self._pieces = asyncio.Queue()
        self._call = None
        for one in pieces:
            self._pieces.put_nowait(one)

    def whole(self):
        return None

    async def read(self):
        body, self.unread = await self._pieces.get()
        return body

    def when_gone(self, call):
        self._call = call

    def leave(self):
        if self._call is not None:
            self._call()


def client_of(*pieces, max_body_bytes=None):
    line = Pieces(*pieces)
    return Client(line, max_body_bytes=max_body_bytes), line


async def test_a_body_is_read_piece_by_piece():
    client, _ = client_of(piece(b"a", more=True), piece(b"bc", more=False))

    with client:
        first, more_after_first = await client.read(), client.has_more()
        second, more_after_second = await client.read(), client.has_more()

    assert (first, more_after_first) == (b"a", True)
    assert (second, more_after_second) == (b"bc", False)
    assert client.received_bytes == 3


async def test_the_rest_is_noted_before_it_goes_on_and_empty_pieces_are_left_out():
    client, _ = client_of(piece(b"b", more=True), piece(b"", more=True), piece(b"c", more=False))
    seen = []

    def note(noted):
        seen.append(("noted", noted))

    with client:
        async for part in client.rest(b"a", note):
            seen += [("sent", part)]

    assert seen == [("sent", b"a"), ("noted", b"b"), ("sent", b"b"), ("noted", b"c"), ("sent", b"c")]


async def test_a_client_that_leaves_within_its_body_is_gone():
    client, _ = client_of(piece(b"a", more=True), GONE)

    with client:
        await client.read()
        with pytest.raises(ClientDisconnected):
            await client.read()


async def test_a_body_that_grows_too_long_is_refused():
    client, _ = client_of(piece(b"12345", more=True), piece(b"6", more=False), max_body_bytes=5)

    with client:
        await client.read()
        with pytest.raises(Refused) as refused:
            await client.read()

    assert (refused.value.status, refused.value.code) == (413, "body_too_large")


@pytest.mark.parametrize(("max_body_bytes", "body_bytes"), [(None, 10**12), (5, None), (5, 5), (0, 0)])
async def test_a_length_within_the_limit_or_unknown_is_no_reason_to_refuse(max_body_bytes, body_bytes):
    client, _ = client_of(max_body_bytes=max_body_bytes)

    client.require_size(body_bytes)


async def test_a_length_beyond_the_limit_is_refused_before_the_body_comes():
    client, _ = client_of(max_body_bytes=5)

    with pytest.raises(Refused):
        client.require_size(6)


async def test_a_client_that_goes_away_interrupts_whatever_is_awaited():
    client, line = client_of(piece(b"", more=False))

    async def call():
        with client:
            await client.read()
            client.watch()
            line.leave()
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnected):
        await asyncio.wait_for(call(), PATIENCE_S)


async def test_the_interruption_leaves_nothing_behind_in_the_task():
    client, line = client_of()

    async def call():
        with client:
            client.watch()
            line.leave()
            await asyncio.Event().wait()

    with pytest.raises(ClientDisconnected):
        await call()

    await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_a_cancellation_from_elsewhere_stays_one():
    client, _ = client_of()
    waiting = asyncio.Event()

    async def call():
        with client:
            client.watch()
            waiting.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(call())
    await waiting.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_nobody_is_interrupted_after_the_call():
    client, line = client_of()
    with client:
        client.watch()

    line.leave()

    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.current_task().cancelling() == 0


async def test_another_error_is_not_taken_for_the_disconnect():
    client, _ = client_of()

    def call():
        with client:
            client.watch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        call()
