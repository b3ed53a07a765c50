"""The seam between the proxy and the connection to an upstream: one request, one response, raw bytes.

An implementation relays header names in their case and order, adds no header but ``Transfer-Encoding: chunked``
where that was asked for, follows no redirect, and sends a request at most once, except on a connection of which the
upstream is known to have taken no byte.
"""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple, Protocol, TypeAlias

import msgspec

#: Names and values as on the wire, in order, with duplicates.
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


class Origin(NamedTuple):
    """Where connections go; connections to the same origin can be shared."""

    #: ``http`` or ``https``.
    scheme: str
    host: str
    port: int
    #: Path of a Unix socket to connect to instead.
    socket_path: str | None = None
    #: IP address to connect to, if ``host`` is not to be looked up; certificates are still those of ``host``.
    address: str | None = None


class UpstreamRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent."""

    origin: Origin
    method: bytes
    #: Path and query, as they go on the wire.
    target: bytes
    headers: RawHeaders
    #: The whole body, or its pieces as they come.
    body: bytes | AsyncIterator[bytes] = b""
    #: Whether the body has no Content-Length among ``headers`` and is to be sent in chunked encoding.
    chunked: bool = False
    #: Called with status and headers of each informational (1xx) response.
    on_informational: Callable[[int, RawHeaders], None] | None = None


class UpstreamResponse(Protocol):
    """What comes back; its body is taken piece by piece, in its content encoding, without transfer encoding."""

    status: int
    headers: RawHeaders
    #: Seconds for name resolution, connect and TLS; None if a connection was reused.
    connect_s: float | None

    @property
    def complete(self) -> bool:
        """True when the last byte of the body was taken and the message has properly ended."""

    def available(self) -> bytes:
        """Take what has arrived, without waiting; empty if nothing has."""

    async def read(self) -> bytes:
        """Wait for the next piece and take it; empty only if the message ended without one.

        Raises UpstreamTimeout or UpstreamBrokeOff. Must not be called when ``complete``.
        """

    def close(self) -> None:
        """Done with it: the connection is kept if the response is complete, and broken off if not. Idempotent."""


class Transport(Protocol):
    """Sends requests. Raises UpstreamUnreachable, UpstreamTimeout or UpstreamBrokeOff."""

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Send the request and wait for the head of the response.

        With a body in pieces the response may begin before all pieces were sent. An error raised by the pieces is
        raised here or by ``read``.
        """

    async def close(self) -> None:
        """Close all connections."""
