"""A response from the bytes of the wire, however they are cut."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.errors import UpstreamBrokeOff
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from llm_proxy.proxy.transport.http1_response import HIGH_WATER_BYTES, MAX_HEAD_BYTES, Http1Response

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


class Noted:
    """The line under a response: notes what is asked of it."""

    def __init__(self):
        self.calls = []

    def pause(self):
        self.calls.append("pause")

    def resume(self):
        self.calls.append("resume")

    def release(self, *, reusable):
        self.calls.append("keep" if reusable else "drop")


@pytest.fixture
def line():
    return Noted()


def response_on(line, *, method=b"GET", on_informational=None):
    request = UpstreamRequest(
        origin=Origin("http", "h", 80), method=method, target=b"/", headers=[], on_informational=on_informational
    )
    return Http1Response(line, request)


def closed(response, line):
    response.close()
    return line.calls[-1]


MESSAGES = {
    "content-length": (HEAD + b"X-A: 1\r\nContent-Length: 5\r\n\r\nhello", b"hello", "keep"),
    "chunked": (CHUNKED + b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello", "keep"),
    "chunked with an extension": (CHUNKED + b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello", "keep"),
    "chunked with trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n", b"hello", "keep"),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", "keep"),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"", "keep"),
    "an empty body": (HEAD + b"Content-Length: 0\r\n\r\n", b"", "keep"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", b"ok", "keep"),
    "an early hint": (b"HTTP/1.1 103 Early\r\nL: x\r\n\r\n" + HEAD + b"Content-Length: 2\r\n\r\nok", b"ok", "keep"),
    "the last one": (HEAD + b"Connection: close\r\nContent-Length: 2\r\n\r\nok", b"ok", "drop"),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", b"ok", "drop"),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
        b"ok",
        "keep",
    ),
}


@pytest.mark.parametrize(("wire", "body", "then"), MESSAGES.values(), ids=MESSAGES.keys())
def test_a_message_is_the_same_cut_at_any_byte(wire, body, then):
    for cut in range(len(wire) + 1):
        line = Noted()
        response = response_on(line)

        response.feed(wire[:cut])
        taken = response.available()
        response.feed(wire[cut:])

        assert taken + response.available() == body
        assert response.complete
        assert closed(response, line) == then


@given(pieces=st.lists(st.binary(max_size=50), max_size=10), cuts=st.lists(st.integers(0, 700), max_size=10))
def test_any_body_in_any_chunks_cut_anywhere_is_the_same_body(pieces, cuts):
    wire = CHUNKED + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
    places = sorted({min(cut, len(wire)) for cut in cuts} | {0, len(wire)})
    response = response_on(Noted())

    for start, end in itertools.pairwise(places):
        response.feed(wire[start:end])

    assert response.available() == b"".join(pieces)
    assert response.complete


@given(noise=st.binary(max_size=300))
def test_noise_is_a_break_or_a_message_and_never_anything_else(noise):
    response = response_on(Noted())

    response.feed(noise)
    response.connection_ended(None)

    assert response.complete or response._failure is not None or response._pieces


def test_head_has_no_body_whatever_its_length_says(line):
    response = response_on(line, method=b"HEAD")

    response.feed(HEAD + b"Content-Length: 1000\r\n\r\n")

    assert response.complete
    assert closed(response, line) == "keep"


@pytest.mark.parametrize(
    "head", [HEAD + b"Connection: close\r\nContent-Length: 1\r\n\r\n", b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"]
)
def test_after_head_a_connection_that_is_to_end_is_not_kept(line, head):
    response = response_on(line, method=b"HEAD")

    response.feed(head)

    assert response.complete
    assert closed(response, line) == "drop"


@pytest.mark.parametrize(
    "more", [b"x", HEAD + b"Content-Length: 0\r\n\r\n", HEAD], ids=["noise", "a whole message", "half a message"]
)
@pytest.mark.parametrize("at_once", [True, False])
def test_bytes_behind_the_end_make_the_connection_unfit(line, more, at_once):
    response = response_on(line)
    message = HEAD + b"Content-Length: 2\r\n\r\nok"

    for wire in [message + more] if at_once else [message, more]:
        response.feed(wire)

    assert response.available() == b"ok"
    assert response.complete
    assert closed(response, line) == "drop"


def test_a_response_that_is_not_taken_to_its_end_drops_the_connection(line):
    response = response_on(line)
    response.feed(HEAD + b"Content-Length: 2\r\n\r\nok")

    assert closed(response, line) == "drop"


def test_closing_twice_is_closing_once(line):
    response = response_on(line)
    response.feed(HEAD + b"Content-Length: 0\r\n\r\n")

    response.close()
    response.close()

    assert line.calls == ["keep"]


async def test_a_body_without_framing_ends_with_the_connection(line):
    response = response_on(line)
    response.feed(HEAD + b"\r\nhello")

    response.connection_ended(None)

    assert await response.read() == b"hello"
    assert response.complete
    assert closed(response, line) == "drop"


async def test_a_body_without_framing_is_cut_by_a_reset(line):
    response = response_on(line)
    response.feed(HEAD + b"\r\nhello")

    response.connection_ended(ConnectionResetError())

    assert await response.read() == b"hello"
    with pytest.raises(UpstreamBrokeOff):
        await response.read()


DOUBTFUL = {
    "two framings": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n",
    "a coding besides chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "another coding": HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a folded header": HEAD + b"X: 1\r\n 2\r\n\r\n",
    "a NUL": HEAD + b"X: 1\x00\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an endless head": HEAD + b"X: " + b"y" * MAX_HEAD_BYTES,
    "endless headers": HEAD + b"X: y\r\n" * (MAX_HEAD_BYTES // 6),
}


@pytest.mark.parametrize("wire", DOUBTFUL.values(), ids=DOUBTFUL.keys())
async def test_a_doubtful_head_is_never_shown(line, wire):
    response = response_on(line)

    response.feed(wire)

    with pytest.raises(UpstreamBrokeOff):
        await response.head()
    assert closed(response, line) == "drop"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"fffffffffffffffff\r\n", b"2\r\nabc\r\n", b"-1\r\n"])
async def test_a_bad_chunk_is_a_break_after_what_came_before_it(line, rest):
    response = response_on(line)

    response.feed(CHUNKED + b"5\r\nhello\r\n" + rest)

    body = await response.read()
    with pytest.raises(UpstreamBrokeOff):
        await response.read()
    assert body.startswith(b"hello")
    assert not response.complete


def test_informational_heads_are_handed_on_in_order():
    seen = []
    response = response_on(Noted(), on_informational=lambda status, headers: seen.append((status, headers)))

    response.feed(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")

    assert seen == [(102, []), (103, [(b"Link", b"x")])]
    assert response.status == 0


def test_above_high_water_reading_pauses_until_the_pieces_are_taken(line):
    response = response_on(line)
    response.feed(HEAD + b"Content-Length: 10000000\r\n\r\n" + bytes(HIGH_WATER_BYTES))
    below = list(line.calls)

    response.feed(bytes(1))
    above = list(line.calls)
    response.available()

    assert (below, above, line.calls) == ([], ["pause"], ["pause", "resume"])


async def test_a_reader_is_woken_by_what_arrives(line):
    response = response_on(line)
    response.feed(HEAD + b"Content-Length: 2\r\n\r\n")
    reading = asyncio.create_task(response.read())
    await asyncio.sleep(0)
    waiting = response.waiting_since is not None

    response.feed(b"ok")

    assert await reading == b"ok"
    assert waiting
    assert response.waiting_since is None
