"""One child process of the supervisor: what it is told, when it stops, and uvicorn in it.

Its standard input is the lifeline, a socket to the supervisor: first one line, the assignment with all settings (so no
secret is in an argument or a variable); then nothing, until it ends because the supervisor is gone, and the child
drains and stops by itself. Before that the supervisor may say that others have taken the child's place: then it ends
in its own time. In the other direction the child says once that it is ready.
"""

import asyncio
import contextlib
import functools
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
import uvloop

from llm_proxy.assignment import RETIRE, Assignment
from llm_proxy.handover import Handover
from llm_proxy.log import configure
from llm_proxy.settings.table import Settings

#: When the cycle collector runs: after so many more objects were made than freed, and how many runs of one generation
#: make one of the next. With Python's 700 it runs every few calls, to find that they are still being answered. Rare
#: is enough: what a call leaves behind is freed by its counts of references, and hardly any of it is in cycles.
_GC_THRESHOLDS = (50_000, 20, 50)


#: How often a process that was replaced looks which of its connections are idle, in seconds.
_SWEEP_S = 0.05
#: By how much a process gives way (nice(2)).
_WAY = 5
#: Linux may weigh sessions against each other, and by how nice they are only the processes of one; each child is
#: a session of its own. This is how nice that is (sched(7), "The autogroup feature"), where there is such a thing.
_SESSION = Path("/proc/self/autogroup")
#: It takes one at a time in so many seconds from those who are not root; as often it is tried.
_SESSION_PAUSE_S, _SESSION_TRIES = 0.1, 20


def give_way(by: int = _WAY) -> None:
    """Let those that answer calls have the processor first, where it does not suffice for all."""
    way = os.nice(by)
    if os.getsid(0) != os.getpid():  # others of its session would give way, too
        return
    with contextlib.suppress(OSError):
        for _ in range(_SESSION_TRIES):
            try:
                _SESSION.write_text(str(way))
                break
            except BlockingIOError:
                time.sleep(_SESSION_PAUSE_S)


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


class _Server(uvicorn.Server):
    """uvicorn without signal handlers of its own: who stops it is the caller's affair.

    Nor does it look ten times a second whether it was stopped, for the time of day, and at how much it has served.
    """

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self.up = asyncio.Event()
        self._over = asyncio.Event()

    def stop(self) -> None:
        """Take nothing more, and drain."""
        self.should_exit = True
        self._over.set()

    async def main_loop(self) -> None:
        await self._over.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()
        self.up.set()

    async def adopt(self, connection: socket.socket) -> None:
        """Serve a connection that another process has accepted."""
        protocol: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        make = functools.partial(
            protocol, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        try:
            await asyncio.get_running_loop().connect_accepted_socket(make, connection)
        except OSError:  # it was lost on the way
            connection.close()

    async def retire(self, give: Callable[[int], bool], *, ended: asyncio.Event, limit_s: float) -> None:
        """Accept no more connections, ``give`` away each that is idle, wait for the others: until ``ended`` at most."""
        for server in self.servers:
            server.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not ended.is_set():
                    for connection in list(self.server_state.connections):
                        connection.retire(give)  # type: ignore[union-attr]  # who is told of a handover can do that
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(ended.wait(), _SWEEP_S)
                    # Asked last, since what was accepted just before had no protocol yet.
                    if not self.server_state.connections and not self.server_state.tasks:
                        return


@dataclass(frozen=True, slots=True)
class Retiring:
    """How a process goes whose place others take."""

    handover: Handover
    #: How long what is under way then may go on, in seconds; after that it drains as at shutdown.
    limit_s: float


async def serve_app(
    app: Any,
    listener: socket.socket,
    lifeline: Lifeline,
    *,
    http: Any = "httptools",
    keep_alive_s: float,
    drain_s: float,
    alongside: Callable[[asyncio.Event], Coroutine[Any, Any, None]] | None = None,
    retiring: "Retiring | None" = None,
) -> None:
    """Serve ``app`` until the lifeline says stop; then drain, and return.

    ``alongside`` runs at the same time and is told to stop first; what it raises ends the process. With ``retiring``,
    the connections go to those who take this one's place, when there are any; without, that is a stop like any other.
    """
    config = uvicorn.Config(
        app,
        http=http,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type]  # a whole number is not needed
        timeout_graceful_shutdown=drain_s,  # type: ignore[arg-type]
    )
    server = _Server(config, lifeline.say_ready)
    stopping, ended = asyncio.Event(), asyncio.Event()

    def end() -> None:
        ended.set()
        stopping.set()

    with lifeline.calling(end, retire=stopping.set):
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            await server.up.wait()
            with contextlib.nullcontext() if retiring is None else retiring.handover.adopting(server.adopt):
                if alongside is not None:
                    await group.create_task(alongside(stopping))
                await stopping.wait()
            if retiring is not None and lifeline.retired:
                await server.retire(retiring.handover.give, ended=ended, limit_s=retiring.limit_s)
            server.stop()


def main(run: Callable[[Settings, Assignment, Lifeline], Coroutine[Any, Any, None]]) -> None:
    """Be the child process that ``run`` is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
