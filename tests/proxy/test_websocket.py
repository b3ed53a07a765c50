"""WebSockets through the proxy: real clients and servers, and both ends worked by hand."""

import asyncio
import contextlib
import itertools
import os
import re
import socket
import struct

import pytest
import websockets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.frames import Close

from conftest import ProxyUnderTest, until
from llm_proxy.decode.socket_events import session_events
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.proxy.routes import Place, Retry, Route, Routes
from llm_proxy.understand import understand
from sockets import HANDSHAKE, by_hand, switching, talking

#: A Close with 1000 in either direction.
CLOSE = b"\x88\x02\x03\xe8"
MASKED_CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def url_of(proxy: ProxyUnderTest, path: str = "/v1/realtime?model=gpt-realtime") -> str:
    return f"ws://127.0.0.1:{proxy.port}{path}"


def routes_to(upstreams, *names):
    places = tuple(Place(upstreams.find(name)) for name in names)
    return Routes([Route(name="all", places=places, retry=Retry(attempts=1))])


async def opened(proxy):
    """A client that is worked by hand, and the head of the answer to it."""
    reader, writer = await proxy.connect()
    writer.write(HANDSHAKE)
    return reader, writer, await reader.readuntil(b"\r\n\r\n")


async def hang_up(upstream, writer):
    """Close both ends, as those do that have nothing more to say."""
    writer.close()
    await upstream.reader.read()
    upstream.writer.close()


async def test_a_session_is_relayed_and_on_record_with_every_byte_of_both_sides(start_proxy):
    async with talking(echo) as upstream:
        proxy = await start_proxy(upstream)

        async with connect(url_of(proxy), proxy=None) as session:
            await session.send("hello")
            answer = await session.recv()
            await session.send(b"\x00" * 70_000)
            long_answer = await session.recv()
            id_header = session.response.headers["X-LLM-Proxy-Id"]

    [call] = await proxy.ended()
    assert (answer, long_answer) == ("hello", b"\x00" * 70_000)
    assert call.id == id_header
    assert call.endpoint is Endpoint.REALTIME
    assert call.http_status == 101
    assert call.ending is Ending.COMPLETE
    assert call.request_bytes == len(call.request_body) == sum(call.sent.sizes)
    assert call.response_bytes == len(call.response_body) == sum(call.chunks.sizes)
    assert list(call.sent.times_us) == sorted(call.sent.times_us)


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_extensions_and_subprotocols_are_a_matter_of_the_two_ends(start_proxy, compression):
    async with talking(echo, subprotocols=["realtime"], compression=compression) as upstream:
        proxy = await start_proxy(upstream)

        async with connect(url_of(proxy), proxy=None, subprotocols=["realtime", "other"]) as session:
            await session.send("a" * 10_000)
            answer = await session.recv()
            agreed = session.subprotocol, [one.name for one in session.protocol.extensions]

    [call] = await proxy.ended()
    assert answer == "a" * 10_000
    assert agreed == ("realtime", ["permessage-deflate"] if compression else [])
    assert (len(call.response_body) < 1000) == (compression is not None)


async def test_the_handshake_goes_on_with_its_own_headers_and_the_key_of_the_configuration(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url, keys={"default": "sk-ours"})
        reader, writer = await proxy.connect()
        handshake = HANDSHAKE.replace(
            b"\r\n\r\n",
            b"\r\nSec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-theirs-0123456789, beta\r\n"
            b"OpenAI-Beta: realtime=v1\r\n\r\n",
        )

        writer.write(handshake)
        answer = await reader.readuntil(b"\r\n\r\n")
        await hang_up(upstream, writer)
        [call] = await proxy.ended()

    lines = upstream.head.split(b"\r\n")
    assert lines[0] == b"GET /v1/realtime?model=gpt-realtime HTTP/1.1"
    assert b"Sec-WebSocket-Protocol: realtime, beta" in lines
    assert {b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"} <= set(lines)
    assert b"OpenAI-Beta: realtime=v1" in lines
    assert b"Authorization: Bearer sk-ours" in lines
    assert b"theirs" not in upstream.head
    granted = switching(upstream.head).removesuffix(b"\r\n\r\n")
    assert answer.startswith(granted + b"\r\nX-LLM-Proxy-Id: ")
    assert call.key_fingerprint.endswith("6789")


async def test_without_a_configured_key_that_of_the_client_goes_on(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        reader, writer = await proxy.connect()

        writer.write(HANDSHAKE.replace(b"Host", b"Sec-WebSocket-Protocol: openai-insecure-api-key.sk-theirs\r\nHost"))
        await reader.readuntil(b"\r\n\r\n")
        await hang_up(upstream, writer)

    assert b"Sec-WebSocket-Protocol: openai-insecure-api-key.sk-theirs\r\n" in upstream.head


async def test_an_answer_that_switches_to_nothing_is_relayed_like_any_other(start_proxy, upstream):
    upstream.default = [b'HTTP/1.1 401 Unauthorized\r\nContent-Length: 13\r\n\r\n{"error": {}}']
    proxy = await start_proxy(upstream.url)

    answer = await proxy.raw(HANDSHAKE)

    [call] = await proxy.ended()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert answer.endswith(b'\r\n\r\n{"error": {}}')
    assert b"connection: close" in answer
    assert call.ending is Ending.UPSTREAM_ERROR
    assert call.response_body == b'{"error": {}}'


async def test_a_switch_that_nobody_asked_for_is_no_answer(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)

        answer = await proxy.raw(HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: h2c\r\nConnection: close"))

    assert answer.startswith(b"HTTP/1.1 5") or b"502" in answer.split(b"\r\n")[0]
    [call] = await proxy.ended()
    assert call.ending is Ending.UPSTREAM_BROKE_OFF


@pytest.fixture
async def hand():
    async with by_hand() as upstream:
        yield upstream


@pytest.fixture
async def before_hand(start_proxy, hand):
    return await start_proxy(hand.url)


PIECES = st.lists(st.binary(min_size=1, max_size=3000), max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=PIECES, received=PIECES)
async def test_bytes_in_are_bytes_out_whatever_they_are(hand, before_hand, sent, received):
    hand.connected.clear()
    reader, writer, head = await opened(before_hand)
    await hand.connected.wait()
    for mine, theirs in itertools.zip_longest(sent, received, fillvalue=b""):
        writer.write(mine)
        hand.writer.write(theirs)
    writer.write_eof()
    at_upstream = await hand.reader.read()
    hand.writer.write_eof()
    at_client = await reader.read()
    writer.close()

    assert at_upstream == b"".join(sent)
    assert at_client == b"".join(received)
    call_id = re.search(rb"X-LLM-Proxy-Id: (.+)\r\n", head)[1].decode()
    recorded = {call.id: call for call in before_hand.recorded()}[call_id]
    assert (recorded.request_body, recorded.response_body) == (at_upstream, at_client)
    assert recorded.ending is not None


async def test_a_frame_is_relayed_wherever_it_is_cut(start_proxy):
    frame = b"\x81\x7e\x01\x00" + b"x" * 256
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        reader, writer, _ = await opened(proxy)
        await upstream.connected.wait()
        for at in range(1, len(frame)):
            upstream.writer.write(frame[:at])
            first = await reader.readexactly(at)
            upstream.writer.write(frame[at:])
            rest = await reader.readexactly(len(frame) - at)
            assert first + rest == frame
        upstream.writer.write(CLOSE)
        await reader.readexactly(len(CLOSE))
        writer.write(MASKED_CLOSE)
        await upstream.reader.readexactly(len(MASKED_CLOSE))
        await hang_up(upstream, writer)

        [call] = await proxy.ended()

        assert call.ending is Ending.COMPLETE


async def test_a_piece_is_in_the_journal_before_it_goes_on(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        reader, writer, _ = await opened(proxy)
        await upstream.connected.wait()

        writer.write(b"asked")
        await upstream.reader.readexactly(5)
        upstream.writer.write(b"answered")
        await reader.readexactly(8)

        journal = b"".join(path.read_bytes() for path in proxy.journal_dir.glob("*/*.seg"))
        assert b"asked" in journal
        assert b"answered" in journal
        await hang_up(upstream, writer)


async def test_a_side_that_takes_its_time_slows_the_other_one_down(start_proxy):
    frame = b"\x82\x7e\xff\xfc" + bytes(2**16 - 4)
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url, max_captured_body_bytes=1000)
        reader, writer, _ = await opened(proxy)
        await upstream.connected.wait()

        async def send_much():
            for _ in range(500):
                upstream.writer.write(frame)
                await upstream.writer.drain()
            upstream.writer.write_eof()

        sending = asyncio.create_task(send_much())
        await asyncio.wait([sending], timeout=0.5)
        was_held_up = not sending.done()
        received = 0
        while piece := await reader.read(2**20):
            received += len(piece)
        writer.close()

        assert was_held_up
        assert received == 500 * 2**16
        [call] = await proxy.ended()
        assert call.response_bytes == received
        assert len(call.response_body) == 1000
        assert call.truncated


async def test_a_session_that_is_longer_than_what_is_kept_is_read_as_far_as_that_goes(start_proxy):
    said = '{"type":"x","text":"' + "y" * 980 + '"}'  # 1006 bytes in a frame that is not masked, 1010 in one that is
    async with talking(echo, compression=None) as upstream:
        proxy = await start_proxy(upstream, max_captured_body_bytes=10_070)

        async with connect(url_of(proxy), proxy=None, compression=None) as session:
            for _ in range(50):
                await session.send(said)
                assert await session.recv() == said

    [call] = await proxy.ended()
    record = understand(call)
    events = list(session_events(record.bodies))
    assert record.truncated
    assert (call.request_bytes, call.response_bytes) > (50 * 1000, 50 * 1000)
    assert [event.by_client for event in events].count(True) == 9
    assert [event.by_client for event in events].count(False) == 10
    assert {event.type for event in events} == {"x"}
    assert call.ending is Ending.COMPLETE


async def test_a_fin_is_passed_on_and_the_other_side_may_still_speak(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        reader, writer, _ = await opened(proxy)
        await upstream.connected.wait()

        writer.write(b"last words")
        writer.write_eof()
        heard = await upstream.reader.read()
        upstream.writer.write(b"an answer")
        upstream.writer.write_eof()

        assert heard == b"last words"
        assert await reader.read() == b"an answer"
        await hang_up(upstream, writer)
    [call] = await proxy.ended()
    assert call.ending is Ending.CLIENT_DISCONNECTED
    assert call.response_body == b"an answer"


async def test_a_client_that_breaks_off_ends_the_session_at_the_upstream(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        _, writer, _ = await opened(proxy)
        await upstream.connected.wait()

        writer.write(b"asked")
        await upstream.reader.readexactly(5)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

        assert await upstream.reader.read() == b""
        [call] = await proxy.ended()
        assert call.ending is Ending.CLIENT_DISCONNECTED
        assert call.request_body == b"asked"


async def test_an_upstream_that_breaks_off_is_never_taken_for_one_that_closed(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        reader, writer, _ = await opened(proxy)
        await upstream.connected.wait()

        upstream.writer.transport.abort()

        assert await reader.read() == b""
        writer.close()
        [call] = await proxy.ended()
        assert call.ending is Ending.UPSTREAM_BROKE_OFF


async def test_a_close_of_either_side_is_a_good_end(start_proxy):
    async def leave(connection):
        await connection.close(4001, "enough")

    async with talking(leave) as upstream:
        proxy = await start_proxy(upstream)

        async with connect(url_of(proxy), proxy=None) as session:
            with contextlib.suppress(websockets.ConnectionClosed):
                await session.recv()

    [call] = await proxy.ended()
    assert session.protocol.close_rcvd == Close(4001, "enough")
    assert call.ending is Ending.COMPLETE
    assert call.reason is None


async def test_a_session_of_silence_goes_on_unless_there_is_a_limit(start_proxy):
    async with talking(echo) as upstream:
        proxy = await start_proxy(upstream, idle_timeout_s=0.05)
        limited = await start_proxy(upstream, websocket_idle_s=0.2)

        async with connect(url_of(proxy), proxy=None) as session, connect(url_of(limited), proxy=None) as other:
            with contextlib.suppress(websockets.ConnectionClosed):
                await other.recv()
            await session.send("still here")
            answer = await session.recv()

    [call] = await limited.ended()
    assert answer == "still here"
    assert other.protocol.close_rcvd.code == 1001
    assert call.ending is Ending.UPSTREAM_TIMEOUT
    assert call.reason == "neither side sent anything for 0.2 s; both sides were told 1001"


async def test_at_shutdown_both_sides_are_told_that_the_proxy_goes_away(start_proxy):
    told = asyncio.Queue()

    async def listen(connection):
        await connection.send("ready")
        await connection.wait_closed()
        await told.put(connection.protocol.close_rcvd)

    async with talking(listen) as upstream:
        proxy = await start_proxy(upstream)
        async with connect(url_of(proxy), proxy=None) as session:
            await session.recv()

            proxy.cancel_calls()

            with contextlib.suppress(websockets.ConnectionClosed):
                await session.recv()
            at_upstream = await told.get()

    [call] = await proxy.ended()
    assert session.protocol.close_rcvd.code == 1001
    assert at_upstream.code == 1001
    assert call.ending is Ending.ABORTED


async def test_at_shutdown_no_frame_of_ours_stands_in_the_middle_of_another(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        reader, writer, _ = await opened(proxy)
        await upstream.connected.wait()
        upstream.writer.write(b"\x81\x05hel")
        await reader.readexactly(5)

        proxy.cancel_calls()

        assert await reader.read() == b""
        heard = await upstream.reader.read()
        assert heard[:2] == b"\x88\x82"  # to the other side nothing had begun
        writer.close()


async def test_a_route_sends_a_session_elsewhere_if_the_first_one_grants_none(start_proxy, upstream):
    upstream.default = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]
    async with talking(echo) as other:
        proxy = await start_proxy(
            upstream.url,
            named={"other": other},
            routes=lambda known: routes_to(known, "default", "other"),
        )

        async with connect(url_of(proxy), proxy=None) as session:
            await session.send("hello")
            answer = await session.recv()
            path = session.response.status_code

    [call] = await proxy.ended()
    assert (answer, path) == ("hello", 101)
    assert call.upstream == "other"
    assert [attempt.http_status for attempt in call.attempts] == [503, 101]


async def test_a_call_that_asks_for_no_log_leaves_none(start_proxy):
    async with talking(echo) as upstream:
        proxy = await start_proxy(upstream)

        async with connect(url_of(proxy), proxy=None, additional_headers={"X-LLM-Log": "off"}) as session:
            await session.send("secret")
            answer = await session.recv()

    assert answer == "secret"
    assert proxy.recorded() == []


async def test_of_a_session_without_bodies_the_lengths_are_known(start_proxy):
    async with talking(echo) as upstream:
        proxy = await start_proxy(upstream)

        async with connect(url_of(proxy), proxy=None, additional_headers={"X-LLM-Log": "metadata"}) as session:
            await session.send(os.urandom(100))
            await session.recv()

    [call] = await proxy.ended()
    assert call.request_body is None
    assert call.request_bytes == sum(call.sent.sizes) > 100


async def test_what_the_client_sends_before_it_has_an_answer_comes_after_the_handshake(start_proxy):
    async with by_hand() as upstream:
        proxy = await start_proxy(upstream.url)
        _, writer = await proxy.connect()

        writer.write(HANDSHAKE + b"early")

        await upstream.connected.wait()
        assert await upstream.reader.readexactly(5) == b"early"
        await hang_up(upstream, writer)
        await until(lambda: any(call.ending for call in proxy.recorded()))
