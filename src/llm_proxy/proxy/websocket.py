"""Relay a WebSocket: the bytes of both directions as they come, each piece in the journal before it goes on.

Never changes a byte, so that extensions and subprotocols are a matter of the two ends; what the frames say is found out
when the record is made. Either side that takes its time slows the other one down. A FIN is passed on, and the other
direction may then go on for a while; a reset ends both. A session without a word is no fault unless a limit is set.

The only frame that is not of the two ends is a Close with 1001, sent to both when the proxy lets go of them.
"""

import asyncio
import functools
import os
from collections.abc import Set as AbstractSet

from llm_proxy.errors import UpstreamError
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.cycle import WireCycle
from llm_proxy.proxy.frame_ends import FrameEnds
from llm_proxy.proxy.headers import HOP_BY_HOP
from llm_proxy.proxy.transport.base import RawHeaders, Switched, UpstreamResponse

#: What asks for the switch and what grants it: of these two, the next hop is meant as well.
UPGRADE: RawHeaders = [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
_SWITCHING = frozenset({b"connection", b"upgrade"})
#: How long one direction may go on after the other has ended, in seconds: enough for what is under way.
_HALF_CLOSED_S = 10.0
#: Status 1001, "going away" (RFC 6455 section 7.4.1).
_GOING_AWAY = (1001).to_bytes(2, "big")
_CLOSE = 0x88
_MASKED = 0x80


def switching_headers(headers: RawHeaders) -> RawHeaders:
    """The headers of a 101 that go on: with the two that make it one, in their places."""
    return [header for header in headers if (name := header[0].lower()) in _SWITCHING or name not in HOP_BY_HOP]


class WebSocket:
    """One session, from the 101 to its end."""

    def __init__(
        self,
        wire: WireCycle,
        response: UpstreamResponse,
        capture: Capture,
        *,
        idle_s: float | None,
    ) -> None:
        """``idle_s`` is how long both sides may be silent; None is for as long as they like."""
        assert response.switched is not None
        self._wire = wire
        self._response = response
        self._upstream: Switched = response.switched
        self._capture = capture
        self._idle_s = idle_s
        self._loop = asyncio.get_running_loop()
        self._active_at = self._loop.time()
        self._from_client, self._from_upstream = FrameEnds(), FrameEnds()
        #: What is on record and has not left yet, since the other side takes no more.
        self._held_back = {self._from_client: 0, self._from_upstream: 0}
        self._directions: set[asyncio.Task[None]] = set()
        self._cause: tuple[Ending, str | None] | None = None
        #: Runs when both have said that they close, and have not done so yet.
        self._deadline: asyncio.TimerHandle | None = None
        #: A side is gone altogether: nothing of the other one has a reader.
        self._broken = False

    async def relay(self, headers: RawHeaders) -> None:
        """Send the 101 with ``headers`` and relay until both directions have ended."""
        try:
            piece = self._response.available()
            self._note(piece)
            await self._wire.switch(headers, piece)
            async with asyncio.TaskGroup() as group:
                down = group.create_task(self._down())
                directions = self._directions = {group.create_task(self._up()), down}
                self._wire.when_gone(functools.partial(self._client_gone, down))
                try:
                    await self._until_over(directions)
                except asyncio.CancelledError:
                    # At once: until the directions have heard of it, the journal may have been closed.
                    self._let_go(Ending.ABORTED, "the proxy was stopped while the session ran")
                    self._end()
                    raise
                self._stop()
        finally:
            if self._deadline is not None:
                self._deadline.cancel()
            self._end()
            self._wire.when_gone(None)
            self._wire.finish()
            self._upstream.finish()

    def _end(self) -> None:
        if self._cause is not None:
            self._capture.end(*self._cause)

    async def _up(self) -> None:
        while piece := await self._wire.read_beyond():
            if self._capture.ending is None:
                self._capture.sent(piece)
            self._commit(self._from_client, piece)
            self._held_back[self._from_client] += 1
            await self._upstream.write(piece)
            self._held_back[self._from_client] -= 1
        self._over(Ending.CLIENT_DISCONNECTED, "the client closed its connection without closing the WebSocket")
        self._upstream.end_writing()

    async def _down(self) -> None:
        try:
            while piece := await self._response.read():
                self._note(piece)
                self._held_back[self._from_upstream] += 1
                await self._wire.pass_on(piece)
                self._held_back[self._from_upstream] -= 1
        except UpstreamError as exc:
            self._over(Ending.UPSTREAM_BROKE_OFF, str(exc))
            self._broken = True
            return
        self._over(Ending.UPSTREAM_BROKE_OFF, "the upstream closed its connection without closing the WebSocket")
        if self._both_closed():  # a client that has seen the end finds it on record
            self._capture.end(Ending.COMPLETE)
        self._wire.end_writing()

    def _note(self, piece: bytes) -> None:
        if piece:
            self._capture.chunk(piece)
        self._commit(self._from_upstream, piece)

    def _commit(self, ends: FrameEnds, piece: bytes) -> None:
        self._active_at = self._loop.time()
        ends.feed(piece)
        if self._capture.ending is None:
            self._capture.commit()
        if self._deadline is None and self._both_closed():
            self._cause = self._cause or (Ending.COMPLETE, None)
            self._deadline = self._loop.call_later(_HALF_CLOSED_S, self._stop)

    def _both_closed(self) -> bool:
        return self._from_client.closed and self._from_upstream.closed

    def _stop(self) -> None:
        for direction in self._directions:
            direction.cancel()

    async def _until_over(self, directions: AbstractSet[asyncio.Task[None]]) -> None:
        """Until both directions have ended, or one has and the other had its time, or both were silent for too long."""
        ended: AbstractSet[asyncio.Task[None]] = frozenset()
        while not ended:
            ended, _ = await asyncio.wait(directions, timeout=self._left_s(), return_when=asyncio.FIRST_COMPLETED)
            if not ended and self._left_s() == 0:
                self._let_go(Ending.UPSTREAM_TIMEOUT, f"neither side sent anything for {self._idle_s:g} s")
                return
        if not self._broken:
            await asyncio.wait(directions, timeout=_HALF_CLOSED_S)

    def _left_s(self) -> float | None:
        if self._idle_s is None:
            return None
        return max(0.0, self._active_at + self._idle_s - self._loop.time())

    def _client_gone(self, down: "asyncio.Task[None]") -> None:
        self._over(Ending.CLIENT_DISCONNECTED, "the client broke its connection off")
        down.cancel()

    def _over(self, ending: Ending, reason: str) -> None:
        """Say why it ends, unless that has been said: well, if either side has said that it closes."""
        has_closed = self._from_client.closed or self._from_upstream.closed
        self._cause = self._cause or ((Ending.COMPLETE, None) if has_closed else (ending, reason))

    def _let_go(self, ending: Ending, reason: str) -> None:
        """Tell both sides that the proxy goes away, where a frame of ours can stand."""
        self._over(ending, f"{reason}; both sides were told 1001")
        if self._can_close(self._from_upstream) and not self._wire.disconnected:
            self._wire.transport.write(bytes([_CLOSE, len(_GOING_AWAY)]) + _GOING_AWAY)
        if self._can_close(self._from_client):
            self._upstream.write_now(_masked_close())

    def _can_close(self, ends: FrameEnds) -> bool:
        return ends.at_end and not ends.closed and not self._held_back[ends]


def _masked_close() -> bytes:
    mask = os.urandom(4)
    payload = bytes(byte ^ key for byte, key in zip(_GOING_AWAY, mask, strict=False))
    return bytes([_CLOSE, _MASKED | len(payload)]) + mask + payload
