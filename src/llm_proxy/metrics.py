"""The account: counters that survive ``kill -9``, one file per process, read by all.

A process owns a small file that it maps into memory; adding is one store into that mapping, so that the number is with
the kernel at once. Anybody may read the files of all processes and add them up: that is what ``/metrics`` shows, no
matter which process is asked. A file names its counters itself, so that versions can differ.

Invariants
- Promise 7: accepted = stored + waiting + dead - revived, and every call that is not recorded is in ``dropped``. Where
  the calls go through Redis, each host with proxies has accepted = shipped + waiting, and all hosts together have
  shipped = stored + stream_waiting + dead - revived.
- ``waiting`` is what the other numbers leave, so that it is true also while nobody reads the journal. Whether as many
  calls really are in the journal is for ``llm-proxy status`` to say, which counts them there.
- A process that is killed between an act and its count leaves its intention (``intend``) with the name of a witness;
  whoever finds the witness counts in its place (``settle``). Until then no later process goes on with its file.
- Nobody goes on with the file of a process that lives: an orphan may still count while its successor does.
"""

import contextlib
import fcntl
import json
import mmap
import os
import struct
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

#: Name of each counter or gauge, and what it counts. A label is written behind a dot: ``dropped.journal_full``.
COUNTERS = {
    "accepted": "Calls that were opened in the journal",
    "dropped.journal_full": "Calls that were relayed but not recorded: the journal was at its size cap",
    "dropped.journal_unwritable": "Calls that were relayed but not recorded: the journal could not be written",
    "dropped.log_off": "Calls that were relayed but not recorded: the caller said so",
    "truncated": "Calls of which only a part of the bodies was recorded",
    "refused.malformed": "Requests that were no valid HTTP and were answered with 4xx",
    "ended.complete": "Calls by ending",
    "ended.upstream_error": "Calls by ending",
    "ended.upstream_unreachable": "Calls by ending",
    "ended.upstream_timeout": "Calls by ending",
    "ended.upstream_broke_off": "Calls by ending",
    "ended.client_disconnected": "Calls by ending",
    "ended.refused": "Calls by ending",
    "ended.aborted": "Calls by ending",
    "retries": "Attempts that were made after one had failed, at the same upstream or another one",
    "breaker_openings": "Times that an upstream failed so often that it was left alone",
    "journal_bytes": "Bytes written to the journal",
    "shipped": "Calls that Redis has taken over from the journal",
    "stored": "Calls of which the record has its end and is in the store",
    "dead": "Calls that the store will never take",
    "revived": "Dead letters that were taken up again by hand",
    "deleted.records": "Records and bodies of records that were deleted since they were old or too many: records",
    "deleted.bodies": "Records and bodies of records that were deleted since they were old or too many: bodies",
    "journal_damaged_bytes": "Bytes of the journal that could not be read",
    "restarts.proxy": "Child processes that had to be started again",
    "restarts.store": "Child processes that had to be started again",
    "restarts.shipper": "Child processes that had to be started again",
    "restarts.worker": "Child processes that had to be started again",
    "restarts.housekeeper": "Child processes that had to be started again",
}
GAUGES = {
    "waiting": "Calls in the journal that are not stored: running ones and those not read yet",
    "breakers_open": "Upstreams that are left alone since they fail, by each proxy process for itself",
    "in_flight": "Calls in the journal that have not ended",
    "journal_waiting_bytes": "Bytes of journal on disk",
    "oldest_waiting_seconds": "Age of the oldest call that has ended and is still in the journal",
    "stream_waiting": "Calls in Redis that are not stored: the same number on every host, not to be added up",
    "stream_oldest_seconds": "Age of the oldest call in Redis that is not stored",
    "stream_dead": "Dead letters in Redis",
    "config_reloaded_timestamp_seconds": "When the configuration in force was read, in seconds since 1970",
    "config_reload_failed": "1 if the configuration was to be read anew since then, and could not be taken",
    "unindexed": "Records that are not in the index for search yet, and are read one by one",
}
#: Of these the largest number counts, not the sum.
_LATEST = ("config_reloaded_timestamp_seconds", "config_reload_failed")
#: A gauge of each upstream, whose name stands behind the dot; only in the files of proxies that have breakers.
LEFT_ALONE = "upstream_left_alone."
_LEFT_ALONE_TEXT = "Proxy processes that leave the upstream alone at the moment"
#: Our own part of the time of calls, counted as they are stored: bounds of the buckets, in microseconds.
OVERHEAD_BOUNDS_US = (100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)
#: How many are in each of the buckets, in the last one those beyond; and the sum of all, in microseconds.
OVERHEAD = (*(f"overhead.{bound_us}" for bound_us in OVERHEAD_BOUNDS_US), "overhead.more", "overhead.sum_us")
_OVERHEAD_TEXT = "What the proxy needed for itself of the time of calls that are stored, in seconds"
#: What is about to be counted: the position of the name, the number that it will have, and the 16 bytes of the witness.
_INTENTION = ("_position", "_number", "_witness_high", "_witness_low")
_NAMES = (*COUNTERS, *GAUGES, *OVERHEAD, *_INTENTION)
#: The names stand in the first part of the file as JSON, the numbers behind it.
_NAMES_BYTES = 4096
_CELL_BYTES = 8
_WITNESS = struct.Struct(">QQ")
#: Whose calls come from Redis: what they stored is not of the journal of their host.
OF_REDIS = "worker-"


class Ledger:
    """The counters of this process. Not for several writers at once; any number may read the file.

    The file is locked for as long as the process lives.
    """

    def __init__(self, path: Path | None = None, *, upstreams: Sequence[str] = ()) -> None:
        """Map ``path``, going on from the numbers that it holds; without one, count in memory only.

        ``upstreams`` are those with a gauge of their own, as far as there is room for their names.
        """
        names = _with_upstreams(upstreams)
        self._index = {name: position for position, name in enumerate(names)}
        size = _NAMES_BYTES + _CELL_BYTES * len(names)
        if path is None:
            self._map = mmap.mmap(-1, size)
        else:
            if _is_held(path):
                path = path.with_stem(f"{path.stem}-{uuid4().hex}")
            with _create(path, names, _read(path)) as file:
                self._map = mmap.mmap(file.fileno(), size)  # which keeps the lock
        self._cells = memoryview(self._map)[_NAMES_BYTES:].cast("Q")
        self._position, self._number, self._high, self._low = (self._index[name] for name in _INTENTION)

    def intend(self, name: str, amount: int, witness: bytes) -> None:
        """Note that ``name`` grows by ``amount`` as soon as what has the 16 bytes ``witness`` as its name is done.

        One at a time: ``add`` fulfils it, or ``desist`` takes it back.
        """
        cells, position = self._cells, self._index[name]
        cells[self._position] = position
        cells[self._high], cells[self._low] = _WITNESS.unpack(witness)
        cells[self._number] = cells[position] + amount  # last: from now on it counts

    def desist(self) -> None:
        """What was intended did not happen."""
        self._cells[self._number] = 0

    def add(self, name: str, amount: int = 1) -> None:
        """Count ``amount`` more of ``name``, a key of COUNTERS."""
        self._cells[self._index[name]] += amount

    def observe_overhead(self, overhead_s: float) -> None:
        """Count what the proxy needed for itself in one call."""
        overhead_us = round(overhead_s * 1e6)
        self.add(OVERHEAD[bisect_left(OVERHEAD_BOUNDS_US, overhead_us)])
        self.add(OVERHEAD[-1], overhead_us)

    def put(self, name: str, value: int) -> None:
        """Set the gauge ``name``, a key of GAUGES."""
        self._cells[self._index[name]] = value

    def put_left_alone(self, upstream: str, value: int) -> None:
        """Set the gauge of ``upstream``, if it has one."""
        position = self._index.get(LEFT_ALONE + upstream)
        if position is not None:
            self._cells[position] = value

    def get(self, name: str) -> int:
        """The number as it stands."""
        return self._cells[self._index[name]]

    def numbers(self) -> Counter[str]:
        """All of them."""
        return Counter({name: self.get(name) for name in self._index if name not in _INTENTION})


def read_all(directory: Path) -> Counter[str]:
    """The sum of each number over all the files in ``directory``; ``waiting`` is what the others leave."""
    total: Counter[str] = Counter()
    of_journal: Counter[str] = Counter()
    each = read_each(directory)
    for process, numbers in each.items():
        total.update(numbers)
        if not process.startswith(OF_REDIS):
            of_journal.update(numbers)
    # While calls run, some may have gone on between two files.
    total["waiting"] = max(missing(of_journal), 0)
    for name in _LATEST:
        total[name] = max((numbers[name] for numbers in each.values()), default=0)
    return total


def missing(numbers: Counter[str]) -> int:
    """How many of the accepted calls were neither shipped nor stored nor buried."""
    return numbers["accepted"] - numbers["shipped"] - numbers["stored"] - numbers["dead"] + numbers["revived"]


def left_alone(numbers: Counter[str]) -> dict[str, int]:
    """How many processes leave each upstream alone, by its name."""
    return {name.removeprefix(LEFT_ALONE): number for name, number in numbers.items() if name.startswith(LEFT_ALONE)}


def overhead_within_s(numbers: Counter[str], share: float) -> float | None:
    """Within how many seconds our own part was for this share of the calls, by the bounds of the buckets.

    None if none was counted, or it was beyond the last one.
    """
    wanted = share * sum(numbers[name] for name in OVERHEAD[:-1])
    if not wanted:
        return None
    counts = accumulate(numbers[name] for name in OVERHEAD[:-1])
    within = (bound_us / 1e6 for bound_us, count in zip(OVERHEAD_BOUNDS_US, counts, strict=False) if count >= wanted)
    return next(within, None)


def read_each(directory: Path) -> dict[str, Counter[str]]:
    """The numbers of each process, by its name."""
    return {
        path.stem: Counter({name: number for name, number in _read(path).items() if not name.startswith("_")})
        for path in sorted(directory.glob("*.ledger"))
    }


def read_living(directory: Path) -> dict[str, Counter[str]]:
    """The numbers of each process that runs now, by its name."""
    return {name: numbers for name, numbers in read_each(directory).items() if _is_locked(directory / f"{name}.ledger")}


def settle(directory: Path, happened: Callable[[str, bytes], bool]) -> bool:
    """Count in the place of processes that were killed before they could, of each if ``happened(name, witness)``.

    False if one of them cannot be settled now.
    """
    return all(_settle(path, happened) for path in directory.glob("*.ledger"))


def _settle(path: Path, happened: Callable[[str, bytes], bool]) -> bool:
    intention = _open_intention(_read(path))
    if intention is None or not happened(*intention):
        return True
    try:
        with path.open("r+b") as file:
            # Held by its process, if that lives, or by one that looks whether it may go on with it.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            numbers = _read(path)
            if _open_intention(numbers) == intention:
                _write_cell(file, list(numbers).index(intention[0]), numbers["_number"])
    except OSError:
        return False
    return True


def forget_gauges(path: Path) -> None:
    """Set the gauges in the file of a process to 0, in place: they were true only while it ran."""
    with contextlib.suppress(OSError), path.open("r+b") as file:
        for position, name in enumerate(_read(path)):
            if name in GAUGES or name.startswith(LEFT_ALONE):
                _write_cell(file, position, 0)


def exposition(numbers: Counter[str]) -> str:
    """``numbers`` in Prometheus' text format (version 0.0.4)."""
    lines: list[str] = []
    described = ""
    for name, text in (COUNTERS | GAUGES).items():
        base, _, label = name.partition(".")
        suffix, kind = ("_total", "counter") if name in COUNTERS else ("", "gauge")
        metric = f"llm_proxy_{base}{suffix}"
        if base != described:
            described = base
            lines += [f"# HELP {metric} {text.split(':')[0]}.", f"# TYPE {metric} {kind}"]
        labels = f'{{{_LABEL_NAMES[base]}="{label}"}}' if label else ""
        lines.append(f"{metric}{labels} {numbers[name]}")
    lines += _overhead_lines(numbers)
    metric = f"llm_proxy_{LEFT_ALONE[:-1]}"
    lines += [f"# HELP {metric} {_LEFT_ALONE_TEXT}.", f"# TYPE {metric} gauge"]
    upstreams = sorted(name for name in numbers if name.startswith(LEFT_ALONE))
    lines += [f'{metric}{{upstream="{name.removeprefix(LEFT_ALONE)}"}} {numbers[name]}' for name in upstreams]
    return "\n".join(lines) + "\n"


def _overhead_lines(numbers: Counter[str]) -> list[str]:
    metric = "llm_proxy_overhead_seconds"
    lines = [f"# HELP {metric} {_OVERHEAD_TEXT}.", f"# TYPE {metric} histogram"]
    counts = accumulate(numbers[name] for name in OVERHEAD[:-1])
    bounds = (*(f"{bound_us / 1e6:g}" for bound_us in OVERHEAD_BOUNDS_US), "+Inf")
    total = 0
    for bound, total in zip(bounds, counts, strict=True):
        lines.append(f'{metric}_bucket{{le="{bound}"}} {total}')
    return [*lines, f"{metric}_sum {numbers[OVERHEAD[-1]] / 1e6:g}", f"{metric}_count {total}"]


_LABEL_NAMES = {"dropped": "reason", "refused": "reason", "ended": "ending", "restarts": "role", "deleted": "what"}


def _with_upstreams(upstreams: Sequence[str]) -> tuple[str, ...]:
    names = _NAMES
    for upstream in upstreams:
        more = (*names, LEFT_ALONE + upstream)
        if len(json.dumps(more)) > _NAMES_BYTES:
            break
        names = more
    return names


def _is_held(path: Path) -> bool:
    """Whether the file is that of a process that lives, or has an intention that is not settled yet."""
    return _is_locked(path) or _open_intention(_read(path)) is not None


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _create(path: Path, names: Sequence[str], numbers: Counter[str]) -> BinaryIO:
    """Write a fresh file with ``numbers`` and put it, locked, in the place of the old one in one step."""
    fresh = path.with_suffix(".new")
    file = os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.write(json.dumps(names).encode().ljust(_NAMES_BYTES))
    for name in names:
        is_new = name in _INTENTION or name.startswith(LEFT_ALONE)
        file.write((0 if is_new else numbers[name]).to_bytes(_CELL_BYTES, "little"))
    file.flush()
    fresh.replace(path)
    return file


def _write_cell(file: BinaryIO, position: int, number: int) -> None:
    file.seek(_NAMES_BYTES + _CELL_BYTES * position)
    file.write(number.to_bytes(_CELL_BYTES, "little"))


def _open_intention(numbers: Counter[str]) -> tuple[str, bytes] | None:
    """What was to be counted and was not, and its witness."""
    names = list(numbers)
    if not all(name in numbers for name in _INTENTION) or numbers["_position"] >= len(names):
        return None
    name = names[numbers["_position"]]
    if numbers[name] >= numbers["_number"]:
        return None
    return name, _WITNESS.pack(numbers["_witness_high"], numbers["_witness_low"])


def _read(path: Path) -> Counter[str]:
    """The numbers of a file; none of one that is unreadable or no ledger."""
    try:
        content = path.read_bytes()
        names = json.loads(content[:_NAMES_BYTES])
    except (OSError, ValueError, RecursionError):
        return Counter()
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return Counter()
    cells = content[_NAMES_BYTES : _NAMES_BYTES + _CELL_BYTES * len(names)]
    whole = memoryview(cells[: len(cells) - len(cells) % _CELL_BYTES])
    return Counter(dict(zip(names, whole.cast("Q"), strict=False)))
