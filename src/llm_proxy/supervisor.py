"""Start, watch, restart and drain the child processes of ``llm-proxy serve``.

Invariants
- The listening socket is ours: while a proxy process is being restarted, clients wait instead of being refused.
- A child that dies is started again, with growing pauses; a crash loop is said loudly. A proxy that never came up at
  all ends the program; a store that does not come up ends nothing, since calls are relayed and journaled without it.
- Stopping goes from the client inwards: proxies first (they drain), then the store (it takes in what they wrote).
- A child whose supervisor dies sees its lifeline end, and drains by itself (child.py).

No event loop and no threads: this process does nothing but wait.
"""

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from llm_proxy.assignment import Assignment
from llm_proxy.log import get_logger
from llm_proxy.metrics import Ledger

#: Pause before a restart: the first, and the longest, in seconds.
_RESTART_PAUSE_S = (0.1, 10.0)
#: So many deaths in so many seconds are a crash loop.
_CRASH_LOOP = (5, 60.0)
#: A child that died so often without ever having been ready is not waited for any longer.
_HOPELESS_STARTS = 3
#: How long a child may take to end beyond the time that its running calls have, in seconds.
_STOP_GRACE_S = 15.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

_log = get_logger(__name__)


@dataclass(slots=True)
class _Child:
    assignment: Assignment
    #: File descriptors that it inherits.
    inherited: tuple[int, ...]
    process: "subprocess.Popen[bytes] | None" = None
    lifeline: socket.socket | None = None
    ready: bool = False
    ever_ready: bool = False
    starts: int = 0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=_CRASH_LOOP[0]))
    restart_at: float = 0.0
    pause_s: float = _RESTART_PAUSE_S[0]

    @property
    def name(self) -> str:
        return f"{self.assignment.role}-{self.assignment.index}"

    @property
    def takes_calls(self) -> bool:
        return self.assignment.listen_fd is not None

    @property
    def hopeless(self) -> bool:
        return not self.ever_ready and self.process is None and self.starts >= _HOPELESS_STARTS


class Supervisor:
    """Runs children until told to stop by SIGTERM or SIGINT."""

    def __init__(
        self, assignments: Sequence[Assignment], listener: socket.socket, *, ledger: Ledger, drain_s: float
    ) -> None:
        self._listener = listener
        self._ledger = ledger
        self._drain_s = drain_s
        self._children = [
            _Child(assignment, () if assignment.listen_fd is None else (assignment.listen_fd,))
            for assignment in assignments
        ]
        self._selector = selectors.DefaultSelector()
        self._stop_requests = 0

    def run(self, on_ready: Callable[[], None]) -> int:
        """Run until stopped; ``on_ready`` is called once, when calls can be made. Returns the exit status."""
        with self._signals_as_events():
            for child in self._children:
                self._start(child)
            status = self._watch(on_ready)
            self._stop_all()
        return status

    def _watch(self, on_ready: Callable[[], None]) -> int:
        announced = False
        while not self._stop_requests:
            self._wait_for_news(self._seconds_to_next_restart())
            for child in self._children:
                if child.process is not None and child.process.poll() is not None:
                    self._bury(child)
                    if child.takes_calls and child.hopeless:
                        _log.error("a process does not come up; giving up", process=child.name)
                        return 1
            if not announced and all(child.ready or child.hopeless for child in self._children):
                announced = True
                on_ready()
            for child in self._children:
                if child.process is None and time.monotonic() >= child.restart_at:
                    self._start(child)
        return 0

    def _start(self, child: _Child) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            child.process = subprocess.Popen(  # noqa: S603 - ourselves
                [sys.executable, "-m", f"llm_proxy.wiring.{child.assignment.role}"],
                stdin=theirs.fileno(),
                pass_fds=child.inherited,
                start_new_session=True,  # so that Ctrl-C in a terminal reaches the supervisor alone
            )
        ours.sendall(child.assignment.to_line())
        ours.setblocking(False)
        child.lifeline, child.ready = ours, False
        child.starts += 1
        self._selector.register(ours, selectors.EVENT_READ, child)

    def _bury(self, child: _Child) -> None:
        """Note the death of a child and when it is to be started again."""
        assert child.process is not None
        now = time.monotonic()
        _log.error("a process died; starting it again", process=child.name, exit_status=child.process.returncode)
        self._ledger.add(f"restarts.{child.assignment.role}")
        self._forget(child)
        most, within_s = _CRASH_LOOP
        if not child.deaths or now - child.deaths[-1] > within_s:
            child.pause_s = _RESTART_PAUSE_S[0]
        child.deaths.append(now)
        if len(child.deaths) == most and now - child.deaths[0] < within_s:
            _log.error(
                "crash loop: calls are served as far as the other processes can",
                process=child.name,
                deaths=most,
                seconds=round(now - child.deaths[0], 1),
            )
        child.restart_at = now + child.pause_s
        child.pause_s = min(child.pause_s * 2, _RESTART_PAUSE_S[1])

    def _forget(self, child: _Child) -> None:
        if child.lifeline is not None:
            self._selector.unregister(child.lifeline)
            child.lifeline.close()
        child.process = child.lifeline = None
        child.ready = False

    def _wait_for_news(self, timeout_s: float | None) -> None:
        for key, _ in self._selector.select(timeout_s):
            if isinstance(key.data, _Child):
                self._hear(key.data)
            else:
                with contextlib.suppress(BlockingIOError):
                    key.fileobj.recv(64)  # type: ignore[union-attr]

    def _hear(self, child: _Child) -> None:
        assert child.lifeline is not None
        try:
            word = child.lifeline.recv(64)
        except OSError:
            word = b""
        if word:
            child.ready = child.ever_ready = True
        else:  # it is dying; wait() so that the next poll() knows
            self._selector.unregister(child.lifeline)
            child.lifeline.close()
            child.lifeline = None

    def _seconds_to_next_restart(self) -> float | None:
        dead = [child.restart_at for child in self._children if child.process is None]
        if dead:
            return max(min(dead) - time.monotonic(), 0)
        # SIGCHLD wakes us; the timeout is for the moment between a lifeline's end and its process's.
        return 0.05 if any(child.lifeline is None for child in self._children) else None

    def _stop_all(self) -> None:
        """Proxies first; then the store takes in what they wrote."""
        self._listener.close()
        proxies = [child for child in self._children if child.takes_calls]
        self._stop(proxies)
        self._stop([child for child in self._children if child not in proxies])

    def _stop(self, children: Sequence[_Child]) -> None:
        running = [child for child in children if child.process is not None]
        for child in running:
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + self._drain_s + _STOP_GRACE_S
        requests = self._stop_requests
        while any(child.process is not None and child.process.poll() is None for child in running):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or self._stop_requests > requests:  # a second Ctrl-C: the journal has what was under way
                for child in running:
                    _signal(child, signal.SIGKILL)
                requests = self._stop_requests
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
        try:
            yield
        finally:
            signal.set_wakeup_fd(-1)
            wake_read.close()
            wake_write.close()

    def _request_stop(self, number: int, frame: object) -> None:
        self._stop_requests += 1


def _signal(child: _Child, number: signal.Signals) -> None:
    if child.process is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.process.pid, number)
