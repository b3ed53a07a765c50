"""One exchange being recorded.

What happened is noted frame by frame and written by ``commit`` in one system call, before the byte that it is about
moves on. The first ending counts. A journal that cannot be written never fails a call that is under way: the capture
goes on without, and says so (``dropped``, ``truncated``).
"""

import time

import msgspec

from llm_proxy.errors import JournalUnwritable
from llm_proxy.journal.format import Answer, Closing, Frames, Kind, Opening, Timing, Tried, encode
from llm_proxy.journal.writer import Journal
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.proxy.head_shapes import Recorded
from llm_proxy.proxy.transport.base import Sending

#: Kept of a file that is sent or fetched: enough for what is said of it. Its content is no call, and can be large.
_FILE_BYTES = 64 * 1024
#: How a piece is noted of which only the length is kept.
_SKIPS = {Kind.CHUNK: Kind.SKIPPED, Kind.SENT: Kind.SENT_SKIPPED}
_COUNTERS = {ending: f"ended.{ending}" for ending in Ending}


class Capture:
    """From ``open`` to ``end``; every method returns at once."""

    def __init__(
        self,
        journal: Journal | None,
        ledger: Ledger | None,
        *,
        exchange_id: bytes,
        started_ns: int,
        max_body_bytes: int,
    ) -> None:
        self._journal = journal
        self._ledger = ledger
        self._started_ns = started_ns
        self._room = {Kind.REQUEST: max_body_bytes, Kind.CHUNK: max_body_bytes, Kind.SENT: max_body_bytes}
        self._frames = Frames(exchange_id)
        #: Of the request and of the answer.
        self._keeps = {Kind.REQUEST: True, Kind.CHUNK: True}
        self._keeps_errors = True
        self._recording = False
        self._opened = False
        self._truncated = False
        self._opened_for: str | None = None
        self._sent_to: tuple[str | None, str | None, str | None] = (None, None, None)
        #: When the last byte of the request had come, so far.
        self._received_us: int | None = None
        self._sending: Sending | None = None
        #: When the first attempt began, and how long after it the present one did.
        self._tried_us: int | None = None
        self._retried_us = 0
        self._answered = False
        self.ending: Ending | None = None
        #: Of the request body, so far; None if it never came to that.
        self.request_bytes: int | None = None

    @classmethod
    def nothing(cls) -> "Capture":
        """A capture that records and counts nothing."""
        return cls(None, None, exchange_id=b"", started_ns=0, max_body_bytes=0)

    def open(self, opening: Opening, *, wall_ns: int) -> None:
        """Begin the record; written by the first ``commit``."""
        self._recording = True
        self._opened_for = opening.upstream
        self._keeps[Kind.REQUEST] = opening.bodies and opening.request_body
        self._keeps[Kind.CHUNK] = opening.bodies and opening.response_body
        self._keeps_errors = opening.response_body
        if opening.endpoint == Endpoint.FILES:
            self._room = {kind: min(room, _FILE_BYTES) for kind, room in self._room.items()}
        self._frames.add(Kind.OPEN, wall_ns // 1000, encode(opening))

    def sent_to(self, upstream: str, provider: str | None, model: str | None) -> None:
        """Note where the call went, if that is not what it was opened with; said with the answer."""
        if upstream == self._opened_for and model is None:
            self._sent_to = (None, None, None)
        else:
            self._sent_to = (upstream, provider, model)

    def sends(self, sending: Sending, *, attempt_us: int | None = None) -> None:
        """Note that the request goes out; ``attempt_us`` is when that began, if it may not be the only time."""
        self._sending = sending
        if attempt_us is not None:
            self._tried_us = attempt_us if self._tried_us is None else self._tried_us
            self._retried_us = attempt_us - self._tried_us

    def request_piece(self, piece: bytes) -> None:
        """Note a piece of the request body."""
        self.request_bytes = (self.request_bytes or 0) + len(piece)
        self._received_us = now_us = self.now_us()
        if self._recording and self._keeps[Kind.REQUEST] and piece:
            self._add_body(Kind.REQUEST, piece, now_us)

    def attempt(self, tried: Tried) -> None:
        """Note one of several attempts, without its body if the caller asked for no answer to be kept."""
        if self._recording:
            kept = tried if self._keeps_errors else msgspec.structs.replace(tried, body=None)
            self._frames.add(Kind.ATTEMPT, self.now_us(), encode(kept))

    def answer(self, status: int, headers: Recorded) -> None:
        """Note the head of the answer."""
        self._answered = True
        if self._recording:
            answer = Answer(status, headers, None, *self._sent_to, self.timing())
            self._frames.add(Kind.RESPONSE, self.now_us(), encode(answer))

    def keep_bodies(self) -> None:
        """Keep the response body from now on, though bodies are not kept: it tells of an error.

        But not if the caller asked for that of all things not to be kept.
        """
        self._keeps[Kind.CHUNK] = self._keeps_errors

    def chunk(self, piece: bytes) -> None:
        """Note a piece of the response body."""
        if not self._recording:
            return
        if self._keeps[Kind.CHUNK]:
            self._add_body(Kind.CHUNK, piece, self.now_us())
        else:
            self._frames.add(Kind.SKIPPED, self.now_us(), len(piece).to_bytes(4, "little"))

    def sent(self, piece: bytes) -> None:
        """Note a piece of what the client sends after a 101."""
        self.request_bytes = (self.request_bytes or 0) + len(piece)
        if not self._recording:
            return
        if self._keeps[Kind.REQUEST]:
            self._add_body(Kind.SENT, piece, self.now_us())
        else:
            self._frames.add(Kind.SENT_SKIPPED, self.now_us(), len(piece).to_bytes(4, "little"))

    def end(self, ending: Ending, reason: str | None = None) -> None:
        """Set the ending and write what is left; only the first call does anything."""
        if self.ending is not None:
            return
        self.ending = ending
        self._count(_COUNTERS[ending])
        if not self._recording:
            return
        timing = None if self._answered else self.timing()
        closing = Closing(ending, reason, self.request_bytes, self._truncated, timing)
        self._frames.add(Kind.CLOSE, self.now_us(), encode(closing))
        self._write()

    def commit(self) -> None:
        """Write what was noted; if the first one fails, ``recording`` is false afterwards."""
        if self._frames.size:
            self._write()

    def timing(self) -> Timing | None:
        """How the request went out, the last time; None if it did not come to that."""
        if self._sending is None:
            return None
        received_us = self._received_us
        return self.timing_of(self._sending, since_us=None if received_us is None else received_us + self._retried_us)

    def timing_of(self, sending: Sending, *, since_us: int | None) -> Timing:
        """How a request went out that was there to be sent since ``since_us``; None if nobody knows."""
        sent_us = overhead_us = None
        if sending.sent_ns is not None:
            sent_us = (sending.sent_ns - self._started_ns) // 1000
            if since_us is not None and since_us <= sent_us:  # else it went out while it still came in
                overhead_us = sent_us - since_us
        if sending.tcp_s is None and sending.dns_s is None and sending.queued_s is None:  # nearly always
            return Timing(sent_us, overhead_us)
        steps = _us(sending.queued_s), _us(sending.dns_s), _us(sending.tcp_s), _us(sending.tls_s)
        if overhead_us is not None:
            overhead_us = max(overhead_us - sum(step or 0 for step in steps), 0)
        return Timing(sent_us, overhead_us, *steps)

    @property
    def recording(self) -> bool:
        """Whether this call will be on record."""
        return self._recording

    def _add_body(self, kind: Kind, piece: bytes, now_us: int) -> None:
        room = self._room[kind]
        if 0 < len(piece) <= room:
            self._room[kind] = room - len(piece)
            self._frames.add(kind, now_us, piece)
            return
        kept = piece[:room]
        self._room[kind] -= len(kept)
        if kept:
            self._frames.add(kind, now_us, kept)
        if len(kept) < len(piece):
            self._truncate()
            if kind in _SKIPS:
                rest = (len(piece) - len(kept)).to_bytes(4, "little")
                self._frames.add(_SKIPS[kind], now_us, rest)

    def _write(self) -> None:
        assert self._journal is not None  # only what was opened is written
        try:
            if self._opened:
                self._journal.append(self._frames)
            else:
                self._journal.open(self._frames)
                self._opened = True
        except JournalUnwritable as exc:
            self._go_on_without(exc)

    def _go_on_without(self, exc: JournalUnwritable) -> None:
        self._frames.clear()
        if not self._opened:
            self._recording = False
            self._count(f"dropped.{exc.reason}")
            return
        self._truncate()
        self._room = dict.fromkeys(self._room, 0)  # a body with a hole in it would be worse than a short one
        if self.ending is not None:
            closing = Closing(self.ending, None, self.request_bytes, truncated=True)
            self._frames.add(Kind.CLOSE, self.now_us(), encode(closing))
            assert self._journal is not None
            self._journal.append_later(self._frames)

    def _truncate(self) -> None:
        if not self._truncated:
            self._truncated = True
            self._count("truncated")

    def _count(self, name: str) -> None:
        if self._ledger is not None:
            self._ledger.add(name)

    def now_us(self) -> int:
        """Microseconds since the call began."""
        return (time.monotonic_ns() - self._started_ns) // 1000


def _us(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1e6)
