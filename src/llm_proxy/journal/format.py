"""The bytes of the journal.

::

    DIRECTORY/WRITER/writer.lock      locked for as long as the writing process lives
    DIRECTORY/WRITER/00000001.seg     frames, appended; a newer segment means that this one is finished
    DIRECTORY/WRITER/00000001.done    16-byte ids of the exchanges opened in that segment that are stored

    frame = magic 4 | payload length 4 | CRC-32 4 | kind 1 | exchange id 16 | time 8 | payload      (little-endian)

Invariants
- A frame is whole or it does not count: the CRC covers all that follows it. A torn tail is the mark of a dead writer.
- Frames of many exchanges are interleaved; those of one exchange are in the order in which things happened:
  OPEN (REQUEST)* (ATTEMPT)* RESPONSE? (CHUNK | SKIPPED | SENT | SENT_SKIPPED)* CLOSE?
- Times are microseconds since the exchange began, on a monotonic clock; that of OPEN is the wall clock's, since 1970.
- The structs may grow at their end only, with defaults: older segments stay readable.

Nothing in here does I/O.
"""

import mmap
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum

import msgspec

MAGIC = b"LPJ1"
#: What follows the CRC and is covered by it: kind, exchange id, time.
_COVERED = struct.Struct("<B16sQ")
_PREFIX = struct.Struct("<4sII")
_HEADER = struct.Struct("<4sIIB16sQ")
HEADER_BYTES = _HEADER.size
_pack_covered, _pack_prefix, _crc32 = _COVERED.pack, _PREFIX.pack, zlib.crc32
#: A frame that claims to be longer is damage; a larger piece of a body is cut into several frames.
MAX_PAYLOAD_BYTES = 64 * 2**20

LOCK_NAME = "writer.lock"
SEGMENT_SUFFIX = ".seg"
DONE_SUFFIX = ".done"
ID_BYTES = 16


class Kind(IntEnum):
    """What a frame says."""

    #: Nothing; written to find out whether writing works.
    PROBE = 0
    OPEN = 1
    REQUEST = 2
    RESPONSE = 3
    CHUNK = 4
    #: A piece of the response of which only the length is kept, as a 4-byte number.
    SKIPPED = 5
    CLOSE = 6
    #: One of several attempts has ended; the time is when.
    ATTEMPT = 7
    #: A piece of what the client sent after a 101, when both sides speak at the same time.
    SENT = 8
    #: One of which only the length is kept, as a 4-byte number.
    SENT_SKIPPED = 9


class Opening(msgspec.Struct, array_like=True, frozen=True):
    """Payload of OPEN: the head of the request, already redacted."""

    method: str
    target: bytes
    endpoint: str
    headers: list[tuple[bytes, bytes | None]]
    path_context: str | None = None
    upstream: str | None = None
    provider: str | None = None
    client: str | None = None
    key_fingerprint: str | None = None
    #: Whether the bodies of this call are kept.
    bodies: bool = True
    #: Of these, one may be left out.
    request_body: bool = True
    response_body: bool = True
    #: Whose key the call was made by, and what comes with it.
    organization_id: str | None = None
    project_id: str | None = None
    key_id: str | None = None
    tags: tuple[str, ...] = ()


class Timing(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """How a request went out. Durations in microseconds; None if it did not come to that, or nobody knows."""

    #: When its first byte left, since the exchange began.
    sent_us: int | None = None
    #: What the proxy needed for itself, from the last byte of the client's request to the first one that it sent:
    #: without the four below, and without other attempts.
    overhead_us: int | None = None
    #: Until it was its turn.
    queued_us: int | None = None
    #: Of a connection that was made for it: the name looked up, TCP, TLS.
    dns_us: int | None = None
    tcp_us: int | None = None
    tls_us: int | None = None


class Tried(msgspec.Struct, array_like=True, frozen=True):
    """Payload of ATTEMPT: where it went, and what came of it."""

    upstream: str
    provider: str | None
    #: As it was written into the request; None if it was left as it is.
    model: str | None
    started_us: int
    status: int | None = None
    #: If there was no answer: the word of the error, and the sentence.
    failure: str | None = None
    reason: str | None = None
    #: All of the connection in one number, as older versions said it.
    connect_us: int | None = None
    headers: list[tuple[bytes, bytes | None]] = []
    #: Beginning of the body of a failure; None if it was not kept.
    body: bytes | None = None
    #: How long the next attempt was waited for; None if none followed at once.
    wait_us: int | None = None
    timing: Timing | None = None


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """Payload of RESPONSE: the head of the answer."""

    status: int
    headers: list[tuple[bytes, bytes | None]]
    #: As older versions said it; see Tried.
    connect_us: int | None = None
    #: Who answered, if not the one that the call was opened with, and which model that one was asked for.
    upstream: str | None = None
    provider: str | None = None
    model: str | None = None
    timing: Timing | None = None


class Closing(msgspec.Struct, array_like=True, frozen=True):
    """Payload of CLOSE: how it ended."""

    ending: str
    reason: str | None = None
    request_bytes: int | None = None
    truncated: bool = False
    #: If there was no answer to say it with.
    timing: Timing | None = None


#: ``encode(struct) -> bytes``; one encoder for all, it keeps no state between calls.
encode = msgspec.msgpack.Encoder().encode
decode_opening = msgspec.msgpack.Decoder(Opening).decode
decode_tried = msgspec.msgpack.Decoder(Tried).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
decode_closing = msgspec.msgpack.Decoder(Closing).decode


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One whole frame as read. A msgspec structure because many of them are made for one call."""

    kind: int
    exchange_id: bytes
    time_us: int
    payload: bytes


class Frames:
    """Frames of one exchange that are written together, in one system call."""

    __slots__ = ("exchange_id", "parts", "size")

    def __init__(self, exchange_id: bytes) -> None:
        self.exchange_id = exchange_id
        #: What stands before a payload and the payload are pieces of their own, so that no body is copied.
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, kind: Kind, time_us: int, payload: bytes) -> None:
        """Add one frame, or several if ``payload`` is longer than a frame may be."""
        length = len(payload)
        if length > MAX_PAYLOAD_BYTES:
            for start in range(0, length, MAX_PAYLOAD_BYTES):
                self.add(kind, time_us, payload[start : start + MAX_PAYLOAD_BYTES])
            return
        covered = _pack_covered(kind, self.exchange_id, time_us)
        self.parts += (_pack_prefix(MAGIC, length, _crc32(payload, _crc32(covered))) + covered, payload)
        self.size += HEADER_BYTES + length

    def clear(self) -> None:
        """Forget the frames, after they were written."""
        self.parts = []
        self.size = 0


class FrameParser:
    """Frames out of the bytes of one segment, fed in any pieces.

    Damage (a wrong length or CRC) is skipped up to the next whole frame and counted in ``damaged_bytes``. May be
    abandoned after any frame: the next call goes on behind it.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        self.damaged_bytes = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes at the end that are no whole frame yet."""
        return len(self._pending)

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """Yield every frame that ``piece`` completes."""
        pending = self._pending
        pending += piece
        start = 0
        try:
            with memoryview(pending) as view:
                while len(view) - start >= HEADER_BYTES:
                    magic, length, crc, kind, exchange_id, time_us = _HEADER.unpack_from(view, start)
                    end = start + HEADER_BYTES + length
                    believed = magic == MAGIC and length <= MAX_PAYLOAD_BYTES
                    if believed and end > len(view):
                        return
                    if believed and zlib.crc32(view[start + _PREFIX.size : end]) == crc:
                        payload = view[start + HEADER_BYTES : end].tobytes()
                        start = end
                        yield Frame(kind, exchange_id, time_us, payload)
                    else:
                        skipped = _damage_length(pending, start)
                        self.damaged_bytes += skipped
                        start += skipped
        finally:
            del pending[:start]

    def finish(self) -> Iterator[Frame]:
        """Yield what stands whole behind a frame that is not: nothing will be fed any more.

        A length that was damaged may claim more than there is, and would hide all that follows it.
        """
        while self._pending:
            following = self._pending.find(MAGIC, 1)
            skipped = following if following >= 0 else len(self._pending)
            del self._pending[:skipped]
            self.damaged_bytes += skipped
            yield from self.feed(b"")


def heads(segment: mmap.mmap | bytes) -> Iterator[tuple[int, bytes, int]]:
    """Kind, exchange id and time of each frame, without a look at the payloads: damage may hide some."""
    start, end = 0, len(segment)
    while start + HEADER_BYTES <= end:
        magic, length, _ = _PREFIX.unpack_from(segment, start)
        if magic != MAGIC or length > MAX_PAYLOAD_BYTES:
            start = segment.find(MAGIC, start + 1)
            if start < 0:
                return
            continue
        if start + HEADER_BYTES + length > end:
            return
        yield _COVERED.unpack_from(segment, start + _PREFIX.size)
        start += HEADER_BYTES + length


def _damage_length(pending: bytearray, start: int) -> int:
    """How far it is to the next place that may be a frame: everything but what could be the beginning of a magic."""
    following = pending.find(MAGIC, start + 1)
    return (following if following >= 0 else len(pending) - len(MAGIC) + 1) - start
