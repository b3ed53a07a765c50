"""Connections of clients on their way from proxy processes that are replaced to those that take their place.

A connection on which nothing is under way is only a file descriptor. It goes through a queue that all proxies of a
supervisor share, as they share the listening socket: whoever leaves puts in, whoever stays takes out. The client
notices nothing, and what it has sent meanwhile goes along: if the connection were closed instead, a request that
crosses with that would be answered by a reset.

Invariants
- A descriptor is in the queue or at one process: one that is not taken in is with the one that gave it away.
- The queue outlives its processes: the supervisor holds both ends.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeAlias

#: Descriptors that are taken out at a time, so that those who share the queue share the work.
_AT_A_TIME = 16
_WORD = b"c"

Adopt: TypeAlias = Callable[[socket.socket], Coroutine[Any, Any, object]]


def handover_queue() -> tuple[socket.socket, socket.socket]:
    """The end that is read, and the one that is written; both are inherited by children that are told of them."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        end.set_inheritable(True)
    return ends


class Handover:
    """The queue, for one proxy process."""

    def __init__(self, reading: socket.socket, writing: socket.socket) -> None:
        self._reading = reading
        self._writing = writing

    def give(self, descriptor: int) -> bool:
        """Put a connection into the queue; whoever gives it closes its own descriptor. False if it is full."""
        try:
            return socket.send_fds(self._writing, [_WORD], [descriptor]) > 0
        except OSError:  # full, or too many are on their way: it is tried again
            return False

    @contextlib.contextmanager
    def adopting(self, adopt: Adopt) -> Iterator[None]:
        """Have ``adopt`` take in what comes, to the end of the block."""
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[object]] = set()

        def take() -> None:
            for connection in self._taken():
                task = loop.create_task(adopt(connection))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        loop.add_reader(self._reading.fileno(), take)
        try:
            yield
        finally:
            loop.remove_reader(self._reading.fileno())

    def _taken(self) -> Iterator[socket.socket]:
        for _ in range(_AT_A_TIME):
            try:
                word, descriptors, _, _ = socket.recv_fds(self._reading, len(_WORD), 1)
            except OSError:  # others were faster
                return
            if not word:
                return
            yield from (socket.socket(fileno=descriptor) for descriptor in descriptors)
