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


class Sending(msgspec.Struct):
    """How a request goes out, noted while it does. Durations in seconds; None did not happen, or is not known."""

    #: The wait for a turn; see turns.py.
    queued_s: float | None = None
    #: Of a connection that was made for the request: the name looked up, TCP (and the tunnel, if there is one), TLS.
    #: What failed took its time, too.
    dns_s: float | None = None
    tcp_s: float | None = None
    tls_s: float | None = None
    #: When its first byte was written, on ``time.monotonic_ns()``.
    sent_ns: int | None = None


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
    #: Whether to switch protocols is asked for by ``headers``, and may be answered by a 101.
    switches: bool = False
    #: Called with status and headers of each informational (1xx) response.
    on_informational: Callable[[int, RawHeaders], None] | None = None
    #: For the transport to fill in.
    sending: Sending = msgspec.field(default_factory=Sending)


class Switched(Protocol):
    """The sending side of a connection that has switched protocols. Never raises: how it ended is told by ``read``."""

    async def write(self, piece: bytes) -> None:
        """Send bytes, and wait while the other side takes no more."""

    def write_now(self, piece: bytes) -> None:
        """Send bytes without waiting."""

    def end_writing(self) -> None:
        """Say that nothing more will be sent, where that can be said without closing."""

    def finish(self) -> None:
        """Close when what was sent has left."""


class UpstreamResponse(Protocol):
    """What comes back; its body is taken piece by piece, in its content encoding, without transfer encoding."""

    status: int
    headers: RawHeaders
    #: After a 101: then what is read are bytes of another protocol, without limit of time, until they end.
    switched: Switched | None

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
