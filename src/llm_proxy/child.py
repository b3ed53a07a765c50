"""One child process of the supervisor: what it is told, when it stops, and uvicorn in it.

Its standard input is the lifeline, a socket to the supervisor: first one line, the assignment with all settings (so no
secret is in an argument or a variable); then nothing, until it ends because the supervisor is gone, and the child
drains and stops by itself. In the other direction it says once that it is ready.
"""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec
import uvicorn
import uvloop

from llm_proxy.assignment import Assignment
from llm_proxy.log import configure
from llm_proxy.settings.table import Settings

#: When the cycle collector runs: after so many more objects were made than freed, and how many runs of one generation
#: make one of the next. With Python's 700 it runs every few calls, to find that they are still being answered. Rare
#: is enough: what a call leaves behind is freed by its counts of references, and hardly any of it is in cycles.
_GC_THRESHOLDS = (50_000, 20, 50)


#: By how much a process gives way (nice(2)).
_WAY = 5


def give_way() -> None:
    """Let those that answer calls have the processor first, where it does not suffice for all."""
    os.nice(_WAY)


class Lifeline:
    """The child's end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

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
    def calling(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call ``stop`` on SIGTERM, and when the supervisor is gone."""
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.remove_reader(self._sock.fileno())
            stop()

        self._sock.setblocking(False)
        loop.add_reader(self._sock.fileno(), ended)
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


async def serve_app(
    app: Any,
    listener: socket.socket,
    lifeline: Lifeline,
    *,
    http: Any = "httptools",
    keep_alive_s: float,
    drain_s: float,
    alongside: Callable[[asyncio.Event], Coroutine[Any, Any, None]] | None = None,
) -> None:
    """Serve ``app`` until the lifeline says stop; then drain, and return.

    ``alongside`` runs at the same time and is told to stop first; what it raises ends the process.
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
    stopping = asyncio.Event()
    with lifeline.calling(stopping.set):
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            if alongside is not None:
                await group.create_task(alongside(stopping))
            await stopping.wait()
            server.stop()


def main(run: Callable[[Settings, Assignment, Lifeline], Coroutine[Any, Any, None]]) -> None:
    """Be the child process that ``run`` is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lifeline = Lifeline(socket.socket(fileno=sys.stdin.fileno()))
    assignment = lifeline.assignment()
    settings = Settings.from_json(assignment.settings)
    configure(form=settings.log.format, level=settings.log.level, role=f"{assignment.role}-{assignment.index}")
    _collect_seldom()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings, assignment, lifeline))


def _collect_seldom() -> None:
    """Have the cycle collector run seldom, and look at nothing that is there already: what was imported stays."""
    gc.freeze()  # without a collection before it, which would find nothing and take up to 0.1 s of the start
    gc.set_threshold(*_GC_THRESHOLDS)
