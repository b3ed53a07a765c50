"""The upstream: answers made beforehand, on a protocol that does as little as can be done in Python.

Run as a program it prints its port and serves until its standard input ends.
"""

import asyncio
import re
import sys
from typing import ClassVar

import uvloop

from bench.workloads import CHUNK_INTERVAL_S, answer, chunks, workload_of

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding: *chunked", re.IGNORECASE)
_END_OF_CHUNKS = b"0\r\n\r\n"


class _Upstream(asyncio.Protocol):
    #: By the head of a request, as each proxy writes it: they repeat.
    _known: ClassVar[dict[bytes, tuple[bytes, list[bytes]]]] = {}

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        #: Of the request, what is not complete yet.
        self._pending = b""
        self._needed = 0
        self._timer: asyncio.TimerHandle | None = None

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
            known = self._known[head] = answer(workload), chunks(workload) if workload.kind == "stream" else []
        first, pieces = known
        self._transport.write(first)
        if pieces:
            self._send_on(pieces, 0, self._loop.time() + CHUNK_INTERVAL_S)

    def _send_on(self, pieces: list[bytes], position: int, at: float) -> None:
        """Send one chunk at the time ``at``, and so on: late ones do not make the following ones late."""
        if position < len(pieces):
            self._timer = self._loop.call_at(at, self._send, pieces, position, at)

    def _send(self, pieces: list[bytes], position: int, at: float) -> None:
        self._transport.write(pieces[position])
        self._send_on(pieces, position + 1, at + CHUNK_INTERVAL_S)


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
