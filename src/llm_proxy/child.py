"""One child process of the supervisor: what it is told, and when it stops.

Its standard input is the lifeline, a socket to the supervisor: first one line, the assignment with all settings (so no
secret is in an argument or a variable); then nothing, until it ends because the supervisor is gone, and the child
drains and stops by itself. Before that the supervisor may say that others have taken the child's place: then it ends
in its own time. In the other direction the child says once that it is ready.
"""

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import uvloop

from llm_proxy.assignment import RETIRE, Assignment
from llm_proxy.log import configure
from llm_proxy.settings.table import Settings

#: When the cycle collector runs: after so many more objects were made than freed, and how many runs of one generation
#: make one of the next. With Python's 700 it runs every few calls, to find that they are still being answered. Rare
#: is enough: what a call leaves behind is freed by its counts of references, and hardly any of it is in cycles.
_GC_THRESHOLDS = (50_000, 20, 50)


class Lifeline:
    """The child's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        #: Whether others have taken this one's place.
        self.retired = False
        #: Whether the supervisor is gone.
        self.orphaned = False

    def assignment(self) -> Assignment:
        """Wait for what the supervisor says first."""
        line = b""
        while not line.endswith(b"\n"):
            piece = self._sock.recv(65536)
            if not piece:
                raise SystemExit("this is started by llm-proxy serve")
            line += piece
        return msgspec.json.decode(line, type=Assignment)

    def say_ready(self) -> None:
        """Tell the supervisor, if it is still there."""
        with contextlib.suppress(OSError):
            self._sock.sendall(b"ready\n")

    @contextlib.contextmanager
    def calling(self, stop: Callable[[], None], *, retire: Callable[[], None] | None = None) -> Iterator[None]:
        """Call ``stop`` on SIGTERM, and when the supervisor is gone; ``retire`` when it was replaced.

        Without ``retire``, it stops then, too.
        """
        loop = asyncio.get_running_loop()

        def heard() -> None:
            try:
                word = self._sock.recv(64)
            except OSError:
                word = b""
            if word == RETIRE:
                self.retired = True
                (retire or stop)()
                return
            self.orphaned = True
            loop.remove_reader(self._sock.fileno())
            stop()

        self._sock.setblocking(False)
        loop.add_reader(self._sock.fileno(), heard)
        loop.add_signal_handler(signal.SIGTERM, stop)
        try:
            yield
        finally:
            loop.remove_reader(self._sock.fileno())


def main(run: Callable[[Settings, Assignment, Lifeline], Coroutine[Any, Any, None]]) -> None:
    """Be the child process that ``run`` is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # It is no job that the terminal waits for, and writes its log to it nevertheless (stty tostop).
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    lifeline = Lifeline(socket.socket(fileno=sys.stdin.fileno()))
    assignment = lifeline.assignment()
    settings = Settings.from_json(assignment.settings)
    configure(form=settings.log.format, level=settings.log.level, role=assignment.name)
    _collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, assignment, lifeline))


def _collect_seldom() -> None:
    """Have the cycle collector run seldom, and look at nothing that is there already: what was imported stays."""
    gc.freeze()  # without a collection before it, which would find nothing and take up to 0.1 s of the start
    gc.set_threshold(*_GC_THRESHOLDS)
