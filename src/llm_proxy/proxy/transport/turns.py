"""So many calls at a time to each upstream; those beyond wait their turn, the first comes first.

Invariant: a call has its place until its response is closed, whatever becomes of it in between.
"""

import asyncio
import time
from collections import defaultdict, deque

from llm_proxy.errors import UpstreamTimeout
from llm_proxy.proxy.transport.base import (
    Origin,
    RawHeaders,
    Sending,
    Switched,
    Transport,
    UpstreamRequest,
    UpstreamResponse,
)


class TakingTurns:
    """A transport before which calls wait. Unix sockets, behind which is no provider, are without limit."""

    def __init__(self, transport: Transport, turns: "Turns") -> None:
        self._transport = transport
        self._turns = turns

    async def send(self, request: UpstreamRequest) -> UpstreamResponse:
        """Wait for a place, send the request, and wait for the head of the response."""
        if request.origin.socket_path is not None:
            return await self._transport.send(request)
        await self._turns.wait(request.origin, request.sending)
        try:
            response = await self._transport.send(request)
        except BaseException:
            self._turns.over(request.origin)
            raise
        return _WithPlace(response, self._turns, request.origin)

    async def close(self) -> None:
        """Close all connections."""
        await self._transport.close()


class _WithPlace:
    """A response that gives its place up when it is closed."""

    def __init__(self, response: UpstreamResponse, turns: "Turns", origin: Origin) -> None:
        self.status: int = response.status
        self.headers: RawHeaders = response.headers
        self.switched: Switched | None = response.switched
        self.available = response.available
        self.read = response.read
        self._response = response
        self._turns: Turns | None = turns
        self._origin = origin

    @property
    def complete(self) -> bool:
        return self._response.complete

    def close(self) -> None:
        self._response.close()
        turns, self._turns = self._turns, None
        if turns is not None:
            turns.over(self._origin)


class Turns:
    """Counts calls. Each ``wait`` that returns wants one ``over``."""

    def __init__(self, limit: int, *, patience_s: float) -> None:
        """``limit`` calls run at a time; one waits no longer than ``patience_s``, in seconds."""
        self._limit = limit
        self._patience_s = patience_s
        self._running: defaultdict[Origin, int] = defaultdict(int)
        self._waiting: defaultdict[Origin, deque[asyncio.Future[None]]] = defaultdict(deque)

    async def wait(self, origin: Origin, sending: Sending) -> None:
        """Until it is this call's turn; how long that took is noted, unless it was at once. Raises UpstreamTimeout."""
        if self._running[origin] < self._limit:
            self._running[origin] += 1
            return
        started_ns = time.monotonic_ns()
        turn = asyncio.get_running_loop().create_future()
        self._waiting[origin].append(turn)
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as exc:
            if turn.done() and not turn.cancelled():
                self.over(origin)  # it came in the moment in which it was given up
            turn.cancel()
            if isinstance(exc, TimeoutError):
                message = f"{self._limit} calls to {origin.host}:{origin.port} are running, and none ended in time"
                raise UpstreamTimeout(message) from exc
            raise
        finally:
            sending.queued_s = (time.monotonic_ns() - started_ns) / 1e9

    def over(self, origin: Origin) -> None:
        """A call has ended."""
        waiting = self._waiting[origin]
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # the place goes from the one to the other
                return
        self._running[origin] -= 1
