"""The account: counters that survive ``kill -9``, one file per process, read by all.

A process owns a small file that it maps into memory; adding is one store into that mapping, so that the number is with
the kernel at once. Anybody may read the files of all processes and add them up: that is what ``/metrics`` shows, no
matter which process is asked. A file names its counters itself, so that versions can differ.

Invariant (promise 7): accepted = stored + waiting + dead - revived, and every call that is not recorded is in
``dropped``. Where the calls go through Redis, each host with proxies has accepted = shipped + waiting, and all hosts
together have shipped = stored + stream_waiting + dead - revived.
"""

import contextlib
import json
import mmap
import os
from collections import Counter
from pathlib import Path

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
}
GAUGES = {
    "waiting": "Calls in the journal that are not stored: running ones and those not read yet",
    "in_flight": "Calls in the journal that have not ended",
    "journal_waiting_bytes": "Bytes of journal on disk",
    "oldest_waiting_seconds": "Age of the oldest call that has ended and is still in the journal",
    "stream_waiting": "Calls in Redis that are not stored: the same number on every host, not to be added up",
    "stream_oldest_seconds": "Age of the oldest call in Redis that is not stored",
    "stream_dead": "Dead letters in Redis",
}
_NAMES = (*COUNTERS, *GAUGES)
#: The names stand in the first part of the file as JSON, the numbers behind it.
_NAMES_BYTES = 4096
_CELL_BYTES = 8


class Ledger:
    """The counters of this process. Not for several writers at once; any number may read the file."""

    def __init__(self, path: Path | None = None) -> None:
        """Map ``path``, going on from the numbers that it holds; without one, count in memory only."""
        self._index = {name: position for position, name in enumerate(_NAMES)}
        size = _NAMES_BYTES + _CELL_BYTES * len(_NAMES)
        if path is None:
            self._map = mmap.mmap(-1, size)
        else:
            earlier = _read(path)
            _create(path, earlier, size)
            with path.open("r+b") as file:
                self._map = mmap.mmap(file.fileno(), size)
        self._cells = memoryview(self._map)[_NAMES_BYTES:].cast("Q")

    def add(self, name: str, amount: int = 1) -> None:
        """Count ``amount`` more of ``name``, a key of COUNTERS."""
        self._cells[self._index[name]] += amount

    def put(self, name: str, value: int) -> None:
        """Set the gauge ``name``, a key of GAUGES."""
        self._cells[self._index[name]] = value

    def get(self, name: str) -> int:
        """The number as it stands."""
        return self._cells[self._index[name]]

    def numbers(self) -> Counter[str]:
        """All of them."""
        return Counter({name: self.get(name) for name in self._index})


def read_all(directory: Path) -> Counter[str]:
    """The sum of each number over all the files in ``directory``."""
    total: Counter[str] = Counter()
    for numbers in read_each(directory).values():
        total.update(numbers)
    return total


def read_each(directory: Path) -> dict[str, Counter[str]]:
    """The numbers of each process, by its name."""
    return {path.stem: _read(path) for path in sorted(directory.glob("*.ledger"))}


def forget_gauges(path: Path) -> None:
    """Set the gauges in the file of a process to 0, in place: they were true only while it ran."""
    names = list(_read(path))
    with contextlib.suppress(OSError), path.open("r+b") as file:
        for name in GAUGES:
            if name in names:
                file.seek(_NAMES_BYTES + _CELL_BYTES * names.index(name))
                file.write(bytes(_CELL_BYTES))


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
    return "\n".join(lines) + "\n"


_LABEL_NAMES = {"dropped": "reason", "refused": "reason", "ended": "ending", "restarts": "role", "deleted": "what"}


def _create(path: Path, numbers: Counter[str], size: int) -> None:
    """Write a fresh file with ``numbers`` and put it in the place of the old one in one step."""
    fresh = path.with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(json.dumps(_NAMES).encode().ljust(_NAMES_BYTES))
        for name in _NAMES:
            file.write(numbers[name].to_bytes(_CELL_BYTES, "little"))
        file.truncate(size)
    fresh.replace(path)


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
