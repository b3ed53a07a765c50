"""Open a connection: name resolution, TCP (or a Unix socket), TLS. The socket stays at hand, to be asked about ACKs."""

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from llm_proxy.errors import UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, Sending
from llm_proxy.proxy.transport.tunnel import Outgoing, directly, open_tunnel

_Protocol = TypeVar("_Protocol", bound=asyncio.Protocol)

#: Offset of ``tcpi_bytes_acked`` (RFC 4898 tcpEStatsAppHCThruOctetsAcked) in Linux' struct tcp_info.
_BYTES_ACKED_AT = 120
_TCP_INFO_BYTES = 128
#: ``tcpi_state`` of a connection that was reset or fully closed (include/net/tcp_states.h).
_TCP_CLOSE = 7


async def connect(
    origin: Origin,
    protocol: Callable[[], _Protocol],
    *,
    tls: ssl.SSLContext,
    timeout_s: float,
    outgoing: Outgoing = directly,
    sending: Sending,
) -> tuple[_Protocol, socket.socket]:
    """A connection to ``origin`` with ``protocol`` on it; what each step took is noted in ``sending``.

    Raises UpstreamUnreachable or UpstreamTimeout.
    """
    try:
        async with asyncio.timeout(timeout_s):
            proxy = outgoing(origin)
            first = origin if proxy is None else Origin("http", proxy.host, proxy.port)
            sock = await _connected_socket(first, sending)
            try:
                if proxy is not None:
                    with _timed(sending, "tcp_s"):
                        await open_tunnel(sock, proxy, origin)
                return await _with_protocol(sock, origin, protocol, tls, sending), sock
            except BaseException:
                sock.close()
                raise
    except TimeoutError as exc:
        raise UpstreamTimeout(f"no connection to {_name(origin)} within {timeout_s:g} s") from exc
    except OSError as exc:  # ssl.SSLError and socket.gaierror are OSErrors, too
        raise UpstreamUnreachable(f"no connection to {_name(origin)}: {_reason(exc)}") from exc
    except UnicodeError as exc:  # before the name is looked up, it goes through the rules for domain names
        raise UpstreamUnreachable(f"no connection to {_name(origin)}: that is no host name") from exc


def bytes_acked(sock: socket.socket) -> int | None:
    """How many bytes the peer's kernel has acknowledged on this connection; None where that cannot be known."""
    state_and_acked = _tcp_info(sock)
    return state_and_acked[1] if state_and_acked else None


def was_reset(sock: socket.socket) -> bool:
    """Whether the peer has reset the connection; false where that cannot be known."""
    state_and_acked = _tcp_info(sock)
    return state_and_acked is not None and state_and_acked[0] == _TCP_CLOSE


def _tcp_info(sock: socket.socket) -> tuple[int, int] | None:
    if sys.platform != "linux":
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
    except OSError:  # a Unix socket, or closed; asking for the family of each would take longer than the call
        return None
    if len(info) < _TCP_INFO_BYTES:
        return None
    return info[0], int.from_bytes(info[_BYTES_ACKED_AT:_TCP_INFO_BYTES], sys.byteorder)


@contextlib.contextmanager
def _timed(sending: Sending, step: str) -> Iterator[None]:
    """Add what this takes to ``step``, however it ends."""
    # Not the loop's clock: uvloop's stands still between two rounds, and knows whole milliseconds only.
    started_ns = time.monotonic_ns()
    try:
        yield
    finally:
        setattr(sending, step, (getattr(sending, step) or 0.0) + (time.monotonic_ns() - started_ns) / 1e9)


async def _connected_socket(origin: Origin, sending: Sending) -> socket.socket:
    if origin.socket_path is not None:
        with _timed(sending, "tcp_s"):
            return await _connect_to(socket.AF_UNIX, origin.socket_path)
    host = origin.address or origin.host
    look_up = asyncio.get_running_loop().getaddrinfo(host, origin.port, type=socket.SOCK_STREAM)
    with contextlib.nullcontext() if _is_address(host) else _timed(sending, "dns_s"):
        addresses = await look_up
    with _timed(sending, "tcp_s"):
        return await _connected_to_one(addresses)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _connected_to_one(addresses: list[Any]) -> socket.socket:
    failure: OSError | None = None
    for family, _, _, _, address in addresses:
        try:
            sock = await _connect_to(family, address)
        except OSError as exc:
            failure = exc
            continue
        # A request is one write; waiting for the ACK of the one before (Nagle) would only delay it.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock
    raise failure or OSError("the name has no address")


async def _connect_to(family: int, address: tuple[Any, ...] | str) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def _with_protocol(
    sock: socket.socket, origin: Origin, protocol: Callable[[], _Protocol], tls: ssl.SSLContext, sending: Sending
) -> _Protocol:
    loop = asyncio.get_running_loop()
    if origin.socket_path is not None:
        return (await loop.create_unix_connection(protocol, sock=sock))[1]
    if origin.scheme == "https":
        with _timed(sending, "tls_s"):
            return (await loop.create_connection(protocol, sock=sock, ssl=tls, server_hostname=origin.host))[1]
    return (await loop.create_connection(protocol, sock=sock))[1]


def _reason(exc: OSError) -> str:
    """What the system says; asyncio says only that "the connect call failed"."""
    if type(exc) is OSError or isinstance(exc, ConnectionError):
        return os.strerror(exc.errno) if exc.errno else str(exc)
    return exc.strerror or str(exc)


def _name(origin: Origin) -> str:
    return origin.socket_path or f"{origin.scheme}://{origin.host}:{origin.port}"
