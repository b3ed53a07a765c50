"""One request and its answer, on a line that keeps what is sent; test_wire.py and test_relay.py go through a socket."""

import asyncio

import pytest
from uvicorn.protocols.http.flow_control import FlowControl

from llm_proxy.proxy.cycle import WireCycle


class Line:
    """A transport that keeps what is sent, send by send."""

    def __init__(self):
        self.sent = []

    def write(self, data):
        self.sent.append(data)

    def writelines(self, pieces):
        self.write(b"".join(pieces))

    def close(self):
        self.sent.append("closed")


def cycle_on(line):
    return WireCycle(
        line,
        FlowControl(line),
        method=b"GET",
        raw_path=b"/",
        query=b"",
        http_version="1.1",
        raw_headers=[],
        names=(),
        client=None,
        expects_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )


async def test_a_client_that_went_before_anybody_watched_is_told_of_soon_and_once():
    cycle, told = cycle_on(Line()), []
    cycle.disconnected = True

    cycle.when_gone(lambda: told.append("gone"))
    told_at_once = list(told)
    await asyncio.sleep(0)
    cycle.client_went()

    assert (told_at_once, told) == ([], ["gone"])


@pytest.mark.parametrize(
    ("headers", "framed"),
    [
        ([(b"Content-Length", b"2")], b"Content-Length: 2\r\n\r\n{}"),
        ([], b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
    ],
)
async def test_a_head_and_what_is_there_of_its_body_leave_in_one_send(headers, framed):
    line = Line()

    await cycle_on(line).begin(200, headers, b"{}", more=False)

    assert line.sent == [b"HTTP/1.1 200 OK\r\n" + framed]


@pytest.mark.parametrize("fails", [True, False], ids=["with an error", "without an answer"])
async def test_what_fails_to_answer_is_a_500_and_the_last_on_its_connection(fails):
    line = Line()

    async def app(wire):
        if fails:
            raise ZeroDivisionError

    await cycle_on(line).answer(app)

    head, body, end = line.sent[0].partition(b"\r\n")[0], line.sent[0].partition(b"\r\n\r\n")[2], line.sent[1]
    assert (head, body, end) == (b"HTTP/1.1 500 Internal Server Error", b"Internal Server Error", "closed")
    assert b"connection: close" in line.sent[0]


async def test_an_answer_that_is_not_brought_to_its_end_is_broken_off():
    line = Line()

    async def app(wire):
        await wire.begin(200, [(b"content-length", b"9")], b"half")
        raise ZeroDivisionError

    await cycle_on(line).answer(app)

    assert line.sent == [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "closed"]


async def test_who_is_cancelled_stays_so_and_the_connection_is_closed():
    line = Line()

    async def app(wire):
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cycle_on(line).answer(app)

    assert line.sent == ["closed"]


async def test_a_body_is_taken_whole_only_when_all_of_it_is_here():
    cycle = cycle_on(Line())

    cycle.arrived(b"{")
    too_early = cycle.whole()
    cycle.arrived(b"}")
    cycle.more_body = False

    assert (too_early, cycle.unread, cycle.whole(), cycle.unread) == (None, True, b"{}", False)
