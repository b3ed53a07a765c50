"""Where the frames of a WebSocket end (RFC 6455 section 5.2), in the bytes of one direction as they pass.

Nothing else is read of them: a frame of our own may only stand between two of theirs, and a session is over in good
order when both sides have sent a Close.
"""

#: No head of a frame is longer.
_MAX_HEAD_BYTES = 14
_CLOSE = 8
_MASKED = 0x80


class FrameEnds:
    """One direction."""

    def __init__(self) -> None:
        #: Still to come of the frame that has begun.
        self._owed_bytes = 0
        #: Of a frame whose length is not known yet.
        self._head = b""
        #: Whether a Close has begun.
        self.closed = False

    @property
    def at_end(self) -> bool:
        """Whether a frame has just ended, or none has begun."""
        return not self._owed_bytes and not self._head

    def feed(self, piece: bytes) -> None:
        """Take the next bytes, however they are cut."""
        if self._head:
            piece, self._head = self._head + piece, b""
        at = self._owed_bytes
        while at < len(piece):
            head = piece[at : at + _MAX_HEAD_BYTES]
            size = _frame_bytes(head)
            if size is None:
                self._head, self._owed_bytes = head, 0
                return
            self.closed = self.closed or head[0] & 0x0F == _CLOSE
            at += size
        self._owed_bytes = at - len(piece)


def _frame_bytes(head: bytes) -> int | None:
    """The length of the frame that begins so, with its head; None if that is not known yet."""
    if len(head) < 2:
        return None
    length, length_bytes = head[1] & ~_MASKED, 0
    if length >= 126:
        length_bytes = 2 if length == 126 else 8
        if len(head) < 2 + length_bytes:
            return None
        length = int.from_bytes(head[2 : 2 + length_bytes], "big")
    return 2 + length_bytes + (4 if head[1] & _MASKED else 0) + length
