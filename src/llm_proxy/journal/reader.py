"""Read the journal of all writers: exchanges out of interleaved frames, and files deleted when all is stored.

Invariants
- Delivered at least once: an exchange comes again after a restart until ``mark_stored`` was called for it.
- An exchange without an end whose writer has died is delivered as ABORTED, with what there is of it.
- A file is deleted only when everything opened in it, and in every older file of its writer, is stored.
- What a writer, or an earlier reader, did and was killed before it could count it is counted in its place, before the
  files that prove it are deleted.

One reader per journal: the caller holds a lock (``wiring``). Not for several threads at once.
"""

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import UUID

from llm_proxy.journal.assembly import Assembly
from llm_proxy.journal.format import DONE_SUFFIX, ID_BYTES, LOCK_NAME, SEGMENT_SUFFIX, Frame, FrameParser, Kind
from llm_proxy.journal.writer import journal_bytes
from llm_proxy.metrics import Ledger, settle
from llm_proxy.model.exchange import Exchange

#: How much is read of one file at a time.
READ_BYTES = 2**20
#: Exchanges with longer bodies than this together are not given out in one go: they all are in memory at once.
POLL_BODY_BYTES = 64 * 2**20
#: A call that runs for so long, in seconds, is worth telling of before it has ended: telling of the many that are over
#: sooner would have each of them stored twice.
ANNOUNCE_AFTER_S = 0.25
#: A member of an enumeration takes longer to be found than all else that is asked of each of many frames.
_OPEN, _CLOSE = int(Kind.OPEN), int(Kind.CLOSE)
#: A directory that was still hidden after this time, in seconds, belongs to a writer that died while it made it.
_LEFT_OVER_S = 3600.0


class JournalReader:
    """All the writers' directories under one root."""

    def __init__(
        self, root: Path, *, ledger: Ledger, announce_after_s: float = 0.0, ledgers: Path | None = None
    ) -> None:
        """``announce_after_s`` is how long a call must have been running to be given out before its end.

        ``ledgers`` is the directory of the counters of all processes that write and read this journal.
        """
        self._root = root
        self._ledger = ledger
        self._announce_after_s = announce_after_s
        self._ledgers = ledgers
        self._writers: dict[str, _WriterLog] = {}
        self._remove_left_overs()
        self._settle(lambda _, witness: any(witness in read_done(path) for path in root.glob(f"*/*{DONE_SUFFIX}")))

    def poll(self, *, limit: int) -> list[Exchange]:
        """The next exchanges, at most ``limit``: each that has ended, and once each that still runs, after a while."""
        self._find_writers()
        exchanges: list[Exchange] = []
        body_bytes = 0
        for name, log in list(self._writers.items()):
            for exchange in log.read():
                exchanges.append(exchange)
                body_bytes += len(exchange.request_body or b"") + len(exchange.response_body or b"")
                if len(exchanges) >= limit or body_bytes >= POLL_BODY_BYTES:
                    self._writers[name] = self._writers.pop(name)  # the others come first next time
                    return exchanges
        return exchanges

    def mark_stored(self, exchange_ids: Iterable[str], *, counted_as: str | None = None) -> None:
        """Note that these exchanges, which had ended, need not come again, and count them as ``counted_as``."""
        keys = {bytes.fromhex(text.replace("-", "")) for text in exchange_ids}
        for log in self._writers.values():
            log.mark_stored(keys, counted_as)

    def tidy(self) -> None:
        """Delete what is done with, forget writers that are gone, and put the gauges right."""
        for name, log in list(self._writers.items()):
            if log.finished and not log.settled:
                log.settled = self._settle(partial(_opened_last, log))
            if log.delete_finished():
                del self._writers[name]
        self._show_gauges()

    def _settle(self, happened: Callable[[str, bytes], bool]) -> bool:
        return self._ledgers is None or settle(self._ledgers, happened)

    def _find_writers(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            for name in sorted(os.listdir(self._root)):  # noqa: PTH208 - ten times a second, and names are all it needs
                if name not in self._writers and is_writer(name):
                    self._writers[name] = _WriterLog(self._root / name, self._ledger, self._announce_after_s)

    def _remove_left_overs(self) -> None:
        """Remove what is hidden of writers that died while they made their directory."""
        for hidden in self._root.glob(".*"):
            with contextlib.suppress(FileNotFoundError):
                if is_writer(hidden.name[1:]) and time.time() - hidden.stat().st_mtime > _LEFT_OVER_S:
                    shutil.rmtree(hidden, ignore_errors=True)

    def _show_gauges(self) -> None:
        waiting = [ended_at for log in self._writers.values() for ended_at in log.waiting()]
        ended = [ended_at for ended_at in waiting if ended_at is not None]
        self._ledger.put("waiting", len(waiting))
        self._ledger.put("in_flight", len(waiting) - len(ended))
        self._ledger.put("oldest_waiting_seconds", int(time.monotonic() - min(ended)) if ended else 0)
        self._ledger.put("journal_waiting_bytes", journal_bytes(self._root))


@dataclass(slots=True)
class _Segment:
    path: Path
    #: Stored before this reader was started.
    done: frozenset[bytes]
    #: Opened in this segment and not stored yet; the value is when the end was read (monotonic), None while it runs.
    waiting: dict[bytes, float | None] = field(default_factory=dict)
    #: Stored, but this could not be written down yet.
    unwritten: bytes = b""

    def mark_stored(self, keys: set[bytes], ledger: Ledger, counted_as: str | None) -> None:
        stored = [key for key in keys if key in self.waiting]
        if stored and counted_as is not None:
            ledger.intend(counted_as, len(stored), stored[-1])
        if stored or self.unwritten:
            self.unwritten += b"".join(stored)
            # On a full disk: deleting segments helps, and needs no note. After a restart some may come again.
            with contextlib.suppress(OSError):
                _append_done(self.path.with_suffix(DONE_SUFFIX), self.unwritten)
                self.unwritten = b""
        if stored and counted_as is not None:
            ledger.add(counted_as, len(stored))
        for key in stored:
            del self.waiting[key]

    def delete(self) -> None:
        # In this order: ids without their segment do no harm, a segment without its ids would be delivered again.
        self.path.unlink(missing_ok=True)
        self.path.with_suffix(DONE_SUFFIX).unlink(missing_ok=True)


class _WriterLog:
    """The segments of one writer, read one after the other."""

    def __init__(self, directory: Path, ledger: Ledger, announce_after_s: float) -> None:
        self._directory = directory
        self._ledger = ledger
        self._announce_after_s = announce_after_s
        #: Oldest first; the last one is being read.
        self._segments: list[_Segment] = []
        self._file = -1
        self._parser = FrameParser()
        self._damage_seen = 0
        self._open: dict[bytes, Assembly] = {}
        #: Of the last exchange that it opened.
        self.last_opened = b""
        #: Whether the writer has died and all that it wrote is read.
        self.finished = False
        #: Whether it is known that all that it opened is counted.
        self.settled = False

    def read(self) -> Iterator[Exchange]:
        """Read to the end of what there is. May be abandoned after any exchange: the next call goes on from there."""
        if self.finished:
            return
        died = lock_is_free(self._directory)  # asked first: what a dead writer wrote is all there when it is read below
        while self._file >= 0 or self._open_next_segment():
            yield from self._read_segment()
            if not died and not self._later_segments():
                break
            yield from self._read_segment()  # what was added before the writer turned to the later one, or died
            yield from self._finish_segment()
        yield from self._aborted() if died else self._running()
        self.finished = died

    def mark_stored(self, keys: set[bytes], counted_as: str | None) -> None:
        for segment in self._segments:
            segment.mark_stored(keys, self._ledger, counted_as)

    def waiting(self) -> Iterator[float | None]:
        for segment in self._segments:
            yield from segment.waiting.values()

    def delete_finished(self) -> bool:
        """Delete the oldest segments that are done with; true when nothing is left and nothing will come."""
        while self._segments and not self._segments[0].waiting and (len(self._segments) > 1 or self.settled):
            self._segments.pop(0).delete()
        if self.settled and not self._segments:
            shutil.rmtree(self._directory, ignore_errors=True)
            return True
        return False

    def _later_segments(self) -> list[Path]:
        last = self._segments[-1].path.name if self._segments else ""
        return sorted(path for path in self._directory.glob(f"*{SEGMENT_SUFFIX}") if path.name > last)

    def _open_next_segment(self) -> bool:
        for path in self._later_segments():
            with contextlib.suppress(FileNotFoundError):  # its writer gave it up before anything was in it
                self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                self._segments.append(_Segment(path, done=read_done(path.with_suffix(DONE_SUFFIX))))
                return True
        return False

    def _read_segment(self) -> Iterator[Exchange]:
        piece = b""  # what was left when the last call was abandoned comes first
        while True:
            yield from self._take_all(self._parser.feed(piece))
            piece = os.read(self._file, READ_BYTES)
            if not piece:
                return

    def _finish_segment(self) -> Iterator[Exchange]:
        yield from self._take_all(self._parser.finish())
        is_torn_tail = not self._later_segments()  # of a dead writer: nobody was given what stood there
        if self._parser.damaged_bytes != self._damage_seen and not is_torn_tail:
            self._note_damage()
        os.close(self._file)
        self._file = -1
        self._ledger.add("journal_damaged_bytes", self._parser.damaged_bytes)
        self._parser, self._damage_seen = FrameParser(), 0

    def _take_all(self, frames: Iterator[Frame]) -> Iterator[Exchange]:
        for frame in frames:
            if self._parser.damaged_bytes != self._damage_seen:
                self._note_damage()
            exchange = self._take(frame)
            if exchange is not None:
                yield exchange

    def _note_damage(self) -> None:
        self._damage_seen = self._parser.damaged_bytes
        for assembly in self._open.values():
            assembly.suffer()

    def _take(self, frame: Frame) -> Exchange | None:
        if frame.kind == _OPEN:
            self.last_opened = frame.exchange_id
            segment = self._segments[-1]
            if frame.exchange_id not in segment.done:
                self._open[frame.exchange_id] = Assembly(frame, seen_at=time.monotonic())
                segment.waiting[frame.exchange_id] = None
            return None
        assembly = self._open.get(frame.exchange_id)
        if assembly is None:
            return None  # stored before this reader was started, or its opening was damaged
        assembly.add(frame)
        return self._ended(frame.exchange_id) if frame.kind == _CLOSE else None

    def _ended(self, key: bytes) -> Exchange:
        assembly = self._open.pop(key)
        for segment in self._segments:
            if key in segment.waiting:
                segment.waiting[key] = time.monotonic()
        return assembly.exchange()

    def _running(self) -> Iterator[Exchange]:
        long_ago = time.monotonic() - self._announce_after_s
        for assembly in self._open.values():
            if assembly.seen_at > long_ago:
                return  # those behind it were seen later
            if not assembly.announced:
                assembly.announced = True
                yield assembly.exchange()

    def _aborted(self) -> Iterator[Exchange]:
        for key, assembly in list(self._open.items()):
            assembly.abort()
            yield self._ended(key)


def lock_is_free(directory: Path) -> bool:
    """Whether the writer of ``directory`` has ended."""
    try:
        lock = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


def _opened_last(log: _WriterLog, what: str, witness: bytes) -> bool:
    return what == "accepted" and witness == log.last_opened


def is_writer(name: str) -> bool:
    """Whether a directory is a writer's: its name is an id. Somebody else's, like ``lost+found``, is left alone."""
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False


def _append_done(path: Path, keys: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        size = os.fstat(file).st_size
        if size % ID_BYTES:  # a torn id would make nonsense of all that follow
            os.ftruncate(file, size - size % ID_BYTES)
        while keys:
            keys = keys[os.write(file, keys) :]
    finally:
        os.close(file)


def read_done(path: Path) -> frozenset[bytes]:
    """The ids in a file of those that are stored; none if there is no such file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return frozenset()
    whole = len(content) - len(content) % ID_BYTES  # a torn id is one that will come again
    return frozenset(content[start : start + ID_BYTES] for start in range(0, whole, ID_BYTES))
