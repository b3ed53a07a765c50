"""The upstream: answers made beforehand, on a protocol that does as little as can be done in Python.

Run as a program it prints its port and serves until its standard input ends.
"""

import asyncio
import re
import sys
import time
from typing import ClassVar

import uvloop

from bench.workloads import NO_STAMP, answer, chunks, workload_of

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_END_OF_CHUNKS = b"0\r\n\r\n"


class _Upstream(asyncio.Protocol):
    #: By the head of a request, as each proxy writes it: they repeat.
    _known: ClassVar[dict[bytes, tuple[bytes, list[bytes], float]]] = {}

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        #: Of the request, what is not complete yet.
        self._pending = b""
        self._needed = 0
        self._timer: asyncio.TimerHandle | None = None
        #: Whether the chunks of the present answer say when they are sent.
        self._stamps = False

    def connection_made(self, transport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        if self._pending:
            data = self._pending + data
        self._pending = b""
        if len(data) < self._needed:
            self._pending = data
            return
        head_end = data.find(b"\r\n\r\n") + 4
        if head_end < 4:
            self._pending = data
            return
        if not self._is_whole(data, head_end):
            self._pending = data
            return
        self._needed = 0
        self._answer(data[:head_end])

    def _is_whole(self, data: bytes, head_end: int) -> bool:
        length = _LENGTH.search(data, 0, head_end)
        if length is not None:
            self._needed = head_end + int(length[1])
            return len(data) >= self._needed
        return _CHUNKED.search(data, 0, head_end) is None or data.endswith(_END_OF_CHUNKS)

    def _answer(self, head: bytes) -> None:
        known = self._known.get(head)
        if known is None:
            workload = workload_of(head)
            pieces = [] if workload.kind == "plain" else chunks(workload)
            known = self._known[head] = answer(workload), pieces, workload.interval_ms / 1000
        first, pieces, interval_s = known
        self._stamps = b"stamped=" in head
        self._transport.write(first)
        if pieces:
            self._send_on(pieces, 0, self._loop.time() + interval_s, interval_s)

    def _send_on(self, pieces: list[bytes], position: int, at: float, interval_s: float) -> None:
        """Send one chunk at the time ``at``, and so on: late ones do not make the following ones late."""
        if position < len(pieces):
            self._timer = self._loop.call_at(at, self._send, pieces, position, at, interval_s)

    def _send(self, pieces: list[bytes], position: int, at: float, interval_s: float) -> None:
        piece = pieces[position]
        if self._stamps:
            piece = piece.replace(NO_STAMP, b"%019d" % time.monotonic_ns(), 1)
        self._transport.write(piece)
        self._send_on(pieces, position + 1, at + interval_s, interval_s)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    await stopped.wait()
    loop.remove_reader(sys.stdin.fileno())
    server.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve())
