"""Through an HTTP proxy of one's own network: which origins go that way, and the tunnel (CONNECT, RFC 9110 9.3.6).

Every origin goes through a tunnel, those without TLS as well: what is relayed stays as it is, and the proxy's password
cannot get to an upstream.
"""

import asyncio
import base64
import ipaddress
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit
from urllib.request import (  # type: ignore[attr-defined]  # the second is public, and not in the stubs
    getproxies_environment,
    proxy_bypass_environment,
)

from llm_proxy.errors import UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin

#: A longer answer to CONNECT is none.
_MAX_HEAD_BYTES = 16 * 1024
_END = b"\r\n\r\n"
_DEFAULT_PORT = 80


@dataclass(frozen=True, slots=True)
class OutgoingProxy:
    """Where tunnels begin."""

    host: str
    port: int
    #: Value of Proxy-Authorization.
    authorization: bytes | None = None


#: The proxy that an origin is reached through; None for those that are reached as they are.
Outgoing = Callable[[Origin], OutgoingProxy | None]


def directly(origin: Origin) -> OutgoingProxy | None:
    """No origin goes through a proxy."""
    return None


def through(url: str) -> Outgoing:
    """All origins but this machine go through the proxy at ``http://[user:password@]host[:port]``."""
    proxy = _parsed(url)
    return lambda origin: None if _is_here(origin) else proxy


def as_environment_says(variables: Mapping[str, str] | None = None) -> Outgoing:
    """``HTTPS_PROXY``, ``HTTP_PROXY``, ``ALL_PROXY`` and ``NO_PROXY``, in either case, as curl and Python read them.

    Raises ValueError for a proxy that is not reached by plain HTTP.
    """
    urls = getproxies_environment() if variables is None else dict(variables)
    proxies = {scheme: _parsed(url) for scheme, url in urls.items() if scheme in ("http", "https", "all") and url}
    if not proxies:
        return directly

    def choose(origin: Origin) -> OutgoingProxy | None:
        if _is_here(origin) or proxy_bypass_environment(f"{origin.host}:{origin.port}", urls):
            return None
        return proxies.get(origin.scheme) or proxies.get("all")

    return choose


async def open_tunnel(sock: socket.socket, proxy: OutgoingProxy, origin: Origin) -> None:
    """Have the proxy at the other end of ``sock`` connect to ``origin``. Raises UpstreamUnreachable or OSError."""
    loop = asyncio.get_running_loop()
    host = origin.address or origin.host
    host = host if host.isascii() else host.encode("idna").decode()
    place = f"[{host}]:{origin.port}" if ":" in host else f"{host}:{origin.port}"
    lines = [f"CONNECT {place} HTTP/1.1".encode(), f"Host: {place}".encode()]
    if proxy.authorization is not None:
        lines.append(b"Proxy-Authorization: " + proxy.authorization)
    await loop.sock_sendall(sock, b"\r\n".join(lines) + _END)
    answer = b""
    while _END not in answer:
        piece = await loop.sock_recv(sock, 4096)
        answer += piece
        if not piece or len(answer) > _MAX_HEAD_BYTES:
            raise UpstreamUnreachable(f"{_named(proxy)} closed the connection instead of opening a tunnel")
    status = answer.split(b"\r\n", 1)[0].split(b" ", 2)
    if not status[0].startswith(b"HTTP/1.") or len(status) < 2 or not status[1].startswith(b"2"):
        said = b" ".join(status[1:]).decode("latin-1")[:100]
        raise UpstreamUnreachable(f"{_named(proxy)} opens no tunnel to {place}: {said}")
    if not answer.endswith(_END):
        raise UpstreamUnreachable(f"{_named(proxy)} said more than was asked before the tunnel was used")


def _parsed(url: str) -> OutgoingProxy:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("an outgoing proxy must be a URL that begins with http:// and a host name")
    authorization = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = b"Basic " + base64.b64encode(user.encode())
    return OutgoingProxy(parts.hostname, parts.port or _DEFAULT_PORT, authorization)


def _is_here(origin: Origin) -> bool:
    if origin.socket_path is not None or origin.host == "localhost":
        return True
    try:
        return ipaddress.ip_address(origin.host).is_loopback
    except ValueError:
        return False


def _named(proxy: OutgoingProxy) -> str:
    return f"the outgoing proxy {proxy.host}:{proxy.port}"
