"""Append frames to the journal, from one process.

Invariants
- A frame that was appended is with the kernel when ``append`` returns: ``kill -9`` cannot take it back.
- After a failed write the segment ends behind its last whole frame and gets no more: a reader may have seen what was
  cut off. The next append tries a fresh one, so writing goes on as soon as there is room.
- What was opened is counted, also of a process that is killed before it could: its ledger says what it was about to
  count, and the reader whether it came to that.
- Never blocks on anything but write(2) (and fdatasync with ``fsync="always"``); never raises anything but
  JournalUnwritable.
"""

import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from llm_proxy.errors import JournalFull, JournalUnwritable
from llm_proxy.journal.format import (
    ID_BYTES,
    LOCK_NAME,
    SEGMENT_SUFFIX,
    Frames,
    Kind,
)
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import new_id

#: How often the size of the whole journal is looked up, in seconds: a look is one readdir per writer.
SIZE_CHECK_INTERVAL_S = 1.0
#: Endings that could not be written and are kept in memory until they can; about 200 bytes each.
MAX_OWED = 10_000
#: So many of them are written with each append: all at once would hold up the calls that are under way.
OWED_PER_APPEND = 100


class Journal(Protocol):
    """What the proxy needs of a journal."""

    def open(self, frames: Frames) -> None:
        """Append the first frames of an exchange; raises JournalUnwritable also when the size cap is reached."""

    def append(self, frames: Frames) -> None:
        """Append further frames of an exchange that was opened."""

    def append_later(self, frames: Frames) -> None:
        """Append ``frames`` as soon as writing works again."""

    def probe(self) -> None:
        """Raise JournalUnwritable if a call could not be recorded now."""


#: Told why no call can be recorded, and None when that is over.
OnTrouble: TypeAlias = Callable[[str | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """How much is written where, and how surely; see the section ``journal`` of the configuration."""

    #: A segment that has reached this size is finished.
    segment_bytes: int = 64 * 2**20
    #: Nothing is opened while all writers' segments together are larger than this.
    max_bytes: int = 4 * 2**30
    fsync: Literal["never", "interval", "always"] = "interval"
    fsync_interval_s: float = 1.0


class JournalWriter:
    """The one writer of a process. Its directory is locked for as long as the process lives."""

    def __init__(
        self,
        root: Path,
        *,
        limits: JournalLimits,
        ledger: Ledger,
        on_trouble: OnTrouble | None = None,
        calm_s: float = 10.0,
    ) -> None:
        """Make a directory of its own under ``root``; if that cannot be done now, the first append tries again.

        ``on_trouble`` is told once why nothing can be opened, and with None that it can be again, for ``calm_s`` now.
        """
        self._root = root
        self._limits = limits
        self._ledger = ledger
        self._on_trouble = on_trouble
        self._calm_s = calm_s
        #: When the last call could not be opened; None while there is no trouble.
        self._failed_at: float | None = None
        self._directory: Path | None = None
        self._lock = -1
        self._number = 0
        self._segment = -1
        self._size = 0
        self._total_checked_at = -SIZE_CHECK_INTERVAL_S
        self._total_bytes = 0
        self._owed: deque[Frames] = deque(maxlen=MAX_OWED)
        #: Finished segments that the thread has to sync and close.
        self._finished: deque[int] = deque()
        self._unsynced = threading.Event()
        #: Whether the thread was told that there is something to sync, and has not taken it up.
        self._sync_is_due = False
        self._closed = threading.Event()
        with contextlib.suppress(OSError):  # whoever asks ``probe`` is told
            self._start_segment()
        if limits.fsync == "interval":
            threading.Thread(target=self._sync_repeatedly, name="journal-fsync", daemon=True).start()

    def open(self, frames: Frames) -> None:
        """Append the first frames of an exchange; raises JournalUnwritable also when the size cap is reached."""
        try:
            self._check_cap()
            self._ledger.intend("accepted", 1, frames.exchange_id)
            self._write(frames)
        except JournalUnwritable as exc:
            self._ledger.desist()
            self._note_trouble(exc)
            raise
        self._ledger.add("accepted")
        if self._failed_at is not None:
            self._note_calm(self._failed_at)
        if self._owed:
            self._pay()

    def _note_trouble(self, exc: JournalUnwritable) -> None:
        first, self._failed_at = self._failed_at is None, time.monotonic()
        if first and self._on_trouble is not None:
            self._on_trouble(str(exc))

    def _note_calm(self, failed_at: float) -> None:
        if time.monotonic() - failed_at >= self._calm_s:
            self._failed_at = None
            if self._on_trouble is not None:
                self._on_trouble(None)

    def append(self, frames: Frames) -> None:
        """Append ``frames`` in one write and clear them."""
        self._write(frames)
        if self._owed:
            self._pay()

    def append_later(self, frames: Frames) -> None:
        """Append ``frames`` as soon as writing works again; the oldest are forgotten when there are too many."""
        self._owed.append(frames)

    def probe(self) -> None:
        """Raise JournalUnwritable if a call could not be recorded now."""
        self._check_cap()
        frames = Frames(bytes(ID_BYTES))
        frames.add(Kind.PROBE, 0, b"")
        self.append(frames)

    def close(self) -> None:
        """Write what is owed, write through to the disk, and let go of the directory."""
        while self._pay():
            pass
        self._closed.set()
        self._unsynced.set()
        if self._segment >= 0:
            self._finished.append(self._segment)
            self._segment = -1
        self._sync_finished()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _write(self, frames: Frames) -> None:
        size = frames.size
        try:
            if self._segment < 0 or self._size >= self._limits.segment_bytes:
                self._make_room()
            try:
                _write_all(self._segment, frames.parts, size)
                if self._limits.fsync == "always":
                    os.fdatasync(self._segment)
            except OSError:
                self._give_segment_up()
                raise
        except OSError as exc:
            raise JournalUnwritable(f"{self._directory or self._root}: {exc.strerror}") from exc
        self._size += size
        self._total_bytes += size
        self._ledger.add("journal_bytes", size)
        if not self._sync_is_due:  # which costs a lock to say
            self._sync_is_due = True
            self._unsynced.set()
        frames.clear()

    def _make_room(self) -> None:
        if self._closed.is_set():  # then there is no segment any more
            raise JournalUnwritable(f"{self._root}: the journal was closed")
        if self._segment < 0:
            self._start_segment()
        elif self._size >= self._limits.segment_bytes:
            with contextlib.suppress(OSError):  # better a segment that is too large than a call that is lost
                self._start_segment()

    def _pay(self) -> bool:
        """Write some of what is owed; true if there is more that can be written."""
        if not self._owed:
            return False
        with contextlib.suppress(JournalUnwritable):
            for _ in range(min(len(self._owed), OWED_PER_APPEND)):
                self._write(self._owed[0])
                self._owed.popleft()
            return bool(self._owed)
        return False

    def _check_cap(self) -> None:
        now = time.monotonic()
        if now - self._total_checked_at >= SIZE_CHECK_INTERVAL_S:
            self._total_checked_at = now
            self._total_bytes = journal_bytes(self._root)
        if self._total_bytes >= self._limits.max_bytes:
            raise JournalFull(f"{self._root}: the journal has reached its cap of {self._limits.max_bytes} bytes")

    def _start_segment(self) -> None:
        if self._directory is None:
            self._directory, self._lock = _claim_directory(self._root)
        path = self._directory / f"{self._number + 1:08d}{SEGMENT_SUFFIX}"
        fresh = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        finished, self._segment, self._size = self._segment, fresh, 0
        self._number += 1
        if finished >= 0:
            self._finish(finished)

    def _finish(self, segment: int) -> None:
        if self._limits.fsync == "interval":
            self._finished.append(segment)  # syncing it may take long, and calls are waiting
            self._unsynced.set()
        else:
            os.close(segment)

    def _give_segment_up(self) -> None:
        """Take a half-written frame away and turn to a fresh segment, leaving no empty one behind."""
        segment, self._segment = self._segment, -1
        with contextlib.suppress(OSError):  # else the reader passes over the damage
            os.ftruncate(segment, self._size)
        if self._size == 0 and self._directory is not None:
            with contextlib.suppress(OSError):
                (self._directory / f"{self._number:08d}{SEGMENT_SUFFIX}").unlink()
        self._finish(segment)

    def _sync_repeatedly(self) -> None:
        while not self._closed.wait(self._limits.fsync_interval_s):
            self._unsynced.wait()
            self._unsynced.clear()
            self._sync_is_due = False  # before the sync: what is written from now on is for the next one
            self._sync_finished()
            segment = self._segment
            if segment >= 0:  # not closed, and not given up after a failed write
                # It may be swapped or closed under us: it is then synced by close() or next time.
                with contextlib.suppress(OSError):
                    os.fdatasync(segment)

    def _sync_finished(self) -> None:
        with contextlib.suppress(IndexError):  # the thread and close() may both be at it
            while True:
                segment = self._finished.popleft()
                with contextlib.suppress(OSError):
                    os.fdatasync(segment)
                os.close(segment)


def journal_bytes(root: Path) -> int:
    """The size of all segments of all writers under ``root``."""
    total = 0
    for segment in root.glob(f"*/*{SEGMENT_SUFFIX}"):
        with contextlib.suppress(OSError):  # the reader deletes what is stored
            total += segment.stat().st_size
    return total


def _claim_directory(root: Path) -> tuple[Path, int]:
    """A fresh directory under ``root`` and the open lock in it; a reader sees it only once it is locked."""
    name = new_id()
    hidden, directory = root / f".{name}", root / name
    hidden.mkdir(mode=0o700, parents=True)
    lock = -1
    try:
        lock = os.open(hidden / LOCK_NAME, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        hidden.rename(directory)
    except OSError:
        if lock >= 0:
            os.close(lock)
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return directory, lock


def _write_all(file: int, parts: list[bytes], size: int) -> None:
    if size <= _JOINED_BYTES or len(parts) > _IOV_MAX:
        written = os.write(file, b"".join(parts))
    else:
        written = os.writev(file, parts)
    if written < size:
        rest = memoryview(b"".join(parts))[written:]
        while rest:
            rest = rest[os.write(file, rest) :]


_IOV_MAX = os.sysconf("SC_IOV_MAX")
#: To copy so little is cheaper than to show the kernel one part after the other.
_JOINED_BYTES = 16 * 1024
