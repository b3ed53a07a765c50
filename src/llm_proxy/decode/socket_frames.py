"""The messages in the bytes of one direction of a WebSocket (RFC 6455), inflated where that was agreed on (RFC 7692).

What was cut off is left out. Nothing in here raises for what the bytes are; what is no message is told as a problem.
"""

import zlib
from dataclasses import dataclass, field

_CONTINUATION, _TEXT, _BINARY, _CLOSE = 0, 1, 2, 8
_FINAL, _COMPRESSED, _MASKED = 0x80, 0x40, 0x80
#: What the sender of a compressed message leaves out at its end (RFC 7692 section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"


@dataclass(frozen=True, slots=True)
class Message:
    """One message, of text or of bytes."""

    payload: bytes
    #: Where its last byte stands in the bytes of its direction, plus one.
    end: int


@dataclass(slots=True)
class Said:
    """What one side has said."""

    messages: list[Message] = field(default_factory=list)
    #: Of its Close; 1005 if it had none; None if it sent no Close.
    close_code: int | None = None
    close_reason: str = ""
    #: Where its Close ends.
    close_end: int | None = None
    problem: str | None = None


@dataclass(slots=True)
class _Inflater:
    """Undoes permessage-deflate, with the window of the messages before unless that was agreed not to be kept."""

    keeps_window: bool
    limit: int
    _stream: "zlib._Decompress | None" = None

    def inflate(self, payload: bytes) -> bytes:
        if self._stream is None or not self.keeps_window:
            self._stream = zlib.decompressobj(-zlib.MAX_WBITS)
        plain = self._stream.decompress(payload + _TAIL, self.limit)
        self.limit -= len(plain)
        if self._stream.unconsumed_tail:
            raise zlib.error("longer than is read")
        return plain


def said_in(wire: bytes, extensions: list[str], *, by_client: bool, limit: int) -> Said:
    """What is said in ``wire``; ``extensions`` are the lower-case members of the header of the 101."""
    agreed = next((one.replace(" ", "").split(";") for one in extensions if one.startswith("permessage-deflate")), None)
    forgets = f"{'client' if by_client else 'server'}_no_context_takeover"
    inflater = None if agreed is None else _Inflater(forgets not in agreed, limit)
    pieces: list[bytes] = []
    said, compressed, at = Said(), False, 0
    while (frame := _frame_at(wire, at)) is not None:
        first, payload, at = frame
        opcode = first & 0x0F
        if opcode == _CLOSE:
            said.close_code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1005
            said.close_reason = payload[2:].decode("utf-8", "replace")
            said.close_end = at
            break
        if opcode not in (_CONTINUATION, _TEXT, _BINARY):
            continue  # ping and pong, which may stand between the pieces of a message
        if opcode != _CONTINUATION:
            pieces, compressed = [], bool(first & _COMPRESSED)
        pieces.append(payload)
        if first & _FINAL:
            whole = b"".join(pieces)
            try:
                said.messages.append(Message(inflater.inflate(whole) if compressed and inflater else whole, at))
            except zlib.error as exc:
                said.problem = f"cannot be inflated: {exc}"
                break
            pieces = []
    return said


def _frame_at(wire: bytes, at: int) -> tuple[int, bytes, int] | None:
    """The first byte, the payload and the end of the frame at ``at``; None if it is not whole."""
    if len(wire) < at + 2:
        return None
    first, second = wire[at], wire[at + 1]
    length, at = second & ~_MASKED, at + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        length, at = int.from_bytes(wire[at : at + size], "big"), at + size
    masking = b""
    if second & _MASKED:
        masking, at = wire[at : at + 4], at + 4
    if len(wire) < at + length:
        return None
    payload = wire[at : at + length]
    return first, _unmasked(payload, masking) if masking else payload, at + length


def _unmasked(payload: bytes, masking: bytes) -> bytes:
    # As one number each: a loop over the bytes would take a hundred times as long.
    length = len(payload)
    mask = (masking * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")
