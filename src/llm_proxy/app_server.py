"""uvicorn in a child process: it stops when the lifeline says so, and connections can move on to another process."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from llm_proxy.child import Lifeline
from llm_proxy.handover import Handover

#: How often a process that was replaced looks which of its connections are idle, in seconds.
_SWEEP_S = 0.05
#: How long calls that are broken off at shutdown may take to be over, in seconds.
_CANCELLED_S = 5.0


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

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        # Those that took too long were cancelled, which is not yet their end: each writes its own down.
        if self.server_state.tasks:
            await asyncio.wait(self.server_state.tasks, timeout=_CANCELLED_S)

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
    retiring: Retiring | None = None,
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
