"""One request and its answer on a client's connection: in the place of uvicorn's cycle, and faithful.

- Nothing is added to an answer but its framing, and its head leaves in one write with what is there of its body.
- An informational (1xx) response can be passed on, and an answer can be broken off so that no client takes it for
  complete.
- Whoever wants to know at once that the client is gone is called.
- After a 101 the connection can be used for another protocol.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from llm_proxy.log import get_logger
from llm_proxy.proxy.by_names import Names
from llm_proxy.proxy.transport.base import RawHeaders

#: SO_LINGER on, with zero seconds: close() sends a reset (RST) instead of a FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_LENGTH_OF_CONTENT_LENGTH = 14

_log = get_logger(__name__)


#: What answers requests: by ``begin`` and ``go_on``, or by ``switch``.
App: TypeAlias = "Callable[[WireCycle], Awaitable[None]]"


class WireCycle:
    """One request and its answer."""

    #: Whether more of the request's body is to come.
    more_body = True
    #: Whether the connection is gone, by whose doing ever.
    disconnected = False
    response_started = False
    response_complete = False
    chunked_encoding = False
    #: Of the answer's body, what is still to be sent, if its head says how long it is.
    expected_content_length = 0
    #: What was wrong with the request, if it was that which ended the connection.
    gone_because: str | None = None
    #: Whether HTTP has ended with this request: it asks for another protocol, and that is what follows.
    switches = False
    _ends_with_connection = False
    _call_when_gone: Callable[[], None] | None = None
    _waiter: asyncio.Future[None] | None = None
    #: Of the bytes of another protocol, what nobody has asked for yet, and whether the client has ended it.
    _beyond_bytes = 0
    _beyond_ended = False

    def __init__(
        self,
        transport: asyncio.Transport,
        flow: FlowControl,
        *,
        method: bytes,
        raw_path: bytes,
        query: bytes,
        http_version: str,
        raw_headers: RawHeaders,
        names: Names,
        client: str | None,
        expects_100_continue: bool,
        keep_alive: bool,
        on_response: Callable[[], None],
    ) -> None:
        self.transport = transport
        self.flow = flow
        self.method = method
        #: As they stand on the wire, and so do the headers: case, order, duplicates.
        self.raw_path = raw_path
        self.query = query
        self.http_version = http_version
        self.raw_headers = raw_headers
        self.names = names
        #: Its address; None if it has none.
        self.client = client
        self.waiting_for_100_continue = expects_100_continue
        self.keep_alive = keep_alive
        self.on_response = on_response
        #: Of the request's body, what nobody has asked for yet.
        self._pieces: list[bytes] = []
        self._pieces_bytes = 0
        self._beyond: list[bytes] = []

    @property
    def path(self) -> str:
        """With nothing encoded in it."""
        path = self.raw_path
        return (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8", "replace")

    async def answer(self, app: App) -> None:
        """Have ``app`` answer, and answer in its place if it fails to."""
        error: Exception | None = None
        try:
            await app(self)
        except Exception as exc:  # noqa: BLE001 - of one request; others go on
            error = exc
        except asyncio.CancelledError:
            self.transport.close()
            raise
        finally:
            self.on_response = _nothing  # what it belongs to holds the cycle
        if self.response_complete or self.disconnected:
            return
        _log.error("a request has no answer, or no end of it; it gets a 500 or is broken off", exc_info=error)
        self.keep_alive = False
        if self.response_started:
            self.transport.close()
        else:
            body = b"Internal Server Error"
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
            await self.begin(500, headers, body, more=False)

    def arrived(self, piece: bytes) -> None:
        """Keep a piece of the request's body until it is asked for."""
        self._pieces.append(piece)
        self._pieces_bytes += len(piece)
        if self._pieces_bytes > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.wake()

    def wake(self) -> None:
        """Let go on who waits for more to come, since something has happened."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def unread(self) -> bool:
        """Whether a part of the request's body was not taken yet, or has not come."""
        return self.more_body or bool(self._pieces)

    def whole(self) -> bytes | None:
        """Take the body, if all of it is here that was not taken yet; None if that has to be waited for, or is gone."""
        if self.more_body or self.disconnected or self.response_complete:
            return None
        return self._take()

    async def read(self) -> bytes | None:
        """Wait for more of the request's body and take it, empty at its end; None if the client is gone."""
        if self.waiting_for_100_continue and not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.waiting_for_100_continue = False
        while not self._pieces and self.more_body and not self.disconnected and not self.response_complete:
            await self._wait()
        if self.disconnected or self.response_complete:
            return None
        return self._take()

    def _take(self) -> bytes:
        pieces = self._pieces
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._pieces_bytes = 0
        return piece

    async def _wait(self) -> None:
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Have this called when the client goes away without its answer, or soon if it has gone; None: no more."""
        self._call_when_gone = call
        if call is None:
            return
        if self.flow.read_paused:
            self.flow.resume_reading()  # whether the client is still there shows only to those who read
        if self.disconnected:
            asyncio.get_running_loop().call_soon(self.client_went)

    def client_went(self) -> None:
        """The connection was lost, and not by our doing."""
        call, self._call_when_gone = self._call_when_gone, None
        if call is not None:
            call()

    def arrived_beyond(self, piece: bytes) -> None:
        """Keep bytes of another protocol until they are asked for; empty if the client will send no more."""
        if piece:
            self._beyond.append(piece)
        else:
            self._beyond_ended = True
        self._beyond_bytes += len(piece)
        if self._beyond_bytes > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self.wake()

    async def read_beyond(self) -> bytes:
        """Wait for bytes of another protocol and take them; empty at their end."""
        while not self._beyond and not self._beyond_ended and not self.disconnected:
            await self._wait()
        piece = self._beyond[0] if len(self._beyond) == 1 else b"".join(self._beyond)
        self._beyond, self._beyond_bytes = [], 0
        self.flow.resume_reading()
        return piece

    async def switch(self, headers: RawHeaders, piece: bytes) -> None:
        """Send the head of a 101 as given and what is there of what follows it; then ``pass_on`` and ``finish``."""
        self.response_started = True
        await self.pass_on(head_bytes(101, headers, b"") + piece)

    async def pass_on(self, piece: bytes) -> None:
        """Send bytes of another protocol."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self.transport.write(piece)

    def end_writing(self) -> None:
        """Say that nothing more will be sent, where that can be said without closing."""
        if not self.disconnected and self.transport.can_write_eof():
            self.transport.write_eof()

    def finish(self) -> None:
        """Close a connection that was switched, when what was sent has left."""
        self.response_complete = True
        self.transport.close()
        self.on_response()

    def inform(self, status: int, headers: RawHeaders) -> None:
        """Pass an informational response on, if this client's HTTP version knows such a thing."""
        if self.http_version == "1.1" and not self.response_started and not self.disconnected:
            self.transport.write(head_bytes(status, headers, b""))

    def break_off(self) -> None:
        """End the connection in the middle of the answer, in a way that cannot be taken for its end."""
        if self.disconnected:
            return
        self.disconnected = True
        if self._ends_with_connection:  # then a clean close would look like success
            sock = self.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.close()

    async def begin(self, status: int, headers: RawHeaders, body: bytes = b"", *, more: bool = True) -> None:
        """Send the head as given and what is there of the body, in one write; then ``go_on`` unless that was all."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write(self._begun(status, headers), body, more)

    async def go_on(self, body: bytes, *, more: bool) -> None:
        """Send a further piece of the body."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if not self.disconnected:
            self._write(b"", body, more)

    def _begun(self, status: int, headers: RawHeaders) -> bytes:
        """The head, with the framing that the body will have."""
        self.response_started = True
        self.waiting_for_100_continue = False
        length = None
        for name, value in headers:
            if len(name) == _LENGTH_OF_CONTENT_LENGTH and name.lower() == b"content-length":
                length = value
                break
        bodiless = self.method == b"HEAD" or status in (204, 304)
        self.expected_content_length = 0 if bodiless or length is None else int(length)
        self.chunked_encoding = not bodiless and length is None and self.http_version == "1.1"
        self._ends_with_connection = not bodiless and length is None and not self.chunked_encoding
        framing = b"transfer-encoding: chunked\r\n" if self.chunked_encoding else b""
        if not self.keep_alive:
            framing += b"connection: close\r\n"
        return head_bytes(status, headers, framing)

    def _write(self, head: bytes, body: bytes, more: bool) -> None:
        if self.chunked_encoding:
            end = b"" if more else b"0\r\n\r\n"
            self.transport.write(b"%b%x\r\n%b\r\n%b" % (head, len(body), body, end) if body else head + end)
        elif self.method == b"HEAD":
            self.transport.write(head)
        else:
            self.transport.writelines((head, body) if head and body else (head or body,))
            if not self._ends_with_connection:
                self.expected_content_length -= len(body)
        if not more:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length and self.method != b"HEAD":
            raise RuntimeError("the body is not as long as its Content-Length says")
        self.response_complete = True
        self.wake()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


def _nothing() -> None:
    """Nobody is told any more."""


def head_bytes(status: int, headers: RawHeaders, framing: bytes) -> bytes:
    """The head of an answer; ``framing`` are whole lines of it."""
    # No check of names and values: they come out of a strict parser, or from this program.
    lines = [STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    return b"".join((*lines, framing, b"\r\n"))
