"""uvicorn's HTTP/1.1 server protocol, made faithful.

What is different from its base class, and why:
- Header names keep their case both ways, and nothing is added to an answer but its framing: a proxy changes no byte
  that it does not have to.
- A malformed or oversized head is answered 400, 414 or 431 in OpenAI's error shape, and the connection is closed.
- One timer serves all requests of a connection, and closes one that says nothing, or that never comes to the end of
  its request.

- What it is given as its application is no ASGI callable, but an App: see cycle.py.
- One task answers all requests of a connection, one after the other. It is among the tasks of the server, which are
  waited for and cancelled at shutdown, while there is one.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from llm_proxy.model.exchange import new_id
from llm_proxy.proxy.answers import error_body, error_headers
from llm_proxy.proxy.by_names import names_of
from llm_proxy.proxy.cycle import App, WireCycle, head_bytes
from llm_proxy.proxy.transport.base import RawHeaders
from llm_proxy.proxy.wire_heads import Noted, leaves_http, new_parser, noted, same_framing

#: Requests that may wait behind the one being answered before reading pauses. While it is paused, nobody sees whether
#: the client is still there.
_MAX_PIPELINED = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What a request head may have; see the section ``limits`` of the configuration."""

    max_url_bytes: int = 64 * 1024
    max_header_bytes: int = 256 * 1024
    max_header_count: int = 1000
    #: How long a head may take, and how long a body may pause, in seconds.
    patience_s: float = 60.0


class WireProtocol(HttpToolsProtocol):
    """One client connection."""

    cycle: WireCycle  # type: ignore[assignment]  # in the place of uvicorn's
    app: App

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
        self.parser = new_parser(self)
        self._limits = limits
        self._on_malformed = on_malformed
        self._in_head = True
        self._head_bytes = 0
        self._head_bytes_at_most = 0  # with all that has come behind it
        self._raw_headers: RawHeaders = []
        #: When the last answer was complete, on the loop's clock; None while there is something to do.
        self._idle_since: float | None = None
        #: Since when the rest of a head is owed, or the next piece of a body; None if nothing is.
        self._owes_since: float | None = None
        self._fault: _Fault | None = None
        self._rejected = False
        #: The cycle whose answer is being made; ``cycle`` is the latest, which may be a pipelined one behind it.
        self._answering: WireCycle | None = None
        #: Those that wait for their answer, the first one first.
        self._waiting: deque[WireCycle] = deque()
        self._task: asyncio.Task[None] | None = None
        #: What the task waits for while there is nothing to answer.
        self._next: asyncio.Future[None] | None = None
        #: The one after which another protocol was to follow.
        self._switching: WireCycle | None = None
        #: Whether the parser is shown once more how a body is framed, for a head that it has told already.
        self._repeats = False
        #: What takes the connection when nothing is under way on it; None while this process keeps it.
        self._give: Callable[[int], bool] | None = None

    def data_received(self, data: bytes) -> None:
        if self._rejected:
            return
        if self._switching is not None:
            self._switching.arrived_beyond(data)
            return
        self._idle_since = None
        head_bytes_before = self._head_bytes + len(data) if self._in_head else 0
        self._head_bytes_at_most = head_bytes_before or len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as exc:
            self._reject(self._fault or _Fault(400, "malformed_request", f"this is no valid HTTP/1.1 request: {exc}"))
            return
        if self._in_head:  # a line that does not end is shown to no callback
            self._head_bytes = head_bytes_before
            if self._head_bytes > self._limits.max_header_bytes + self._limits.max_url_bytes:
                self._reject(_Fault(431, "header_too_large", "the request head is too large"))
                return
            if self._owes_since is None:
                self._expect_more()
        elif self.cycle.more_body:
            self._expect_more()
        else:
            self._owes_since = None

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as exc:
                data = data[exc.args[0] :]
            else:
                return
            if leaves_http(self.parser.get_method(), self._raw_headers):
                self._leave_http(data)
                return
            self._stay_with_http()

    def _stay_with_http(self) -> None:
        """Let what follows be the body of this request, if it has one, and then the next request."""
        head = same_framing(self.parser.get_http_version(), self._raw_headers, keep_alive=self.cycle.keep_alive)
        self.cycle.more_body = True  # of which the parser knew nothing
        self.parser = new_parser(self)
        self._repeats = True
        self.parser.feed_data(head)
        self._repeats = False

    def _wake(self) -> None:
        """Let the task go on, with the next request or to its end."""
        if self._task is None and self._waiting:
            self._task = self.loop.create_task(self._answer_all())
            self.tasks.add(self._task)
        elif self._task is not None and self._next is not None and not self._next.done():
            self._next.set_result(None)
            self.tasks.add(self._task)

    async def _answer_all(self) -> None:
        """Answer the requests in their order, for as long as there is a connection."""
        task = asyncio.current_task()
        assert task is not None
        try:
            while not self.transport.is_closing():
                if self._waiting:
                    self._answering = self._waiting.popleft()
                    await self._answering.answer(self.app)
                else:
                    self.tasks.discard(task)
                    self._next = self.loop.create_future()
                    await self._next
        finally:
            self.tasks.discard(task)

    def _leave_http(self, rest: bytes) -> None:
        """Let what follows be of another protocol: llhttp goes no further. We answer this request, and then close."""
        self._switching = self.cycle
        self.cycle.keep_alive = False
        self.cycle.switches = True
        if rest:
            self.cycle.arrived_beyond(rest)

    def eof_received(self) -> bool:  # type: ignore[override]  # the base class returns None
        # Of HTTP a client that closes its sending side has gone; of what follows, it may wait for the other side.
        if self._switching is None or self.transport.get_extra_info("sslcontext") is not None:
            return False
        self._switching.arrived_beyond(b"")
        return True

    def _expect_more(self) -> None:
        if self._owes_since is None:
            self._look_in(self._limits.patience_s)
        self._owes_since = self.loop.time()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._idle_since = self.loop.time()
        self._look_in(self.timeout_keep_alive)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connections.discard(self)
        for cycle in (self._answering, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.wake()
                cycle.client_went()
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self.flow.resume_writing()
        if exc is None:
            self.transport.close()
        self._wake()
        self.parser = None  # type: ignore[assignment]  # each holds the other

    def on_message_begin(self) -> None:
        if self._repeats:
            return
        self.url = b""
        self.expect_100_continue = False
        self._in_head = True
        self._head_bytes = 0
        self._raw_headers = []

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > self._limits.max_url_bytes:
            self._refuse(414, "url_too_long", f"the URL is longer than {self._limits.max_url_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are not relayed
            self._raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self._repeats:
            return
        self._in_head = False
        self._owes_since = None
        head = noted[names_of(self._raw_headers)]
        self._check_size(head)
        path, query = self._split_url()
        http_version = self.parser.get_http_version()
        if http_version not in ("1.0", "1.1"):  # llhttp lets 0.9 and 2.0 pass
            self._refuse(400, "malformed_request", "only HTTP/1.0 and HTTP/1.1 are spoken here")
        self._check_framing(head, http_version)
        self.cycle = WireCycle(
            self.transport,
            self.flow,
            method=self.parser.get_method(),
            raw_path=path,
            query=query,
            http_version=http_version,
            raw_headers=self._raw_headers,
            names=head.names,
            client=self.client[0] if self.client else None,
            expects_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        self._waiting.append(self.cycle)
        self._wake()
        if len(self._waiting) > _MAX_PIPELINED:
            self.flow.pause_reading()

    def on_body(self, body: bytes) -> None:
        if not self.cycle.response_complete:
            self.cycle.arrived(body)

    def on_message_complete(self) -> None:
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.wake()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        if self._waiting:
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_in(self.timeout_keep_alive)
        if self._give is not None:
            # Not at once: the cycle that has just ended, and the parser, may be above us on the stack.
            self.loop.call_soon(self._leave_if_idle)

    def retire(self, give: Callable[[int], bool]) -> None:
        """Have ``give`` take the connection to another process, by its descriptor, as soon as nothing is under way."""
        self._give = give
        self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if self._give is None or not self._is_idle():
            return
        self.transport.pause_reading()  # what comes from now on is for the other process
        if self._give(self.transport.get_extra_info("socket").fileno()):
            self.transport.close()
        else:
            self.transport.resume_reading()

    def _is_idle(self) -> bool:
        """Whether the next byte is the first of a request, and all answers have left."""
        if self.transport.is_closing() or self._rejected or self._owes_since is not None or self._waiting:
            return False
        if self.transport.get_write_buffer_size():
            return False
        if self._answering is None:
            return self._head_bytes == 0
        return not self._in_head and self.cycle.response_complete and not self.cycle.more_body

    def _look_in(self, delay_s: float) -> None:
        if self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_task.cancel()
        self.timeout_keep_alive_task = self.loop.call_later(delay_s, self.timeout_keep_alive_handler)

    def timeout_keep_alive_handler(self) -> None:
        """Close what was silent for too long. One timer for many requests: to start one for each would cost more."""
        self.timeout_keep_alive_task = None
        if self.transport.is_closing() or self._rejected:
            return
        now, patience_s = self.loop.time(), self._limits.patience_s
        if self._idle_since is not None:
            left_s = self._idle_since + self.timeout_keep_alive - now
        elif self._owes_since is not None:
            # While nobody reads, it is not the client that takes its time.
            left_s = patience_s if self.flow.read_paused else self._owes_since + patience_s - now
        else:
            return  # the end of the answer starts it again
        if left_s > 0:
            self._look_in(left_s)
        elif self._idle_since is not None or (not self._in_head and self.cycle.response_complete):
            self.transport.close()
        else:
            message = f"the rest of the request did not come within {patience_s:g} s"
            self._reject(_Fault(408, "request_timeout", message))

    def _check_size(self, head: Noted) -> None:
        if len(self._raw_headers) > self._limits.max_header_count:
            self._refuse(400, "too_many_headers", f"there are more than {self._limits.max_header_count} headers")
        if self._head_bytes_at_most <= self._limits.max_header_bytes:
            return
        if head.names_bytes + sum([len(value) for _, value in self._raw_headers]) > self._limits.max_header_bytes:
            self._refuse(431, "header_too_large", f"the headers are longer than {self._limits.max_header_bytes} bytes")

    def _check_framing(self, head: Noted, http_version: str) -> None:
        """Refuse what llhttp lets pass though a proxy must not."""
        if head.hosts != 1 and (head.hosts or http_version == "1.1"):
            self._refuse(400, "malformed_request", "a request has exactly one Host header (RFC 9112 section 3.2)")
        # The coding would go on without its name; and what 1.0 means by it, nobody knows (RFC 9112 section 6.1).
        if head.codings:
            codings = [self._raw_headers[at][1].lower() for at in head.codings]
            if codings != [b"chunked"] or http_version == "1.0":
                self._refuse(400, "malformed_request", "no transfer coding but chunked is understood, in HTTP/1.1")
        if head.expectations:
            expected = [self._raw_headers[at][1].lower() for at in head.expectations]
            self.expect_100_continue = b"100-continue" in expected

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
                self._waiting.clear()
                self.flow.resume_reading()  # whether the client is still there shows only to those who read
                return
            running.gone_because = fault.message
            running.wake()
            if running.response_started:
                running.break_off()
                return
            running.disconnected = True
        call_id = new_id()
        body = error_body(status=fault.status, code=fault.code, message=fault.message, call_id=call_id)
        self.transport.write(head_bytes(fault.status, error_headers(body, call_id), b"connection: close\r\n") + body)
        self.transport.close()


@dataclass(frozen=True, slots=True)
class _Fault:
    status: int
    code: str
    message: str
