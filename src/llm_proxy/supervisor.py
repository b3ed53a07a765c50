"""Start, watch, restart, replace and drain the child processes of ``llm-proxy serve`` and its like.

Invariants
- The listening socket is ours: while a proxy process is being restarted, clients wait instead of being refused.
- A child that dies is started again, with growing pauses; a crash loop is said loudly. A proxy that never came up at
  all ends the program; a store that does not come up ends nothing, since calls are relayed and journaled without it.
- On SIGHUP the configuration is read anew, by a process of its own. Children that it concerns are replaced: the new
  ones come up beside the old ones, which are told to go only when all of these are ready. If they do not come up, or
  the configuration is wrong, nothing has changed. One that goes is not started again.
- Stopping goes from the client inwards: proxies first (they drain), then the store (it takes in what they wrote).
- What can wait is started some seconds after the others, which come up without it, and gives way to them.
- A child whose supervisor dies sees its lifeline end, and drains by itself (child.py).

No event loop and no threads: this process does nothing but wait.
"""

import contextlib
import itertools
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from llm_proxy.assignment import Assignment
from llm_proxy.child_process import ChildProcess
from llm_proxy.log import get_logger
from llm_proxy.metrics import Ledger

#: How long a child may take to end beyond the time that its running calls have, in seconds.
_STOP_GRACE_S = 15.0
#: How long after the others children are started of which the work can wait, in seconds: that start takes a second of
#: the processor, and what begins together with the others is often over by then.
_LATER_S = 5.0
#: How long children of a new configuration may take to come up, in seconds.
_COME_UP_S = 60.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new configuration changes here."""

    #: All children of the roles that it concerns.
    assignments: Sequence[Assignment]
    drain_s: float
    #: How long the children that are replaced may take for what is under way, before they drain.
    reload_drain_s: float


class Reloading(Protocol):
    """Reads the configuration anew."""

    def begin(self) -> "subprocess.Popen[bytes]":
        """Start a process that reads it and says on its standard output what ``plan`` is to know."""

    def plan(self, said: bytes) -> Plan | None:
        """What is to be done; None if the old configuration stays."""

    def settle(self, *, came_up: bool) -> None:
        """The plan was carried out, or could not be."""

    def ended(self, assignment: Assignment) -> None:
        """A child has ended that was replaced."""


class Supervisor:
    """Runs children until told to stop by SIGTERM or SIGINT."""

    def __init__(
        self,
        assignments: Sequence[Assignment],
        listener: socket.socket,
        *,
        ledger: Ledger,
        drain_s: float,
        reloading: Reloading | None = None,
    ) -> None:
        self._listener = listener
        self._ledger = ledger
        self._drain_s = drain_s
        self._reloading = reloading
        self._children = [ChildProcess(assignment) for assignment in assignments]
        #: Those of a new configuration, until all of them are ready.
        self._coming: list[ChildProcess] = []
        #: Those that were replaced.
        self._leaving: list[ChildProcess] = []
        self._plan: Plan | None = None
        self._come_up_by = float("inf")
        #: What reads the configuration anew, and what it has said.
        self._reading: subprocess.Popen[bytes] | None = None
        self._said = b""
        self._selector = selectors.DefaultSelector()
        self._stop_requests = 0
        self._stop_requests_heeded = 0
        self._reload_requested = False
        self._terminals = [number for number in range(3) if os.isatty(number)]

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run until stopped; ``on_ready`` is called once, when calls can be made. Returns the exit status."""
        with self._signals_as_events():
            for child in self._children:
                if child.can_wait:
                    child.restart_at = float("inf")
                else:
                    child.start(self._selector)
            status = self._watch(on_ready)
            self._stop_all()
        return status

    def _watch(self, on_ready: Callable[[], None]) -> int:
        announced = False
        while not self._stop_requests:
            for child in (*self._children, *self._coming):
                if child.has_ended:
                    self._bury(child)
            hopeless = [child for child in self._children if child.takes_calls and child.hopeless]
            if hopeless:
                _log.error("a process does not come up; giving up", process=hopeless[0].name)
                return 1
            if not announced and all(child.ready or child.hopeless for child in self._children if not child.can_wait):
                announced = True
                on_ready()
                self._start_later(self._children)
            self._see_to_new_ones()
            self._see_off_old_ones()
            if announced and self._reload_requested and self._reading is None and not self._coming:
                self._read_anew()
            for child in (*self._children, *self._coming):
                if child.process is None and time.monotonic() >= child.restart_at:
                    child.start(self._selector)
            self._wait_for_news(self._seconds_to_next_act())
        return 0

    def _start_later(self, children: Sequence[ChildProcess]) -> None:
        for child in children:
            if child.can_wait:
                child.restart_at = time.monotonic() + _LATER_S

    def _bury(self, child: ChildProcess) -> None:
        """Note the death of a child and when it is to be started again."""
        _log.error("a process died; starting it again", process=child.name, exit_status=child.exit_status)
        self._ledger.add(f"restarts.{child.role}")
        child.forget(self._selector)
        loop_s = child.plan_restart()
        if loop_s is not None:
            _log.error(
                "crash loop: calls are served as far as the other processes can",
                process=child.name,
                deaths=len(child.deaths),
                seconds=round(loop_s, 1),
            )

    def _read_anew(self) -> None:
        assert self._reloading is not None
        self._reload_requested = False
        self._reading, self._said = self._reloading.begin(), b""
        assert self._reading.stdout is not None
        self._selector.register(self._reading.stdout, selectors.EVENT_READ, self._reading)

    def _read_on(self, reading: "subprocess.Popen[bytes]") -> None:
        assert reading.stdout is not None
        piece = os.read(reading.stdout.fileno(), 65536)
        self._said += piece
        if not piece:
            self._end_reading()
            if self._reloading is not None and (plan := self._reloading.plan(self._said)) is not None:
                self._carry_out(plan)

    def _end_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None and reading.stdout is not None:
            self._selector.unregister(reading.stdout)
            reading.stdout.close()
            reading.kill()
            reading.wait()

    def _carry_out(self, plan: Plan) -> None:
        """Start the children that the plan has, beside those that run."""
        self._plan = plan
        self._come_up_by = time.monotonic() + _COME_UP_S
        running = [*self._children, *self._leaving]
        taken = {child.name for child in running}
        numbered = []
        for assignment in plan.assignments:
            named = (msgspec.structs.replace(assignment, number=n, replaces=True) for n in itertools.count())
            numbered.append(next(one for one in named if one.name not in taken))
            taken.add(numbered[-1].name)
        proxies = [child.name for child in running if child.role == "proxy"]
        proxies += [assignment.name for assignment in numbered if assignment.role == "proxy"]
        for assignment in numbered:
            beside = tuple(proxies) if assignment.proxies else ()
            child = ChildProcess(msgspec.structs.replace(assignment, proxies=beside))
            self._coming.append(child)
            if not child.can_wait:
                child.start(self._selector)
        self._start_later(self._coming)

    def _see_to_new_ones(self) -> None:
        """Have the new ones take the place of the old ones when all are ready, or give them up."""
        if self._plan is None or self._reloading is None:
            return
        plan, coming, now = self._plan, self._coming, time.monotonic()
        needed = [child for child in coming if not child.can_wait]
        came_up = all(child.ready for child in needed)
        if not came_up and now < self._come_up_by and not any(child.hopeless for child in needed):
            return
        self._plan, self._coming = None, []
        if came_up:
            roles = {child.role for child in coming}
            going = [child for child in self._children if child.role in roles]
            self._children = [child for child in self._children if child.role not in roles] + coming
            self._drain_s = plan.drain_s
            kill_at = now + plan.reload_drain_s + plan.drain_s + _STOP_GRACE_S
        else:
            going, kill_at = coming, now
        for child in going:
            child.retire(kill_at)
        self._leaving += going
        self._reloading.settle(came_up=came_up)

    def _see_off_old_ones(self) -> None:
        """Take note of the end of those that were replaced."""
        for child in list(self._leaving):
            if child.process is not None and time.monotonic() >= child.kill_at:
                child.signal(signal.SIGKILL)
                child.kill_at = float("inf")
            if child.process is None or child.has_ended:
                _log.info("a process that was replaced has ended", process=child.name, exit_status=child.exit_status)
                child.forget(self._selector)
                self._leaving.remove(child)
                if self._reloading is not None:
                    self._reloading.ended(child.assignment)

    def _wait_for_news(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, ChildProcess):
                key.data.hear(self._selector)
            elif isinstance(key.data, subprocess.Popen):
                self._read_on(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(64)  # type: ignore[union-attr]

    def _seconds_to_next_act(self) -> float | None:
        everybody = [*self._children, *self._coming, *self._leaving]
        at = [child.restart_at for child in everybody if child.process is None]
        at += [child.kill_at for child in self._leaving]
        at += [self._come_up_by] if self._coming else []
        # SIGCHLD wakes us; that is for the moment between a lifeline's end and its process's.
        at += [time.monotonic() + 0.05 for child in everybody if child.process is not None and child.lifeline is None]
        at = [one for one in at if one < float("inf")]
        return max(min(at) - time.monotonic(), 0) if at else None

    def _stop_all(self) -> None:
        """Proxies first; then the store takes in what they wrote."""
        # The next one makes an end of what is under way, whenever it comes.
        self._stop_requests_heeded = min(self._stop_requests, 1)
        self._listener.close()
        self._end_reading()
        everybody = [*self._children, *self._coming, *self._leaving]
        proxies = [child for child in everybody if child.takes_calls]
        self._stop(proxies)
        self._stop([child for child in everybody if child not in proxies])

    def _stop(self, children: Sequence[ChildProcess]) -> None:
        """Wait for the end of these, as long as nobody asks once more."""
        running = [child for child in children if child.process is not None]
        for child in running:
            child.signal(signal.SIGTERM)
        deadline = time.monotonic() + self._drain_s + _STOP_GRACE_S
        while any(child.process is not None and not child.has_ended for child in running):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                late = [child.name for child in running if child.process is not None and not child.has_ended]
                _log.error("processes do not end; killing them: the journal has what was under way", processes=late)
            if left_s <= 0 or self._stop_requests > self._stop_requests_heeded:  # a second Ctrl-C: the same holds
                for child in running:
                    child.signal(signal.SIGKILL)
                self._stop_requests_heeded = self._stop_requests
                deadline = time.monotonic() + _STOP_GRACE_S
                continue
            self._wait_for_news(min(left_s, 0.05))

    @contextlib.contextmanager
    def _signals_as_events(self) -> Iterator[None]:
        """Signals interrupt the waiting by way of a socket (signal.set_wakeup_fd), not by exceptions anywhere."""
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        for number in _STOP_SIGNALS:
            signal.signal(number, self._request_stop)
        if self._reloading is not None:
            signal.signal(signal.SIGHUP, self._request_reload)
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            wake_read.close()
            wake_write.close()

    def _request_stop(self, number: int, frame: object) -> None:
        self._stop_requests += 1

    def _request_reload(self, number: int, frame: object) -> None:
        # The same signal says that the terminal of a program was closed: one that is in a window ends with it.
        if self._terminals and not any(os.isatty(number) for number in self._terminals):
            self._stop_requests += 1
        self._reload_requested = True
