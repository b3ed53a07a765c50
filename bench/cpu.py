"""What processes use: CPU time and memory, and the cores that they run on.

CPU is user and system time of whole processes as the kernel counts it, to 10 ms, so windows last seconds. What the
kernel does elsewhere on their behalf, writing to the disk, is nobody's in these numbers.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence

import psutil


class Cores:
    """One core for what is measured, another one for the load and the upstream, if there are two."""

    def __init__(self) -> None:
        self._all = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        ordered = sorted(self._all)
        self.pinned = len(ordered) > 1
        self._measured, self._load = ({ordered[0]}, {ordered[-1]}) if self.pinned else (self._all, self._all)

    def use_for_load(self) -> None:
        """Run this process, and those that it starts from now on, on the core of the load."""
        self._use(self._load)

    @contextlib.contextmanager
    def for_what_is_measured(self) -> Iterator[None]:
        """Processes that are started within run on the core of what is measured."""
        self._use(self._measured)
        try:
            yield
        finally:
            self._use(self._load)

    def move_to_load(self, pid: int) -> None:
        """Run a process, with all its threads, on the core of the load."""
        self._move(pid, self._load)

    def move_to_what_is_measured(self, pid: int) -> None:
        """Run a process, with all its threads, on the core of what is measured."""
        self._move(pid, self._measured)

    def release(self, pid: int) -> None:
        """Let a process run on all cores again."""
        self._move(pid, self._all)

    def _use(self, cores: set[int]) -> None:
        if self.pinned:
            os.sched_setaffinity(0, cores)

    def _move(self, pid: int, cores: set[int]) -> None:
        for thread in psutil.Process(pid).threads() if self.pinned else ():
            with contextlib.suppress(ProcessLookupError):  # it has ended
                os.sched_setaffinity(thread.id, cores)


def family(pid: int) -> list[psutil.Process]:
    """The process and its descendants."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """CPU time that they have used since they were started, in seconds."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def rss_mb(processes: Sequence[psutil.Process]) -> float:
    """Resident memory; what they share counts for each of them."""
    return sum(process.memory_info().rss for process in processes) / 2**20
