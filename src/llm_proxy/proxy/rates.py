"""How many calls each key has begun within a minute, and how many of them run, over all proxy processes of a host.

::

    DIRECTORY/NAME.rates     one file per process, mapped into memory: a table of cells, found by the key's id
    cell = id 16 | minute 4 | calls of that minute 4 | calls of the minute before 4 | running 4   (little-endian)

Invariants
- A process writes its own file only, and reads those of the others: no locks, no system calls.
- A process that starts goes on from the last two minutes of its table, with nothing running: what ran when it was
  killed does not run for ever. Where a process ends and none takes its place, ``forget_running`` does that.
- The calls of the last 60 seconds are taken to be those of this minute and the share of the minute before that is
  still within them. Two processes that count at the same moment may let one call too many through.
- A table that is full counts no further keys: their limits cannot be checked.
"""

import contextlib
import mmap
import os
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: Keys with limits that a process counts; beyond that they cannot be checked.
CELLS = 4096
ID_BYTES = 16
_CELL = struct.Struct("<16sIIII")
_MINUTE_S = 60
_FREE = bytes(ID_BYTES)


@dataclass(frozen=True, slots=True)
class Rate:
    """What the processes of this host have counted for one key."""

    #: Begun within the last minute.
    calls: float
    running: int
    #: Until one of those calls is older than a minute, in seconds.
    eases_in_s: float


class Rates:
    """Counts for this process, whose file is ``mine``, and adds the others up."""

    def __init__(self, directory: Path, mine: str, others: Sequence[str] = ()) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._mine = _Table(_mapped(_path(directory, mine)))
        self._mine.forget_running(time.time())
        beside = (_Table(_mapped(_path(directory, name))) for name in others if name != mine)
        self._tables: Sequence[_Table] = (self._mine, *beside)

    def look(self, key: bytes, now: float | None = None) -> Rate:
        """The rate of the key of these 16 bytes; ``now`` is in seconds since 1970."""
        now = time.time() if now is None else now
        minute, passed_s = int(now // _MINUTE_S), now % _MINUTE_S
        here = before = running = 0
        for table in self._tables:
            counted = table.read(key, minute)
            here, before, running = here + counted[0], before + counted[1], running + counted[2]
        share = before * (1 - passed_s / _MINUTE_S)
        # Of the minute before, one leaves every so often; of this minute, none before it is over.
        eases_in_s = _MINUTE_S / before if before else _MINUTE_S - passed_s
        return Rate(here + share, running, min(eases_in_s, _MINUTE_S - passed_s) or 1.0)

    def begin(self, key: bytes, now: float | None = None) -> bool:
        """Count a call that begins; False if it cannot be counted."""
        now = time.time() if now is None else now
        return self._mine.add(key, int(now // _MINUTE_S))

    def end(self, key: bytes) -> None:
        """Count that a call has ended which ``begin`` counted."""
        self._mine.end(key)


class RatesSeen(Rates):
    """What processes have counted, for one that only looks: calls that it lets begin are counted nowhere."""

    def __init__(self, directory: Path, names: Sequence[str]) -> None:
        found = [path for name in names if (path := _path(directory, name)).is_file()]
        self._tables = [_Table(path.read_bytes().ljust(CELLS * _CELL.size, b"\0")) for path in found]

    def begin(self, key: bytes, now: float | None = None) -> bool:
        """There is always room."""
        return True

    def end(self, key: bytes) -> None:
        """Nothing was counted."""


def forget_running(directory: Path, name: str) -> None:
    """Let nothing run any more of the process ``name``, which has ended."""
    path = _path(directory, name)
    if path.exists():
        with contextlib.suppress(OSError):  # a full disk
            _Table(_mapped(path)).forget_running(time.time())


def _path(directory: Path, name: str) -> Path:
    return directory / f"{name}.rates"


def _mapped(path: Path) -> mmap.mmap:
    size = CELLS * _CELL.size
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with contextlib.closing(os.fdopen(file, "r+b")) as table:
        # In the file that the others have mapped; written, so that there is room for every page of it.
        if os.fstat(file).st_size < size:
            table.write(bytes(size))
            table.flush()
        return mmap.mmap(file, size)


class _Table:
    """Cells in open addressing: one is looked for from where its id says, up to the first free one."""

    def __init__(self, cells: Any) -> None:
        """``cells`` is a mapping of a file, or the bytes of one if they are only looked at."""
        self._cells = cells

    def forget_running(self, now: float) -> None:
        """Keep what was counted of this minute and the one before, and nothing as running."""
        minute = int(now // _MINUTE_S)
        cells = [cell for cell in _CELL.iter_unpack(self._cells) if cell[0] != _FREE and cell[1] >= minute - 1]
        self._cells[:] = bytes(len(self._cells))
        for key, of, calls, before, _ in cells:
            place = self._place(key)
            if place is not None:
                _CELL.pack_into(self._cells, place, key, of, calls, before, 0)

    def read(self, key: bytes, minute: int) -> tuple[int, int, int]:
        """Calls of this minute and of the one before, and how many run."""
        place = self._place(key)
        if place is None:
            return 0, 0, 0
        found, of, calls, before, running = _CELL.unpack_from(self._cells, place)
        return (0, 0, 0) if found == _FREE else (*_turned(of, calls, before, minute), running)

    def add(self, key: bytes, minute: int) -> bool:
        """Count a call that begins."""
        place = self._place(key)
        if place is None:
            return False
        _, of, calls, before, running = _CELL.unpack_from(self._cells, place)
        calls, before = _turned(of, calls, before, minute)
        _CELL.pack_into(self._cells, place, key, minute, calls + 1, before, running + 1)
        return True

    def end(self, key: bytes) -> None:
        """Count a call that has ended."""
        place = self._place(key)
        if place is not None:
            found, minute, calls, before, running = _CELL.unpack_from(self._cells, place)
            if found == key and running:
                _CELL.pack_into(self._cells, place, key, minute, calls, before, running - 1)

    def _place(self, key: bytes) -> int | None:
        """Where the cell of a key is, or could be; None if the table is full of others."""
        first = int.from_bytes(key[-4:], "little")
        for step in range(CELLS):
            place = (first + step) % CELLS * _CELL.size
            found = self._cells[place : place + ID_BYTES]
            if found in (key, _FREE):
                return place
        return None


def _turned(of: int, calls: int, before: int, minute: int) -> tuple[int, int]:
    """What was counted until minute ``of``, seen from ``minute``: calls of it, and of the one before."""
    if of == minute:
        return calls, before
    return 0, calls if of == minute - 1 else 0
