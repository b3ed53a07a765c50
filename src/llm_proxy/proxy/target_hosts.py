"""Addresses that a client names itself, in the headers of other gateways: called only where the configuration says so.

Whoever may name an address could have the proxy call what only the proxy can reach. So: the host must be on the list;
the scheme is https unless the list says otherwise; the name is looked up once, and that very address is connected to,
so that a second look-up cannot give another one; an address that is not public must be on the list itself. Redirects
are never followed. No key of the configuration goes there. What is an upstream anyway needs no list.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import lru_cache
from ipaddress import ip_address
from typing import TypeAlias
from urllib.parse import SplitResult, urlsplit

from llm_proxy.errors import Refused, UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.addresses import API_ROOT
from llm_proxy.proxy.transport.base import Origin
from llm_proxy.proxy.upstreams import Upstream, Upstreams, upstream_at

_DEFAULT_PORTS = {"https": 443, "http": 80}
#: Addresses whose upstreams are remembered.
_REMEMBERED = 256


#: The addresses of a host, at least one. Raises OSError if there are none.
LookUp: TypeAlias = Callable[[str, int], Awaitable[list[str]]]


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host as the system knows them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]).partition("%")[0] for entry in found]


class TargetHosts:
    """The list: ``host``, ``host:port``, ``http://host:port``, and ``*.domain`` for all hosts below a domain."""

    def __init__(self, hosts: tuple[str, ...], *, timeout_s: float, look_up: LookUp = addresses_of) -> None:
        """Raises ValueError for an entry that is none of these."""
        self._entries = frozenset(_entry(host) for host in hosts)
        self._timeout_s = timeout_s
        self._addresses_of = look_up

    async def upstream(self, url: str, upstreams: Upstreams) -> Upstream:
        """The upstream at ``url``. Raises Refused if it may not be called, UpstreamError if it is not found.

        Where one of ``upstreams`` is, no list is needed: it is that one.
        """
        parts = _parts(url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
        known = upstreams.at(Origin(parts.scheme, host, port))
        if known is not None:
            return known
        if not self._is_listed(parts.scheme, host, port):
            raise _refused(f"the host {host!r} is not among routing.target_hosts")
        address = await self._look_up(host, port)
        if not _is_public(address) and not self._is_literal(parts.scheme, host, port):
            raise _refused(f"the host {host!r} has an address that is not public")
        return _upstream(host, parts.scheme, parts.netloc, parts.path.rstrip("/"), address)

    def _is_listed(self, scheme: str, host: str, port: int) -> bool:
        labels = host.split(".")
        domains = ["*." + ".".join(labels[at:]) for at in range(1, len(labels))]
        return any((scheme, name, port) in self._entries for name in (host, *domains))

    def _is_literal(self, scheme: str, host: str, port: int) -> bool:
        """Whether it is an address that is listed as such."""
        try:
            ip_address(host)
        except ValueError:
            return False
        return (scheme, host, port) in self._entries

    async def _look_up(self, host: str, port: int) -> str:
        try:
            async with asyncio.timeout(self._timeout_s):
                addresses = await self._addresses_of(host, port)
        except TimeoutError as exc:
            raise UpstreamTimeout(f"{host!r} was not found within {self._timeout_s:g} s") from exc
        except (OSError, UnicodeError) as exc:
            raise UpstreamUnreachable(f"there is no host {host!r}") from exc
        # One that is not public is enough: which one a name has first can be arranged.
        return next((address for address in addresses if not _is_public(address)), addresses[0])


def _is_public(address: str) -> bool:
    found = ip_address(address)
    return found.is_global and not found.is_multicast


@lru_cache(maxsize=_REMEMBERED)
def _upstream(host: str, scheme: str, netloc: str, path: str, address: str) -> Upstream:
    found = upstream_at(host, f"{scheme}://{netloc}{path or API_ROOT.decode()}", provider=None, key=None)
    return replace(found, origin=found.origin._replace(address=address))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("it is no URL") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or port == 0 or not url.isascii():
        raise _refused("it is no URL with http or https and a host")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise _refused("it may have no user, query or fragment")
    return parts


def _entry(text: str) -> tuple[str, str, int]:
    scheme, _, rest = text.rpartition("://")
    parts = urlsplit(f"{scheme or 'https'}://{rest}")
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path or "@" in parts.netloc:
        raise ValueError(f"{text!r} must be a host, with a port or http:// if need be")
    return parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]


def _refused(why: str) -> Refused:
    return Refused(f"the address that the call names cannot be called: {why}", status=403, code="target_not_allowed")
