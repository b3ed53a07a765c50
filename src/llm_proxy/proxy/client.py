"""The calling side of one request: its body, and whether it is still there.

Inside ``with Client(...)`` a client that goes away interrupts whatever is being awaited with ClientDisconnected, the
way asyncio.timeout() does with TimeoutError: also while the upstream is silent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Protocol

from llm_proxy.errors import ClientDisconnected, Refused


class Line(Protocol):
    """What is needed of the connection: see WireCycle."""

    #: What was wrong with the request, if it was that which ended the connection.
    gone_because: str | None

    @property
    def unread(self) -> bool:
        """Whether a part of the body was not taken yet, or has not come."""

    def whole(self) -> bytes | None:
        """Take the body, if all of it is here that was not taken yet; None if that has to be waited for, or is gone."""

    async def read(self) -> bytes | None:
        """Wait for more of the body and take it, empty at its end; None if the client is gone."""

    def when_gone(self, call: Callable[[], None] | None) -> None:
        """Have this called when the client goes away, or soon if it has gone already; None: no more."""


class Client:
    """Reads the body once; afterwards watches for the disconnect."""

    def __init__(self, line: Line, *, max_body_bytes: int | None) -> None:
        self._line = line
        self._max_body_bytes = max_body_bytes
        self._owner: asyncio.Task[Any] | None = None
        self._watching = False
        self._gone = False
        #: Of the body, so far.
        self.received_bytes = 0

    def __enter__(self) -> "Client":
        self._owner = asyncio.current_task()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._watching:
            self._line.when_gone(None)
        if self._gone and self._owner is not None and self._owner.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnected("the client closed its connection") from None

    def require_size(self, body_bytes: int | None) -> None:
        """Raise Refused if a body of this length is too long; None is a length that nobody knows yet."""
        if self._max_body_bytes is not None and body_bytes is not None and body_bytes > self._max_body_bytes:
            raise Refused(
                f"the request body is longer than {self._max_body_bytes} bytes", status=413, code="body_too_large"
            )

    async def read(self) -> bytes:
        """The next piece of the body, empty if none will come. Raises ClientDisconnected or Refused."""
        piece = await self._line.read()
        if piece is None:
            why = self._line.gone_because or "the client closed its connection before its request was complete"
            raise ClientDisconnected(why)
        self.received_bytes += len(piece)
        self.require_size(self.received_bytes)
        return piece

    def has_more(self) -> bool:
        """Whether a part of the body is still to be read."""
        return self._line.unread

    async def body(
        self,
        length: int | None,
        *,
        whole_bytes: int,
        waits: bool,
        note: Callable[[bytes], None],
        settle: Callable[[], None],
    ) -> bytes | AsyncIterator[bytes]:
        """The whole body if it has at most ``whole_bytes``, else its pieces as they come; then watches.

        One whose ``length`` is None is read whole only if this ``waits`` for it. Each piece is given to ``note``; what
        goes on before the body is whole is settled first.
        """
        self.require_size(length)
        whole = self._line.whole()
        if whole is not None:
            self.received_bytes = len(whole)
            self.require_size(self.received_bytes)
            note(whole)
            self.watch()
            return whole
        pieces = [await self.read()]
        note(pieces[0])
        is_short = waits if length is None else length <= whole_bytes
        while self._line.unread and is_short and self.received_bytes <= whole_bytes:
            pieces.append(await self.read())
            note(pieces[-1])
        body = b"".join(pieces)
        if self._line.unread:

            def note_and_settle(piece: bytes) -> None:
                note(piece)
                settle()

            return self.rest(body, note_and_settle)
        self.watch()
        return body

    async def rest(self, first: bytes, note: Callable[[bytes], None]) -> AsyncIterator[bytes]:
        """The pieces of the body, ``first`` at first, each given to ``note`` before it is yielded; then watches."""
        if first:
            yield first
        while self._line.unread:
            piece = await self.read()
            if piece:
                note(piece)
                yield piece
        self.watch()

    def watch(self) -> None:
        """From now on, interrupt the owner when the client goes away. The body must have been read."""
        self._watching = True
        self._line.when_gone(self._interrupt)

    def _interrupt(self) -> None:
        if self._owner is not None:
            self._gone = True
            self._owner.cancel()
