"""The messages in the bytes of one direction of a WebSocket (RFC 6455), inflated where that was agreed on (RFC 7692).

What was cut off is left out. Nothing in here raises for what the bytes are; what is no message is told as a problem.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

_CONTINUATION = 0
_FINAL, _COMPRESSED, _MASKED = 0x80, 0x40, 0x80
#: What the sender of a compressed message leaves out at its end (RFC 7692 section 7.2.1).
_TAIL = b"\x00\x00\xff\xff"
#: Close without a status (RFC 6455 section 7.1.5).
_NO_STATUS = 1005


class Kind(StrEnum):
    """What a message is; the last three are control frames."""

    TEXT = "text"
    BINARY = "binary"
    CLOSE = "close"
    PING = "ping"
    PONG = "pong"


_KINDS = {1: Kind.TEXT, 2: Kind.BINARY, 8: Kind.CLOSE, 9: Kind.PING, 10: Kind.PONG}
_CONTROLS = frozenset({Kind.CLOSE, Kind.PING, Kind.PONG})


class _Frame(NamedTuple):
    """Where the payload of a frame stands."""

    first: int
    masking: bytes
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Message:
    """One message of either kind, or a control frame."""

    kind: Kind
    #: Where its last byte stands in the bytes of its direction, plus one.
    end: int
    _wire: bytes
    _frames: tuple[_Frame, ...]
    #: None if it was not deflated.
    _inflated: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return sum(one.end - one.begin for one in self._frames) if self._inflated is None else len(self._inflated)

    @property
    def payload(self) -> bytes:
        """Without frames and masks; made when it is asked for, since most of a long session may not be."""
        return _payload(self._wire, self._frames) if self._inflated is None else self._inflated

    def close(self) -> tuple[int, str]:
        """The code and the reason of a Close; 1005 if it has none."""
        payload = self.payload
        code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else _NO_STATUS
        return code, payload[2:].decode("utf-8", "replace")


@dataclass(slots=True)
class Said:
    """What one side has said."""

    messages: list[Message] = field(default_factory=list)
    #: Of its Close; 1005 if it had none; None if it sent no Close.
    close_code: int | None = None
    close_reason: str = ""
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


class Direction:
    """All that one side has sent, up to its Close; each message is looked for when it is its turn."""

    def __init__(self, wire: bytes, extensions: list[str], *, by_client: bool, limit: int) -> None:
        """``extensions`` are the lower-case members of the header of the 101; no more than ``limit`` is inflated."""
        agreed = next(
            (one.replace(" ", "").split(";") for one in extensions if one.startswith("permessage-deflate")), None
        )
        forgets = f"{'client' if by_client else 'server'}_no_context_takeover"
        self._wire = wire
        self._inflater = None if agreed is None else _Inflater(forgets not in agreed, limit)
        #: Why nothing more is read; None as long as all is.
        self.problem: str | None = None

    def __iter__(self) -> Iterator[Message]:
        pieces: list[_Frame] = []
        kind = Kind.BINARY
        for frame in _frames(self._wire):
            opcode = frame.first & 0x0F
            told = kind if opcode == _CONTINUATION else _KINDS.get(opcode)
            if told is None:
                continue
            if told in _CONTROLS:  # which may stand between the pieces of a message
                yield Message(told, frame.end, self._wire, (frame,))
                if told is Kind.CLOSE:
                    return
                continue
            if opcode != _CONTINUATION:
                pieces, kind = [], told
            pieces.append(frame)
            if frame.first & _FINAL:
                try:
                    yield Message(kind, frame.end, self._wire, tuple(pieces), self._inflated(pieces))
                except zlib.error as exc:
                    self.problem = f"cannot be inflated: {exc}"
                    return
                pieces = []

    def _inflated(self, pieces: list[_Frame]) -> bytes | None:
        if self._inflater is None or not pieces[0].first & _COMPRESSED:
            return None
        return self._inflater.inflate(_payload(self._wire, pieces))


def said_in(wire: bytes, extensions: list[str], *, by_client: bool, limit: int) -> Said:
    """The messages in ``wire``, and how it closed."""
    direction = Direction(wire, extensions, by_client=by_client, limit=limit)
    said = Said()
    for message in direction:
        if message.kind is Kind.CLOSE:
            said.close_code, said.close_reason = message.close()
        elif message.kind not in _CONTROLS:
            said.messages.append(message)
    said.problem = direction.problem
    return said


def _frames(wire: bytes) -> Iterator[_Frame]:
    """The frames that are whole."""
    at, size = 0, len(wire)
    while size >= at + 2:
        first, second = wire[at], wire[at + 1]
        length, at = second & ~_MASKED, at + 2
        if length >= 126:
            length_bytes = 2 if length == 126 else 8
            length, at = int.from_bytes(wire[at : at + length_bytes], "big"), at + length_bytes
        masking = b""
        if second & _MASKED:
            masking, at = wire[at : at + 4], at + 4
        if size < at + length:
            return
        yield _Frame(first, masking, at, at + length)
        at += length


def _payload(wire: bytes, frames: Iterable[_Frame]) -> bytes:
    return b"".join(
        _unmasked(wire[one.begin : one.end], one.masking) if one.masking else wire[one.begin : one.end]
        for one in frames
    )


def _unmasked(payload: bytes, masking: bytes) -> bytes:
    # As one number each: a loop over the bytes would take a hundred times as long.
    length = len(payload)
    mask = (masking * (length // 4 + 1))[:length]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(length, "big")
