"""Memory over a long run: 200 000 calls, 2 000 000 chunks, and 1 000 streams of 1 MB at a time.

Run as ``python -m bench.soak [--calls N] [--chunks N] [--streams N]``. ``llm-proxy serve`` runs with its defaults; what
its proxy process and its store process hold (RSS) is printed as it goes, and in the end how much the proxy process has
grown: over the calls and chunks since the first tenth of them, and from before the streams to the most it held while
they ran. Every answer is checked, and every call looked for in the store. Exit status 1 if one is missing.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from bench import load
from bench.contenders import CONTENDERS, OURS, OURS_PROXY, Place, Running, free_port, running
from bench.cpu import Cores, rss_mb
from bench.workloads import Workload, plain, stream

_SAMPLE_S = 1.0
#: Streams at a time, and chunks of each, of which the soak is made.
_SOAK_STREAMS, _SOAK_CHUNKS = 200, 200
#: A megabyte in so many chunks, at a pace that the machine can keep up with.
_MEGABYTE_CHUNKS, _MEGABYTE_INTERVAL_MS = 100, 250


class Curve:
    """What the two processes hold, over time."""

    def __init__(self, under_test: Running) -> None:
        self._under_test = under_test
        self._started = time.monotonic()
        #: Seconds, calls, chunks, and MB of the proxy process and of everything else.
        self.points: list[tuple[float, int, int, float, float]] = []
        self.calls = self.chunks = 0

    def look(self) -> float:
        processes = self._under_test.processes()
        proxy = rss_mb(processes[OURS_PROXY])
        point = time.monotonic() - self._started, self.calls, self.chunks, proxy, rss_mb(processes[OURS]) - proxy
        self.points.append(point)
        return proxy

    def show(self) -> None:
        seconds, calls, chunks, proxy, rest = self.points[-1]
        print(
            f"{seconds:7.0f} s {calls:9} calls {chunks:9} chunks {proxy:8.1f} MB proxy {rest:8.1f} MB rest", flush=True
        )

    async def during(self, work: Awaitable[load.Tally]) -> tuple[load.Tally, float]:
        """What came of it, and the most that the proxy process held meanwhile."""
        task = asyncio.ensure_future(work)
        most = 0.0
        while not task.done():
            await asyncio.wait([task], timeout=_SAMPLE_S)
            most = max(most, self.look())
        return await task, most


async def _soak(curve: Curve, port: int, options: argparse.Namespace) -> int:
    """Calls and streams in turns, until there were enough of both."""
    errors, calls, chunks = 0, options.calls, options.chunks
    while curve.calls < calls or curve.chunks < chunks:
        turns: list[Callable[[], Awaitable[load.Tally]]] = []
        if curve.calls < calls:
            turns.append(lambda: load.saturate(port, plain(1024), seconds=options.seconds))
        if curve.chunks < chunks:
            turns.append(lambda: load.stream_all(port, stream(_SOAK_CHUNKS), streams=_SOAK_STREAMS))
        for turn in turns:
            tally, _ = await curve.during(turn())
            curve.calls += tally.answers
            curve.chunks += tally.chunks
            errors += tally.errors
        curve.look()
        curve.show()
    return errors


async def _measure(options: argparse.Namespace, upstream_port: int) -> int:
    cores = Cores()
    cores.use_for_load()
    ours = next(one for one in CONTENDERS if one.name == OURS)
    with tempfile.TemporaryDirectory(prefix="soak-") as directory:
        place = Place(free_port(), upstream_port, Path(directory))
        with running(ours, place, cores) as under_test:
            await _until_it_answers(place.port)
            curve = Curve(under_test)
            errors = await _soak(curve, place.port, options)
            under_test.settle()
            early = next(point for point in curve.points if _share(point, options) >= 0.1)
            late = curve.look()
            print(f"proxy process over {curve.calls} calls and {curve.chunks} chunks: {early[3]:.1f} -> {late:.1f} MB")
            before = curve.look()
            megabyte = stream(_MEGABYTE_CHUNKS, interval_ms=options.interval_ms, chunk_bytes=2**20 // _MEGABYTE_CHUNKS)
            tally, most = await curve.during(load.stream_all(place.port, megabyte, streams=options.streams))
            under_test.settle()
            print(
                f"{options.streams} streams of 1 MB at a time: {before:.1f} -> {most:.1f} MB, {tally.answers} complete"
            )
            records, made = under_test.records(), curve.calls + tally.answers + 1
            print(f"{made} calls, {errors + tally.errors} went wrong, {records} on record")
            return 0 if errors + tally.errors == 0 and records == made else 1


def _megabyte(interval_ms: int) -> Workload:
    chunk_bytes = 2**20 // _MEGABYTE_CHUNKS
    return stream(_MEGABYTE_CHUNKS, interval_ms=interval_ms, chunk_bytes=chunk_bytes)


def _share(point: tuple[float, int, int, float, float], options: argparse.Namespace) -> float:
    return min(point[1] / max(options.calls, 1), point[2] / max(options.chunks, 1))


async def _until_it_answers(port: int) -> None:
    while True:
        try:
            await load.saturate(port, plain(1024), seconds=0, connections=1)
        except ConnectionRefusedError:
            await asyncio.sleep(0.01)
        else:
            return


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Memory over a long run.")
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--chunks", type=int, default=2_000_000)
    parser.add_argument("--streams", type=int, default=1000, help="streams of 1 MB at a time")
    parser.add_argument("--interval-ms", type=int, default=_MEGABYTE_INTERVAL_MS, help="between two chunks of those")
    parser.add_argument("--seconds", type=float, default=4.0, help="of calls, before streams have their turn")
    options = parser.parse_args()
    load.PATIENCE_S = 600.0
    command = [sys.executable, "-m", "bench.upstream"]
    upstream = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
    assert upstream.stdin is not None
    assert upstream.stdout is not None
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_measure(options, int(upstream.stdout.readline())))
    finally:
        upstream.stdin.close()
        upstream.wait(10)


if __name__ == "__main__":
    sys.exit(main())
