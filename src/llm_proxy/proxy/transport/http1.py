"""HTTP/1.1 to the upstream: a pool of connections, and the rule of when a request may be sent again.

Invariants
- A connection carries one request at a time, and is used again only if its last exchange ended cleanly.
- A request is sent again only if all of this holds: its connection came from the pool, no byte of a response came, the
  upstream had closed (FIN) before it took any byte of the request (its acknowledged bytes did not grow), and its
  kernel answered what we sent with a reset. docs/relay.md has the reasons.
"""

import asyncio
import ssl
from collections import defaultdict

from llm_proxy.errors import UpstreamBrokeOff
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from llm_proxy.proxy.transport.connect import connect
from llm_proxy.proxy.transport.http1_connection import Connection, NotTaken
from llm_proxy.proxy.transport.http1_response import Http1Response
from llm_proxy.proxy.transport.tunnel import Outgoing, directly


class Http1Transport:
    """Connections to any number of origins; of the idle ones the newest is used first."""

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
        self._connect_timeout_s = connect_timeout_s
        self._idle_timeout_s = idle_timeout_s
        self._pool_idle_s = pool_idle_s
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)
        self._sweep: asyncio.TimerHandle | None = None

    async def send(self, request: UpstreamRequest) -> Http1Response:
        """Send the request and wait for the head of the response."""
        # Pieces of a body cannot be had twice, so they go where they are taken for sure: on a fresh connection.
        # So does one after which there may be no HTTP any more.
        is_simple = isinstance(request.body, bytes) and not request.switches
        connection = self._checkout(request.origin) if is_simple else None
        if connection is not None:
            try:
                return await connection.exchange(request)
            except NotTaken:
                await _require_refused(connection)
                request.sending.sent_ns = None
        return await (await self._connect(request)).exchange(request)

    async def close(self) -> None:
        """Close the idle connections; those in use end with their response."""
        self._pool_idle_s = 0
        for idle in self._idle.values():
            while idle:
                idle.pop().abort()

    def _checkout(self, origin: Origin) -> Connection | None:
        idle = self._idle[origin]
        while idle:
            connection = idle.pop()
            if connection.is_usable():
                return connection
            connection.abort()
        return None

    async def _connect(self, request: UpstreamRequest) -> Connection:
        origin = request.origin
        connection, sock = await connect(
            origin,
            lambda: Connection(lambda connection: self._keep(origin, connection), idle_timeout_s=self._idle_timeout_s),
            tls=self._tls,
            timeout_s=self._connect_timeout_s,
            outgoing=self._outgoing,
            sending=request.sending,
        )
        connection.opened(sock)
        return connection

    def _keep(self, origin: Origin, connection: Connection) -> None:
        if self._pool_idle_s <= 0:
            connection.abort()
            return
        idle = self._idle[origin]
        idle.append(connection)
        if self._sweep is None:
            self._sweep = asyncio.get_running_loop().call_later(self._pool_idle_s, self._drop_old)

    def _drop_old(self) -> None:
        """Close what has been idle for too long; connections that were kept last stand at the end."""
        loop = asyncio.get_running_loop()
        oldest = loop.time() - self._pool_idle_s
        for idle in self._idle.values():
            while idle and idle[0].idle_since <= oldest:
                idle.pop(0).abort()
        waiting = any(self._idle.values())
        self._sweep = loop.call_later(self._pool_idle_s / 2, self._drop_old) if waiting else None


async def _require_refused(connection: Connection) -> None:
    """Raise UpstreamBrokeOff unless it is sure that the upstream took no byte of the request."""
    try:
        if not await connection.was_refused():
            raise UpstreamBrokeOff("the upstream closed the connection instead of answering")
    finally:
        connection.abort()
