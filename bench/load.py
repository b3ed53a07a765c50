"""The load driver: raw requests over kept-alive connections, each answer read to its last byte and checked.

Every run ends by itself with all answers in, so that what was sent is exactly what was answered.
"""

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from bench.workloads import STAMP, Workload, request

#: Connections of the saturating load.
CONNECTIONS = 64
#: Calls a second, and the connections they take turns on, where latency is measured.
LOW_RATE = 50
LOW_RATE_CONNECTIONS = 4
#: Calls a second where all contenders have the same to do and none is at its limit.
EQUAL_RATE = 250
#: Streams that are begun in a second. Of more, the chunks would have to wait for all that is done to begin them.
BEGUN_PER_S = 1000
#: Nothing in here should come near it; a contender that hangs is an error and not a wait.
PATIENCE_S = 60.0

_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_END_OF_CHUNKS = b"0\r\n\r\n"


@dataclass(slots=True)
class Tally:
    """What came of a run."""

    answers: int = 0
    errors: int = 0
    #: Of streamed answers; the end mark is none.
    chunks: int = 0
    wall_s: float = 0.0
    #: From when a call was due to the last byte of its answer, where that was asked for.
    latencies_s: list[float] = field(default_factory=list)
    #: Of stamped streams: from when a chunk was sent to when it was here.
    transits_s: list[float] = field(default_factory=list)
    #: Of stamped streams: from the request to the first chunk.
    first_chunks_s: list[float] = field(default_factory=list)


class _Caller(asyncio.Protocol):
    """One connection: sends a request, reads the answer, reports."""

    def __init__(
        self, message: bytes, workload: Workload, tally: Tally, on_answer: Callable[["_Caller"], None]
    ) -> None:
        self._message = message
        self._workload = workload
        self._tally = tally
        self._on_answer = on_answer
        self._transport: asyncio.Transport
        self._waiting = False
        self._head = b""
        self._left_bytes: int | None = None
        self._events = 0
        self._tail = b""
        self.due_at = 0.0

    def connection_made(self, transport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting:
            self._ended(sound=False)

    def call(self, due_at: float | None = None) -> None:
        """Send the request; ``due_at`` is when it should have been sent, if that was earlier."""
        self._waiting = True
        self._head = b""
        self.due_at = time.perf_counter() if due_at is None else due_at
        if self._transport.is_closing():
            self._ended(sound=False)
        else:
            self._transport.write(self._message)

    def close(self) -> None:
        self._waiting = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._waiting:
            self._tally.errors += 1  # more than was announced
            return
        if self._head != b"seen":
            data = self._read_head(self._head + data)
            if self._head != b"seen":
                return
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes <= 0:
                self._ended(sound=self._left_bytes == 0)
        elif data:
            self._read_chunks(data)

    def _read_head(self, data: bytes) -> bytes:
        """Read the head if it is whole; what follows it."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._head = data
            return b""
        self._head = b"seen"
        length = _LENGTH.search(data, 0, end)
        self._left_bytes = int(length[1]) if length else None
        self._events, self._tail = 0, b""
        announced = self._workload.amount if self._workload.kind == "plain" else None
        if not data.startswith(b"HTTP/1.1 200 ") or self._left_bytes != announced:
            self._tally.errors += 1
        return data[end + 4 :]

    def _read_chunks(self, data: bytes) -> None:
        if self._workload.kind == "stamped":
            self._read_stamps(data)
        self._events += data.count(b"data: ")
        self._tail = (self._tail + data)[-len(_END_OF_CHUNKS) :]
        if self._tail == _END_OF_CHUNKS:
            self._tally.chunks += self._events - 1
            self._ended(sound=self._events - 1 == self._workload.amount)

    def _read_stamps(self, data: bytes) -> None:
        now_ns = time.monotonic_ns()
        self._tally.transits_s += [(now_ns - int(sent_ns)) / 1e9 for sent_ns in STAMP.findall(data)]
        if not self._events:
            self._tally.first_chunks_s.append(time.perf_counter() - self.due_at)

    def _ended(self, *, sound: bool) -> None:
        self._waiting = False
        if sound:
            self._tally.answers += 1
        else:
            self._tally.errors += 1
        self._on_answer(self)


async def saturate(port: int, workload: Workload, *, seconds: float, connections: int = CONNECTIONS) -> Tally:
    """As many calls as go through ``connections``, for so long."""
    loop = asyncio.get_running_loop()
    tally, done = Tally(), loop.create_future()
    running = connections
    ends_at = time.perf_counter() + seconds

    def next_call(caller: _Caller) -> None:
        nonlocal running
        if time.perf_counter() < ends_at and not tally.errors:
            caller.call()
            return
        running -= 1
        if not running:
            done.set_result(None)

    callers = await _connect(port, workload, tally, next_call, connections)
    started = time.perf_counter()
    for caller in callers:
        caller.call()
    await _finish(done, callers)
    tally.wall_s = time.perf_counter() - started
    return tally


def begun_in_s(streams: int, interval_ms: int) -> float:
    """How long so many streams take to be begun, in seconds: a multiple of the time between two chunks."""
    return max(math.ceil(streams / BEGUN_PER_S * 1000 / interval_ms), 1) * interval_ms / 1000


async def stream_all(port: int, workload: Workload, *, streams: int) -> Tally:
    """So many streams at once, begun evenly so that no two chunks come together."""
    loop = asyncio.get_running_loop()
    tally, done = Tally(), loop.create_future()

    def count(_: _Caller) -> None:
        if tally.answers + tally.errors >= streams and not done.done():
            done.set_result(None)

    begun_s = begun_in_s(streams, workload.interval_ms)
    callers = await _connect(port, workload, tally, count, streams)
    started = time.perf_counter()
    for position, caller in enumerate(callers):
        loop.call_later(begun_s * position / streams, caller.call)
    await _finish(done, callers)
    tally.wall_s = time.perf_counter() - started
    return tally


async def at_rate(
    port: int, workload: Workload, *, seconds: float, rate: int = LOW_RATE, connections: int = LOW_RATE_CONNECTIONS
) -> Tally:
    """``rate`` calls a second, evenly, and how long each took; what has to wait for a connection took longer."""
    loop = asyncio.get_running_loop()
    tally, done = Tally(), loop.create_future()
    calls = max(int(seconds * rate), 1)
    late: deque[float] = deque()

    def note(caller: _Caller) -> None:
        tally.latencies_s.append(time.perf_counter() - caller.due_at)
        if late:
            caller.call(late.popleft())
        else:
            idle.append(caller)
        if len(tally.latencies_s) == calls:
            done.set_result(None)

    def call() -> None:
        if idle:
            idle.popleft().call()
        else:
            late.append(time.perf_counter())

    callers = await _connect(port, workload, tally, note, connections)
    idle = deque(callers)
    started = loop.time()
    for number in range(calls):
        loop.call_at(started + number / rate, call)
    await _finish(done, callers)
    tally.wall_s = loop.time() - started
    return tally


async def _connect(
    port: int, workload: Workload, tally: Tally, on_answer: Callable[[_Caller], None], count: int
) -> list[_Caller]:
    loop, message = asyncio.get_running_loop(), request(workload, port)
    callers = []
    for _ in range(count):
        _, caller = await loop.create_connection(
            lambda: _Caller(message, workload, tally, on_answer), "127.0.0.1", port
        )
        callers.append(caller)
    return callers


async def _finish(done: "asyncio.Future[None]", callers: list[_Caller]) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await done
    finally:
        for caller in callers:
            caller.close()
