"""One connection to an upstream: requests out, bytes of responses in, the idle timer, and how it ended.

The protocol object stays the same while responses come and go; it holds the socket itself, because only that can be
asked how much of a request the peer has acknowledged.
"""

import asyncio
import select
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import cast

from llm_proxy.errors import LlmProxyError, UpstreamTimeout
from llm_proxy.proxy.transport.base import UpstreamRequest
from llm_proxy.proxy.transport.connect import bytes_acked, was_reset
from llm_proxy.proxy.transport.http1_response import Http1Response

#: How long the reset that follows a FIN may take to come, in seconds; it needs one round trip.
_RESET_WAIT_S = 0.5
_RESET_POLL_S = 0.005
#: How long the last bytes of a switched connection may take to leave, in seconds.
_LAST_BYTES_S = 10.0
_LAST_CHUNK = b"0\r\n\r\n"


class NotTaken(LlmProxyError):
    """The upstream closed an idle connection, and had acknowledged no byte of the request by then."""


class Connection(asyncio.Protocol):
    """One connection; ``on_idle`` is called when it can take another request."""

    def __init__(self, on_idle: "Callable[[Connection], None]", *, idle_timeout_s: float) -> None:
        self._on_idle = on_idle
        self._idle_timeout_s = idle_timeout_s
        self._loop = asyncio.get_running_loop()
        self._response: Http1Response | None = None
        self._request_sent = False
        #: Of a request body in pieces, the next one has not come from the client yet.
        self._awaits_piece = False
        self._sender: asyncio.Task[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._active_at = 0.0
        self._closed = False
        self._finishing = False
        #: When it was released last, on the loop's clock.
        self.idle_since = 0.0
        #: Bytes that were written, and those that the peer had acknowledged before the first of them; None if unknown.
        self._written_bytes = 0
        self._acked_at_first: int | None = None
        #: Of a connection that was used before: what the peer will have acknowledged if it took nothing of the request.
        self._acked_before: int | None = None

    def opened(self, sock: socket.socket) -> None:
        """Take over what the connecting side has."""
        self._sock = sock
        self._is_new = True
        if self._plain:  # TLS writes bytes of its own
            self._acked_at_first = bytes_acked(sock)
        self._news = select.poll()
        self._news.register(sock, select.POLLIN)

    def is_usable(self) -> bool:
        """Whether another request may go out: open, and the upstream has neither closed it nor said anything."""
        return not self._closed and not self._transport.is_closing() and not self._news.poll(0)

    async def exchange(self, request: UpstreamRequest) -> Http1Response:
        """Send ``request`` and wait for the head of its response. Raises NotTaken, or what UpstreamResponse does."""
        response = self._response = Http1Response(self, request)
        if not self._is_new and self._acked_at_first is not None:
            # Counted, which costs less than to ask the kernel. If an earlier request was not taken whole, the peer has
            # acknowledged less than this, and nothing is sent again.
            self._acked_before = self._acked_at_first + self._written_bytes
        try:
            self._write(request)
            self._start_timer()
            await response.head()
        except BaseException as exc:
            if not isinstance(exc, NotTaken):  # then the socket is still needed, for was_refused()
                self.abort()
            raise
        return response

    async def was_refused(self) -> bool:
        """Whether the upstream's kernel answered the request with a reset, without acknowledging any byte of it."""
        deadline = self._loop.time() + _RESET_WAIT_S
        while self._loop.time() < deadline and bytes_acked(self._sock) == self._acked_before:
            if was_reset(self._sock):
                return bytes_acked(self._sock) == self._acked_before
            await asyncio.sleep(_RESET_POLL_S)
        return False

    def abort(self) -> None:
        """Break the connection off, unless it is about to close by itself. Idempotent."""
        self._closed = True
        self._stop_timer()
        if self._finishing:
            return
        if self._sender is not None:
            self._sender.cancel()
        self._transport.abort()

    # For the response

    def pause(self) -> None:
        """Stop reading."""
        if not self._closed:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if not self._closed:
            self._transport.resume_reading()
            self._active_at = self._loop.time()

    def release(self, *, reusable: bool) -> None:
        """The response is done with."""
        if not reusable or not self._request_sent or self._closed:
            self.abort()
            return
        self._response = None  # the timer runs on: it finds out, and the next request has one
        self._is_new = False
        self.idle_since = self._loop.time()
        self._on_idle(self)

    # For what comes after a 101

    async def write(self, piece: bytes) -> None:
        """Send bytes of another protocol, and wait while the upstream takes no more."""
        self.write_now(piece)
        if self._writable is not None:
            await self._writable

    def write_now(self, piece: bytes) -> None:
        """Send bytes of another protocol."""
        if not self._closed:
            self._transport.write(piece)

    def end_writing(self) -> None:
        """Say that nothing more will be sent, where that can be said without closing."""
        if not self._closed and self._transport.can_write_eof():
            self._transport.write_eof()

    def finish(self) -> None:
        """Close when what was sent has left."""
        if not self._closed:
            self._closed = self._finishing = True
            self._transport.close()
            self._loop.call_later(_LAST_BYTES_S, self._transport.abort)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._plain = transport.get_extra_info("sslcontext") is None

    def data_received(self, data: bytes) -> None:
        self._active_at = self._loop.time()
        if self._response is None:
            self.abort()  # nobody asked
        else:
            self._response.feed(data)

    def eof_received(self) -> bool:
        response = self._response
        if response is None:
            return False
        if self._acked_before is not None and self._request_sent and not response.begun:
            response.fail(NotTaken())
        else:
            response.connection_ended(None)
        # Keep the socket, to be asked by was_refused(); whoever holds the response closes it. TLS cannot be kept.
        return self._plain

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self.resume_writing()
        if self._response is not None:
            self._response.connection_ended(exc)
        self.abort()

    def pause_writing(self) -> None:
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def _write(self, request: UpstreamRequest) -> None:
        request.sending.sent_ns = time.monotonic_ns()
        head = [request.method, b" ", request.target, b" HTTP/1.1\r\n"]
        for name, value in request.headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"Transfer-Encoding: chunked\r\n\r\n" if request.chunked else b"\r\n")
        if isinstance(request.body, bytes):
            body = _chunk(request.body) + _LAST_CHUNK if request.chunked else request.body
            self._put(b"".join((*head, body)))
            self._request_sent = True
            return
        self._put(b"".join(head))
        self._request_sent = False
        self._sender = self._loop.create_task(self._send_pieces(request.body, chunked=request.chunked))

    def _put(self, piece: bytes) -> None:
        self._written_bytes += len(piece)
        self._transport.write(piece)

    async def _send_pieces(self, pieces: AsyncIterator[bytes], *, chunked: bool) -> None:
        try:
            while (piece := await self._next_piece(pieces)) is not None:
                self._put(_chunk(piece) if chunked else piece)
                self._active_at = self._loop.time()
                if self._writable is not None:
                    await self._writable
            if chunked:
                self._put(_LAST_CHUNK)
            self._request_sent = True
        except LlmProxyError as exc:
            if self._response is not None:
                self._response.fail(exc)
        finally:
            self._sender = None

    async def _next_piece(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        self._awaits_piece = True
        try:
            return await anext(pieces, None)
        finally:
            self._awaits_piece = False

    def _start_timer(self) -> None:
        self._active_at = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_timeout_s, self._check_idle)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_idle(self) -> None:
        """Time out if the upstream was silent for so long while somebody waited for it."""
        response, self._timer = self._response, None
        if response is None or response.switched is not None:
            return
        silent_since = max(self._active_at, response.waiting_since or 0.0)
        if self._awaits_piece or response.waiting_since is None:
            silent_since = self._loop.time()  # it is the client who takes its time
        left_s = silent_since + self._idle_timeout_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._check_idle)
        else:
            response.fail(UpstreamTimeout(f"the upstream sent nothing for {self._idle_timeout_s:g} s"))


def _chunk(piece: bytes) -> bytes:
    """``piece`` in chunked encoding (RFC 9112 section 7.1); an empty one would be taken for the last."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
