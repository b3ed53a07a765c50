"""The seam on httpx: HTTP/2, outgoing proxies, and whatever can be mocked with respx. Slower; see bench/.

httpx is used below its client: ``httpx.Request`` built directly and handed to the transport, so that no header is
added, nothing is followed and nothing from the environment is read. Informational responses and early answers to an
unfinished request are beyond what it can do.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import httpx

from llm_proxy.errors import LlmProxyError, UpstreamBrokeOff, UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, RawHeaders, Sending, Switched, UpstreamRequest
from llm_proxy.proxy.transport.tunnel import Outgoing, OutgoingProxy, directly


class HttpxTransport:
    """One httpx transport per Unix socket and outgoing proxy, and one for the rest."""

    def __init__(
        self,
        *,
        tls: ssl.SSLContext,
        connect_timeout_s: float,
        idle_timeout_s: float,
        pool_idle_s: float,
        outgoing: Outgoing = directly,
    ) -> None:
        self._tls = tls
        self._outgoing = outgoing
        self._limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=pool_idle_s)
        self._timeout = httpx.Timeout(idle_timeout_s, connect=connect_timeout_s, pool=None)
        self._transports: dict[tuple[str | None, OutgoingProxy | None], httpx.AsyncHTTPTransport] = {}

    async def send(self, request: UpstreamRequest) -> "HttpxResponse":
        """Send the request and wait for the head of the response."""
        origin = request.origin
        framing = [(b"Transfer-Encoding", b"chunked")] if request.chunked else []
        with _translated():
            outgoing = httpx.Request(
                request.method.decode("ascii"),
                "",
                headers=request.headers + framing,
                stream=_Pieces(request.body),
                extensions={"timeout": self._timeout.as_dict(), "trace": _Trace(request.sending).see} | _named(origin),
            )
            outgoing.url = _ExactUrl(origin, request.target)
            response = await self._transport(origin).handle_async_request(outgoing)
            if {"content-length", "transfer-encoding"} <= response.headers.keys():
                await response.aclose()
                raise UpstreamBrokeOff("the upstream's answer has two framings")
            made = HttpxResponse(response, _body_bytes(outgoing.method, response))
            await made.end_if_nothing_is_left()
        return made

    async def close(self) -> None:
        """Close all connections."""
        for transport in self._transports.values():
            await transport.aclose()

    def _transport(self, origin: Origin) -> httpx.AsyncHTTPTransport:
        socket_path, proxy = key = origin.socket_path, self._outgoing(origin)
        transport = self._transports.get(key)
        if transport is None:
            transport = self._transports[key] = httpx.AsyncHTTPTransport(
                verify=self._tls,
                http2=True,
                limits=self._limits,
                uds=socket_path,
                proxy=None if proxy is None else _proxy(proxy),
                trust_env=False,
            )
        return transport


def _named(origin: Origin) -> dict[str, str]:
    return {"sni_hostname": origin.host} if origin.address else {}


class HttpxResponse:
    """See UpstreamResponse."""

    #: This transport switches to nothing.
    switched: Switched | None = None
    #: Closings under way: a task that nobody holds may be collected.
    _closing: ClassVar[set[asyncio.Task[None]]] = set()

    def __init__(self, response: httpx.Response, body_bytes: int | None) -> None:
        self.status = response.status_code
        self.headers: RawHeaders = list(response.headers.raw)
        self._response = response
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._pieces = aiter(response.stream)
        self._ended = False
        #: Of the body, still to come; None if only its end will tell.
        self._left_bytes = body_bytes

    @property
    def complete(self) -> bool:
        """True when the end of the body was reached; without a length, known only after a read that found nothing."""
        return self._ended

    async def end_if_nothing_is_left(self) -> None:
        """Have httpx look at the end of the message, and have its connection back, as soon as the last byte is here.

        A client that knows the length may leave with its last byte, and has then had a complete answer.
        """
        if self._left_bytes == 0 and not self._ended:
            await self.read()

    def available(self) -> bytes:
        """Nothing: httpx does not say what has arrived."""
        return b""

    async def read(self) -> bytes:
        """Wait for the next piece and take it."""
        with _translated():
            piece: bytes | None = b""
            while piece == b"":  # a frame of HTTP/2 may be empty
                piece = await anext(self._pieces, None)
            if piece is not None:
                if self._left_bytes is not None:
                    self._left_bytes -= len(piece)
                    await self.end_if_nothing_is_left()
                return piece
            await self._response.aclose()
        self._ended = True
        return b""

    def close(self) -> None:
        """Done with it."""
        if not self._ended:
            self._ended = True
            task = asyncio.get_running_loop().create_task(self._response.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


class _Trace:
    """Notes what httpcore tells of its steps (https://www.encode.io/httpcore/extensions/#trace).

    It looks a name up while it connects and does not say how long that took: that is part of the time for TCP.
    """

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._started_ns = 0

    async def see(self, event: str, about: dict[str, Any]) -> None:
        """Take an event as ``http11.send_request_headers.started``."""
        step, stage = event.split(".")[1:]
        now_ns = time.monotonic_ns()
        if step == "send_request_headers":
            if stage == "started" and about["request"].method != b"CONNECT":
                self._sending.sent_ns = now_ns
        elif stage == "started":
            self._started_ns = now_ns
        elif step in ("connect_tcp", "connect_unix_socket"):
            self._sending.tcp_s = (now_ns - self._started_ns) / 1e9
        elif step == "start_tls":
            self._sending.tls_s = (now_ns - self._started_ns) / 1e9


def _proxy(proxy: OutgoingProxy) -> httpx.Proxy:
    headers = [] if proxy.authorization is None else [(b"Proxy-Authorization", proxy.authorization)]
    return httpx.Proxy(httpx.URL(scheme="http", host=proxy.host, port=proxy.port), headers=headers)


def _body_bytes(method: str, response: httpx.Response) -> int | None:
    """How long the body is; None if that is not known, or if the end of HTTP/2's stream is a frame of its own."""
    if response.http_version == "HTTP/2":
        return None
    if method == "HEAD" or response.status_code in (204, 304):
        return 0
    length = response.headers.get("content-length")
    return None if length is None else int(length)


class _ExactUrl(httpx.URL):
    """A URL of which path and query go on the wire as they are.

    httpx has the extension ``target`` for that, but says it in the place of host and port to an outgoing proxy as well.
    """

    def __init__(self, origin: Origin, target: bytes) -> None:
        super().__init__(scheme=origin.scheme, host=origin.address or origin.host, port=origin.port, path="/")
        self._target = target

    @property
    def raw_path(self) -> bytes:
        return self._target


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, body: bytes | AsyncIterator[bytes]) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._body, bytes):
            if self._body:
                yield self._body
            return
        async for piece in self._body:
            yield piece


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Httpx's errors as ours."""
    try:
        yield
    except LlmProxyError:
        raise
    except httpx.ConnectTimeout as exc:
        raise UpstreamTimeout("no connection to the upstream in time") from exc
    except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
        raise UpstreamUnreachable(f"no connection to the upstream: {exc}") from exc
    except httpx.TimeoutException as exc:
        raise UpstreamTimeout("the upstream sent nothing in time") from exc
    except httpx.HTTPError as exc:
        raise UpstreamBrokeOff(f"the upstream broke off: {exc}") from exc
