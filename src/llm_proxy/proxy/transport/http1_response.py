"""One response as it arrives: llhttp's callbacks on one side, the relay that takes its pieces on the other.

Never buffers without bound: above ``HIGH_WATER_BYTES`` it asks the connection to pause. Never reads past its own end:
a byte too many makes the connection unfit for another request.
"""

import asyncio
from typing import Protocol

import httptools

from llm_proxy.errors import LlmProxyError, UpstreamBrokeOff
from llm_proxy.proxy.transport.base import RawHeaders, Switched, UpstreamRequest

#: Body bytes that may wait to be relayed before reading from the socket pauses.
HIGH_WATER_BYTES = 256 * 1024
#: A longer head is refused.
MAX_HEAD_BYTES = 256 * 1024


class Line(Switched, Protocol):
    """What a response needs of its connection."""

    def pause(self) -> None:
        """Stop reading."""

    def resume(self) -> None:
        """Read on."""

    def release(self, *, reusable: bool) -> None:
        """The response is done with."""


class Http1Response:
    """See UpstreamResponse; the connection feeds it."""

    status = 0
    switched: Switched | None = None
    #: Since when somebody waits for the upstream, on the loop's clock; None if nobody does, and it cannot be late.
    waiting_since: float | None = None
    #: Whether any byte came back for the request.
    begun = False
    _head_bytes = 0
    _head_complete = False
    _ended = False
    _informational = False
    _ends_with_connection = False
    _reusable = False
    _pieces_bytes = 0
    _failure: LlmProxyError | None = None
    _waiter: asyncio.Future[None] | None = None
    _released = False

    def __init__(self, line: Line, request: UpstreamRequest) -> None:
        self.headers: RawHeaders = []
        self._line = line
        self._head_only = request.method == b"HEAD"
        self._may_switch = request.switches
        self._on_informational = request.on_informational
        self._parser = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []

    # For the relay

    @property
    def complete(self) -> bool:
        """True when the last byte of the body was taken and the message has properly ended."""
        return self._ended and not self._pieces

    async def head(self) -> None:
        """Wait for status and headers."""
        while not self._head_complete:
            await self._wait()

    def available(self) -> bytes:
        """Take what has arrived, without waiting."""
        if not self._pieces:
            return b""
        piece = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        if self._pieces_bytes > HIGH_WATER_BYTES:
            self._line.resume()
        self._pieces_bytes = 0
        return piece

    async def read(self) -> bytes:
        """Wait for the next piece and take it."""
        while not self._pieces and not self._ended:
            await self._wait()
        return self.available()

    def close(self) -> None:
        """Done with it."""
        if not self._released:
            self._released = True
            del self._parser  # each holds the other, and with it the whole call, until the cycle collector comes by
            self._on_informational = None
            self._line.release(reusable=self.complete and self._reusable)

    # For the connection

    def feed(self, data: bytes) -> None:
        """Take bytes from the wire."""
        if self._released:
            return
        self.begun = True
        if not self._head_complete:
            self._head_bytes += len(data)
        try:
            if self.switched is None:
                self._parser.feed_data(data)
            else:
                self._keep(data)
        except httptools.HttpParserUpgrade as exc:
            if self.switched is None:
                self.fail(UpstreamBrokeOff("the upstream switched protocols without being asked to"))
            else:
                self._keep(data[exc.args[0] :])
        except httptools.HttpParserError as exc:
            self._garbled(str(exc))
        if not self._head_complete and self._head_bytes > MAX_HEAD_BYTES:
            self._garbled(f"its head is longer than {MAX_HEAD_BYTES} bytes")
        if self._pieces_bytes > HIGH_WATER_BYTES:
            self._line.pause()
        self._wake()

    def connection_ended(self, exc: Exception | None) -> None:
        """No more bytes will come."""
        self._reusable = False
        if self._ended:
            return
        if self._head_complete and self._ends_with_connection and exc is None:
            self._ended = True
            self._wake()
        elif self._head_complete:
            self.fail(UpstreamBrokeOff("the upstream closed the connection in the middle of its answer"))
        else:
            self.fail(UpstreamBrokeOff("the upstream closed the connection instead of answering"))

    def fail(self, failure: LlmProxyError) -> None:
        """Let the relay have what has arrived, and then this; the first failure counts."""
        self._failure = self._failure or failure
        self._reusable = False
        self._wake()

    # httptools' callbacks

    def on_message_begin(self) -> None:
        if self._ended:
            self._reusable = False  # a response that nobody asked for
        self._arriving: RawHeaders = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._head_complete:  # later ones are trailers, which are not relayed
            self._arriving.append((name, value))

    def on_headers_complete(self) -> None:
        if self._ended:
            return
        status = self._parser.get_status_code()
        if status == 101:
            self._switch()
            return
        if 100 <= status < 200:  # informational (RFC 9110 section 15.2)
            self._informational = True
            if self._on_informational is not None:
                self._on_informational(status, self._arriving)
            return
        has_framing = False
        for name, value in self._arriving:
            if len(name) not in _FRAMING_LENGTHS or (lower := name.lower()) not in _FRAMING:
                continue
            has_framing = True
            if lower == b"transfer-encoding" and value.lower() != b"chunked":  # it would go on unnamed: we send no TE
                self.fail(UpstreamBrokeOff("the upstream's answer comes in a transfer coding that nobody asked for"))
                return
        self.status, self.headers = status, self._arriving
        self._ends_with_connection = not has_framing
        self._head_complete = True
        if self._head_only:
            # llhttp would wait for the body that Content-Length speaks of: this message ends here.
            self._reusable = self._parser.should_keep_alive()
            self._ended = True

    def _switch(self) -> None:
        if not self._may_switch or not self._parser.should_upgrade():
            self.fail(UpstreamBrokeOff("the upstream switched protocols without being asked to"))
            return
        self.status, self.headers, self.switched = 101, self._arriving, self._line
        self._head_complete = self._ends_with_connection = True

    def on_body(self, body: bytes) -> None:
        if self._ended:
            self._reusable = False
        if self._ended or not self._head_complete:
            return
        self._pieces.append(body)  # llhttp gives no empty ones
        self._pieces_bytes += len(body)

    def on_message_complete(self) -> None:
        if self._informational:
            self._informational = False
        elif self._head_complete and not self._ended and self.switched is None:
            self._reusable = self._parser.should_keep_alive()
            self._ended = True

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._pieces_bytes += len(piece)

    def _garbled(self, why: str) -> None:
        if self._ended:
            self._reusable = False
        else:
            self.fail(UpstreamBrokeOff(f"the upstream's answer is no valid HTTP: {why}"))

    async def _wait(self) -> None:
        """Until something has happened; raises what went wrong."""
        if self._failure is None:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            self.waiting_since = loop.time()
            try:
                await self._waiter
            finally:
                self.waiting_since = None
                self._waiter = None
        if self._failure is not None and not self._pieces and not self._ended:
            raise self._failure

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


#: Headers that tell how long a body is, and the lengths of their names: to look at those first is quicker.
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})
_FRAMING_LENGTHS = frozenset(map(len, _FRAMING))
