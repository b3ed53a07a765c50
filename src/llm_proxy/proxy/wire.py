"""uvicorn's HTTP/1.1 server protocol, made faithful.

What is different from its base class, and why:
- Header names keep their case both ways, and nothing is added to an answer but its framing: a proxy changes no byte
  that it does not have to.
- A malformed or oversized head is answered 400, 414 or 431 in OpenAI's error shape, and the connection is closed.
- An informational (1xx) response can be passed on, and an answer can be broken off so that no client takes it for
  complete.

An application finds the cycle of its request as ``scope["llm_proxy.wire"]``.
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from llm_proxy.model.exchange import new_id
from llm_proxy.proxy.answers import error_body, error_headers
from llm_proxy.proxy.transport.base import RawHeaders

#: SO_LINGER on, with zero seconds: close() sends a reset (RST) instead of a FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
#: Requests that may wait behind the one being answered before reading pauses. While it is paused, nobody sees whether
#: the client is still there.
_MAX_PIPELINED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What a request head may have; see the section ``limits`` of the configuration."""

    max_url_bytes: int = 64 * 1024
    max_header_bytes: int = 256 * 1024
    max_header_count: int = 1000


class WireCycle(RequestResponseCycle):
    """One request and its answer."""

    #: Request headers as they came: case, order, duplicates.
    raw_headers: RawHeaders
    _ends_with_connection = False
    _call_when_gone: Callable[[], None] | None = None

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Have this called when the client goes away without its answer, or soon if it has gone; None: no more."""
        self._call_when_gone = call
        if call is None:
            return
        self.flow.resume_reading()  # whether the client is still there shows only to those who read
        if self.disconnected:
            asyncio.get_running_loop().call_soon(self.client_went)

    def client_went(self) -> None:
        """The connection was lost, and not by our doing."""
        call, self._call_when_gone = self._call_when_gone, None
        if call is not None:
            call()

    def inform(self, status: int, headers: RawHeaders) -> None:
        """Pass an informational response on, if this client's HTTP version knows such a thing."""
        if self.scope["http_version"] == "1.1" and not self.response_started and not self.disconnected:
            self.transport.write(_head(status, headers, b""))

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
        await self._until_writable()
        if not self.disconnected:
            self._write(self._begun(status, headers), body, more)

    async def go_on(self, body: bytes, *, more: bool) -> None:
        """Send a further piece of the body."""
        await self._until_writable()
        if not self.disconnected:
            self._write(b"", body, more)

    async def send(self, message: Any) -> None:
        """ASGI's send, for whoever knows nothing else."""
        if not self.response_started:
            await self.begin(message["status"], message["headers"])
        elif not self.response_complete:
            await self.go_on(message.get("body", b""), more=message.get("more_body", False))

    async def _until_writable(self) -> None:
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()

    def _begun(self, status: int, headers: RawHeaders) -> bytes:
        """The head, with the framing that the body will have."""
        self.response_started = True
        self.waiting_for_100_continue = False
        length = next((value for name, value in headers if len(name) == 14 and name.lower() == b"content-length"), None)
        bodiless = self.scope["method"] == "HEAD" or status in (204, 304)
        self.expected_content_length = 0 if bodiless or length is None else int(length)
        self.chunked_encoding = not bodiless and length is None and self.scope["http_version"] == "1.1"
        self._ends_with_connection = not bodiless and length is None and not self.chunked_encoding
        framing = b"transfer-encoding: chunked\r\n" if self.chunked_encoding else b""
        if not self.keep_alive:
            framing += b"connection: close\r\n"
        return _head(status, headers, framing)

    def _write(self, head: bytes, body: bytes, more: bool) -> None:
        if self.chunked_encoding:
            end = b"" if more else b"0\r\n\r\n"
            self.transport.write(b"%b%x\r\n%b\r\n%b" % (head, len(body), body, end) if body else head + end)
        elif self.scope["method"] == "HEAD":
            self.transport.write(head)
        else:
            self.transport.writelines((head, body) if head and body else (head or body,))
            if not self._ends_with_connection:
                self.expected_content_length -= len(body)
        if not more:
            self._end()

    def _end(self) -> None:
        if self.expected_content_length and self.scope["method"] != "HEAD":
            raise RuntimeError("the body is not as long as its Content-Length says")
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()


class WireProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: WireLimits,
        on_malformed: Callable[[], None],
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        # A proxy must not guess what follows a request after which the connection is to be closed.
        self.parser.set_dangerous_leniencies(lenient_data_after_close=False)
        self._limits = limits
        self._on_malformed = on_malformed
        self._in_head = True
        self._head_bytes = 0
        self._raw_headers: RawHeaders = []
        self._fault: _Fault | None = None
        self._rejected = False
        #: The cycle whose answer is being made; ``cycle`` is the latest, which may be a pipelined one behind it.
        self._answering: WireCycle | None = None

    def data_received(self, data: bytes) -> None:
        if self._rejected:
            return
        self._unset_keepalive_if_required()
        head_bytes_before = self._head_bytes + len(data) if self._in_head else 0
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.cycle.keep_alive = False  # llhttp has left HTTP/1.1 here; we answer this request and close
        except httptools.HttpParserError as exc:
            self._reject(self._fault or _Fault(400, "malformed_request", f"this is no valid HTTP/1.1 request: {exc}"))
            return
        if self._in_head:  # a line that does not end is shown to no callback
            self._head_bytes = head_bytes_before
            if self._head_bytes > self._limits.max_header_bytes + self._limits.max_url_bytes:
                self._reject(_Fault(431, "header_too_large", "the request head is too large"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answering is not None and not self._answering.response_complete:  # the base class tells the latest
            self._answering.disconnected = True
            self._answering.message_event.set()
            self._answering.client_went()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        self._raw_headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.max_url_bytes:
            self._refuse(414, "url_too_long", f"the URL is longer than {self._limits.max_url_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # trailers are not relayed
        self._head_bytes += len(name) + len(value)
        if len(self._raw_headers) >= self._limits.max_header_count:
            self._refuse(400, "too_many_headers", f"there are more than {self._limits.max_header_count} headers")
        if self._head_bytes > self._limits.max_header_bytes:
            self._refuse(431, "header_too_large", f"the headers are longer than {self._limits.max_header_bytes} bytes")
        self._raw_headers.append((name, value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        path, query = self._split_url()
        http_version = self.parser.get_http_version()
        if http_version not in ("1.0", "1.1"):  # llhttp lets 0.9 and 2.0 pass
            self._refuse(400, "malformed_request", "only HTTP/1.0 and HTTP/1.1 are spoken here")
        self._check_framing(http_version)
        self.scope["method"] = self.parser.get_method().decode("ascii")
        self.scope["http_version"] = http_version
        self.scope["path"] = unquote_to_bytes(path).decode("utf-8", "replace")
        self.scope["raw_path"] = path
        self.scope["query_string"] = query
        earlier, self.cycle = self.cycle, self._new_cycle(http_version)
        if earlier is None or earlier.response_complete:
            self._start_asgi_task(self.cycle, self.app)
        else:  # pipelined: its turn comes after the one before it
            self.pipeline.appendleft((self.cycle, self.app))
            if len(self.pipeline) > _MAX_PIPELINED:
                self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            super().on_body(body)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def _new_cycle(self, http_version: str) -> WireCycle:
        cycle = WireCycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        cycle.raw_headers = self._raw_headers
        self.scope["llm_proxy.wire"] = cycle  # type: ignore[typeddict-unknown-key]
        return cycle

    def _check_framing(self, http_version: str) -> None:
        """Refuse what llhttp lets pass though a proxy must not."""
        hosts = sum(1 for name, _ in self.headers if name == b"host")
        if hosts > 1 or (hosts == 0 and http_version == "1.1"):
            self._refuse(400, "malformed_request", "a request has exactly one Host header (RFC 9112 section 3.2)")
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        # The coding would go on without its name; and what 1.0 means by it, nobody knows (RFC 9112 section 6.1).
        if codings and (codings != [b"chunked"] or http_version == "1.0"):
            self._refuse(400, "malformed_request", "no transfer coding but chunked is understood, in HTTP/1.1")

    def _split_url(self) -> tuple[bytes, bytes]:
        """Path and query as they stand on the wire; of the absolute form (RFC 9112 section 3.2.2) those two as well."""
        url = self.url
        if b"#" in url:
            self._refuse(400, "malformed_request", "a request target has no fragment (RFC 9112 section 3.2)")
        if not url.startswith(b"/"):
            try:
                parsed = httptools.parse_url(url)
            except httptools.HttpParserInvalidURLError:
                self._refuse(400, "malformed_request", "the request target is neither a path nor a URL")
            if parsed.schema is None or parsed.host is None:
                self._refuse(400, "malformed_request", "the request target is neither a path nor a URL")
            return parsed.path or b"/", parsed.query or b""
        path, _, query = url.partition(b"?")
        return path, query

    def _refuse(self, status: int, code: str, message: str) -> NoReturn:
        """Stop the parser from within one of its callbacks."""
        self._fault = _Fault(status, code, message)
        raise ValueError(message)

    def _reject(self, fault: "_Fault") -> None:
        """Answer what cannot be understood, if an answer can still be told from another one, and close."""
        self._rejected = True
        self._on_malformed()
        running = self._answering
        if running is not None and not running.response_complete:
            if running is not self.cycle or not running.more_body:  # a later request is the bad one: answer this first
                running.keep_alive = False
                self.pipeline.clear()
                self.flow.resume_reading()  # whether the client is still there shows only to those who read
                return
            running.message_event.set()
            if running.response_started:
                running.break_off()
                return
            running.disconnected = True
        call_id = new_id()
        body = error_body(status=fault.status, code=fault.code, message=fault.message, call_id=call_id)
        self.transport.write(_head(fault.status, error_headers(body, call_id), b"connection: close\r\n") + body)
        self.transport.close()


@dataclass(frozen=True, slots=True)
class _Fault:
    status: int
    code: str
    message: str


def _head(status: int, headers: RawHeaders, framing: bytes) -> bytes:
    # No check of names and values: they come out of a strict parser, or from this program.
    lines = [STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status]
    for name, value in headers:
        lines += (name, b": ", value, b"\r\n")
    return b"".join((*lines, framing, b"\r\n"))
