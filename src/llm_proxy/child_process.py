"""One child process, as its supervisor sees it: started, heard of, told to go, started again.

The other end is child.py.
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
from dataclasses import dataclass, field

from llm_proxy.assignment import RETIRE, Assignment
from llm_proxy.log import get_logger
from llm_proxy.priority import WHAT_CAN_WAIT, give_way

#: Pause before a restart: the first, and the longest, in seconds.
_RESTART_PAUSE_S = (0.1, 10.0)
#: So many deaths in so many seconds are a crash loop.
_CRASH_LOOP = (5, 60.0)
#: A child that died so often without ever having been ready is not waited for any longer.
_HOPELESS_STARTS = 3

_log = get_logger(__name__)


@dataclass(slots=True)
class ChildProcess:
    """One that is to run; its process may have died, and be started again."""

    assignment: Assignment
    process: "subprocess.Popen[bytes] | None" = None
    lifeline: socket.socket | None = None
    ready: bool = False
    ever_ready: bool = False
    starts: int = 0
    deaths: deque[float] = field(default_factory=lambda: deque(maxlen=_CRASH_LOOP[0]))
    restart_at: float = 0.0
    pause_s: float = _RESTART_PAUSE_S[0]
    #: When it is killed if it has not ended by itself, once it was replaced.
    kill_at: float = float("inf")

    @property
    def role(self) -> str:
        return self.assignment.role

    @property
    def name(self) -> str:
        return self.assignment.name

    @property
    def takes_calls(self) -> bool:
        return self.assignment.listen_fd is not None

    @property
    def can_wait(self) -> bool:
        return self.assignment.can_wait

    @property
    def hopeless(self) -> bool:
        return not self.ever_ready and self.process is None and self.starts >= _HOPELESS_STARTS

    @property
    def has_ended(self) -> bool:
        """Whether its process has, and nobody has taken note of that yet."""
        return self.process is not None and self.process.poll() is not None

    @property
    def exit_status(self) -> int | None:
        return None if self.process is None else self.process.returncode

    def start(self, selector: selectors.BaseSelector) -> None:
        """Start it, and have ``selector`` tell when it says something.

        Where that cannot be done (no memory, too many processes), it is to be tried again as after a death.
        """
        self.starts += 1
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = self._open(theirs.fileno())
        except OSError as exc:
            ours.close()
            self.plan_restart()
            _log.error("a process cannot be started; it is tried again", process=self.name, reason=str(exc))
            return
        if self.can_wait:
            give_way(WHAT_CAN_WAIT, pid=self.process.pid)
        with contextlib.suppress(OSError):  # dead before it was told what to do, of which the next look at it will know
            ours.sendall(self.assignment.to_line())
        ours.setblocking(False)
        self.lifeline, self.ready = ours, False
        selector.register(ours, selectors.EVENT_READ, self)

    def _open(self, lifeline_fd: int) -> "subprocess.Popen[bytes]":
        told = self.assignment
        inherited = [*(told.handover_fds or ()), *(() if told.listen_fd is None else (told.listen_fd,))]
        return subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", f"llm_proxy.wiring.{told.role}"],
            stdin=lifeline_fd,
            pass_fds=inherited,
            # So that Ctrl-C in a terminal reaches the supervisor alone. Not a session: Linux may weigh sessions against
            # each other (sched(7), "The autogroup feature"), and who gives way does so to its own, not to all others.
            process_group=0,
        )

    def hear(self, selector: selectors.BaseSelector) -> None:
        """Take in what it says: that it is ready, or that it is dying, of which the next look at it will know."""
        assert self.lifeline is not None
        try:
            word = self.lifeline.recv(64)
        except OSError:
            word = b""
        if word:
            self.ready = self.ever_ready = True
        else:
            self._hang_up(selector)

    def retire(self, kill_at: float) -> None:
        """Say that others have taken its place."""
        self.kill_at = kill_at
        if self.lifeline is not None:
            with contextlib.suppress(OSError):
                self.lifeline.send(RETIRE)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)

    def forget(self, selector: selectors.BaseSelector) -> None:
        """Take note of its end."""
        if self.lifeline is not None:
            self._hang_up(selector)
        self.process = None
        self.ready = False

    def plan_restart(self) -> float | None:
        """Choose when it is started again; how long its last deaths took, in seconds, if they are a crash loop now."""
        now = time.monotonic()
        most, within_s = _CRASH_LOOP
        if not self.deaths or now - self.deaths[-1] > within_s:
            self.pause_s = _RESTART_PAUSE_S[0]
        self.deaths.append(now)
        self.restart_at = now + self.pause_s
        self.pause_s = min(self.pause_s * 2, _RESTART_PAUSE_S[1])
        took_s = now - self.deaths[0]
        return took_s if len(self.deaths) == most and took_s < within_s else None

    def _hang_up(self, selector: selectors.BaseSelector) -> None:
        assert self.lifeline is not None
        selector.unregister(self.lifeline)
        self.lifeline.close()
        self.lifeline = None
