"""One turn of one contender: start it, put it under each load, take the figures, see that nothing is missing.

The loads that ask least come first, on a proxy that has done nothing yet but warm up, and each ends when all is done
that it gives rise to: what a load is said to cost is its own. Many streams come last: httpx looks at each of the
connections that they leave with every call.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import TypeAlias

from bench import load
from bench.contenders import OURS, Contender, Place, Running, free_port, running
from bench.cpu import Cores, cpu_s, rss_mb
from bench.rest import completing
from bench.workloads import Workload, plain, stream

#: The call that latency and cold start are measured with.
SMALL_BYTES = 1024
#: Streams at a time, and the time between two chunks of each in milliseconds: one alone goes fast enough to be measured
#: at all, and a thousand slowly enough for the driver to keep up.
STREAMS = {1: 2, 100: 20, 1000: 100}

#: Does what the contender would do with later calls; None for one of which nothing is measured but what answers.
Complete: TypeAlias = Callable[[], Awaitable[float]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is measured."""

    rounds: int
    #: Sizes of plain bodies.
    sizes: tuple[int, ...]
    #: Length of each load, in seconds.
    seconds: float
    #: How many at a time; see STREAMS.
    streams: tuple[int, ...]
    #: Calls a second where all contenders have the same to do.
    equal_rate: int = load.EQUAL_RATE

    def chunks(self, streams: int, interval_ms: int) -> int:
        """Of each stream, so that all of them run at the same time for as long as a load lasts."""
        return max(int((self.seconds + load.begun_in_s(streams, interval_ms)) * 1000 / interval_ms), 2)


@dataclass(frozen=True, slots=True)
class Direct:
    """What the upstream takes without anything between, in seconds."""

    latencies_s: list[float]
    first_chunks_s: list[float]


@dataclass(slots=True)
class Turn:
    """What was measured of one contender in one round."""

    #: Column → figure → value.
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    calls: int = 0
    errors: int = 0
    #: None for a contender that keeps none.
    records: int | None = None
    #: How busy the core of the load was at most; near 1, the load is what was measured.
    load_busy: float = 0.0

    def note(self, column: str, figure: str, value: float) -> None:
        self.figures.setdefault(column, {})[figure] = value


class Bench:
    """The upstream's port, the cores, and how much is measured."""

    def __init__(self, plan: Plan, cores: Cores, *, upstream_port: int, load_cpu_s: Callable[[], float]) -> None:
        self._plan = plan
        self._cores = cores
        self._upstream_port = upstream_port
        #: CPU that driver and upstream have used.
        self._load_cpu_s = load_cpu_s

    async def direct(self) -> Direct:
        """The upstream without anything between."""
        plain_calls = await load.at_rate(self._upstream_port, plain(SMALL_BYTES), seconds=self._plan.seconds)
        streamed = await load.at_rate(self._upstream_port, _short_stream(), seconds=self._plan.seconds)
        return Direct(plain_calls.latencies_s, streamed.first_chunks_s)

    async def turn(self, contender: Contender, direct: Direct) -> Turn:
        """Start ``contender`` and take all its figures."""
        turn = Turn()
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            place = Place(free_port(), self._upstream_port, Path(directory))
            started = time.perf_counter()
            with running(contender, place, self._cores) as under_test:
                turn.calls += await _first_answer(place.port)
                turn.note(contender.name, "cold_start_s", time.perf_counter() - started)
                async with _completing(under_test) as complete:
                    await self._warm_up(turn, under_test, complete)
                    with under_test.disturbed():
                        await self._loads(turn, under_test, direct, complete)
                for column, processes in under_test.processes().items():
                    turn.note(column, "rss_mb", rss_mb(processes))
                under_test.settle()
                turn.records = under_test.records()
        return turn

    async def _warm_up(self, turn: Turn, under_test: Running, complete: Complete) -> None:
        seconds = min(self._plan.seconds, 0.5)
        self._count(turn, await load.saturate(under_test.port, plain(SMALL_BYTES), seconds=seconds))
        under_test.settle()
        await _complete(under_test, complete)

    async def _loads(self, turn: Turn, under_test: Running, direct: Direct, complete: Complete) -> None:
        is_whole = under_test.contender.is_whole
        streams, sizes = (self._plan.streams, self._plan.sizes) if is_whole else ((), (SMALL_BYTES,))
        await self._latency(turn, under_test, direct)
        await _complete(under_test, complete)
        await self._at_equal_rate(turn, under_test, complete)
        for few in (count for count in streams if count <= load.CONNECTIONS):
            await self._streams(turn, under_test, few, complete)
        for size in sizes:
            await self._plain(turn, under_test, plain(size), complete)
        for many in (count for count in streams if count > load.CONNECTIONS):
            await self._streams(turn, under_test, many, complete)

    async def _plain(self, turn: Turn, under_test: Running, workload: Workload, complete: Complete) -> None:
        cpu, tally, stored_s = await self._measured(
            turn, under_test, lambda: load.saturate(under_test.port, workload, seconds=self._plan.seconds), complete
        )
        for column, used_s in cpu.items():
            turn.note(column, f"cpu_us_per_call_{workload.amount}", used_s / tally.answers * 1e6)
            used = [cpu_s([process]) for process in under_test.processes()[column]]
            turn.note(column, "busiest_share", max(used) / sum(used))
        if workload.amount == SMALL_BYTES:
            for column in cpu:
                # All of ours has done its work only when everything is stored.
                turn.note(column, "calls_per_s", tally.answers / (stored_s if column == OURS else tally.wall_s))

    async def _at_equal_rate(self, turn: Turn, under_test: Running, complete: Complete) -> None:
        rate = self._plan.equal_rate
        cpu, tally, _ = await self._measured(
            turn,
            under_test,
            lambda: load.at_rate(
                under_test.port,
                plain(SMALL_BYTES),
                seconds=self._plan.seconds,
                rate=rate,
                connections=load.CONNECTIONS,
            ),
            complete,
        )
        for column, used_s in cpu.items():
            turn.note(column, "cpu_us_per_call_at_rate", used_s / tally.answers * 1e6)

    async def _streams(self, turn: Turn, under_test: Running, streams: int, complete: Complete) -> None:
        interval_ms = STREAMS.get(streams, 20)
        workload = stream(
            self._plan.chunks(streams, interval_ms), interval_ms=interval_ms, stamped=streams >= max(STREAMS)
        )
        cpu, tally, _ = await self._measured(
            turn, under_test, lambda: load.stream_all(under_test.port, workload, streams=streams), complete
        )
        for column, used_s in cpu.items():
            turn.note(column, f"cpu_us_per_chunk_{streams}", used_s / tally.chunks * 1e6)
        if tally.transits_s:
            turn.note(under_test.contender.name, "transit_p99_ms", _percentile(tally.transits_s, 99) * 1e3)

    async def _latency(self, turn: Turn, under_test: Running, direct: Direct) -> None:
        tally = await load.at_rate(under_test.port, plain(SMALL_BYTES), seconds=self._plan.seconds)
        self._count(turn, tally)
        for name, percent in (("p50", 50), ("p99", 99)):
            added_s = _percentile(tally.latencies_s, percent) - _percentile(direct.latencies_s, percent)
            turn.note(under_test.contender.name, f"added_{name}_ms", added_s * 1e3)
        streamed = await load.at_rate(under_test.port, _short_stream(), seconds=self._plan.seconds)
        self._count(turn, streamed)
        added_s = _percentile(streamed.first_chunks_s, 50) - _percentile(direct.first_chunks_s, 50)
        turn.note(under_test.contender.name, "added_first_token_ms", added_s * 1e3)

    async def _measured(
        self, turn: Turn, under_test: Running, run: Callable[[], Awaitable[load.Tally]], complete: Complete
    ) -> tuple[dict[str, float], load.Tally, float]:
        """CPU seconds by column, from before the load until all is done; what came of it; when it was stored."""
        processes = under_test.processes()
        before = {column: cpu_s(members) for column, members in processes.items()}
        started, load_before_s = time.perf_counter(), self._load_cpu_s()
        tally = await run()
        turn.load_busy = max(turn.load_busy, (self._load_cpu_s() - load_before_s) / tally.wall_s)
        if under_test.contender.is_whole:
            under_test.settle()
        stored_s = time.perf_counter() - started
        completed_s = await _complete(under_test, complete)
        self._count(turn, tally)
        if tally.errors:
            raise RuntimeError(f"{under_test.contender.name}: {tally.errors} calls of {tally.answers} went wrong")
        used = {column: cpu_s(members) - before[column] for column, members in processes.items()}
        if OURS in used:
            used[OURS] += completed_s
        return used, tally, stored_s

    def _count(self, turn: Turn, tally: load.Tally) -> None:
        turn.calls += tally.answers + tally.errors
        turn.errors += tally.errors


def _completing(under_test: Running) -> AbstractAsyncContextManager[Complete]:
    return nullcontext() if under_test.database is None else completing(under_test.database)


async def _complete(under_test: Running, complete: Complete) -> float:
    """Let all be done that the calls so far give rise to; the CPU seconds of that which is done for the contender."""
    if complete is None:
        return 0.0
    under_test.rest()
    return await complete()


async def _first_answer(port: int) -> int:
    """Wait for it; the number of calls that were made."""
    deadline = time.monotonic() + load.PATIENCE_S
    while True:
        try:
            tally = await load.saturate(port, plain(SMALL_BYTES), seconds=0, connections=1)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.005)
        else:
            return tally.answers


def _short_stream() -> Workload:
    return stream(2, stamped=True)


def _percentile(values: list[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1] if len(values) > 1 else values[0]
