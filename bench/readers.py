"""How long calls and pages take side by side: calls at a steady rate, in turns with and without a reader of pages.

Run as ``python -m bench.readers --data-dir DIRECTORY`` with a store.sqlite3 in it that bench/scale.py has filled, or
with ``--postgres URL`` of such a database. A reader asks for one page after the other and, unless told to, never
pauses, which nobody does for long. The calls are all stored meanwhile, so that the store grows by them.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import cycle
from pathlib import Path
from statistics import median

import httpx
import psutil
import uvloop

from bench.load import at_rate
from bench.pipeline import PATIENCE_S, child, cpu_s, serving
from bench.workloads import plain
from llm_proxy.metrics import read_all

CALL_BYTES, CONNECTIONS = 1024, 64
ROOT = Path(__file__).parents[1]
#: What is read, by name; ``{id}`` is that of a call.
PAGES = {
    "list": "/",
    "one call": "/calls/{id}",
    "filter: model": "/?q=model:gpt-4o",
    "filter: failed": "/?q=status:failed",
    "search: common word": "/?q=text:baba",
    "search: rare word": "/?q=text:zyzzyva",
    "search: nothing": "/?q=text:xylophone",
    "histogram": "/histogram?q=",
    "dashboard, 24 hours": "/dashboard",
    "dashboard, 30 days": "/dashboard?period=30d",
    "dashboard, 30 days by user": "/dashboard?period=30d&by=user",
    "dashboard, 30 days of a model": "/dashboard?period=30d&q=model:gpt-4o",
}

Times = dict[str, list[float]]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


async def read_pages(port: int, readers: int, pause_s: float) -> Times:
    """How long pages took, of so many who read at the same time, until the standard input ends."""
    taken: Times = {}
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        newest = (await client.get("/api/v1/completions?limit=1")).raise_for_status().json()
        found_id = newest["completions"][0]["id"]
        print("reading", flush=True)

        async def read() -> None:
            for name, address in cycle(PAGES.items()):
                started_s = time.perf_counter()
                (await client.get(address.format(id=found_id))).raise_for_status()
                taken.setdefault(name, []).append(time.perf_counter() - started_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), pause_s)
                if ended.is_set():
                    return

        await asyncio.gather(*(read() for _ in range(readers)))
    loop.remove_reader(sys.stdin.fileno())
    return taken


@contextlib.contextmanager
def reading(port: int, options: argparse.Namespace, taken: Times) -> Iterator[None]:
    """Pages are read meanwhile, by a process of its own, so that it does not hold up who measures the calls."""
    who = "--readers", str(options.readers), "--pause", str(options.pause)
    command = [sys.executable, "-m", "bench.readers", "--read", str(port), *who]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        told, _ = process.communicate(timeout=PATIENCE_S)
    for name, times in json.loads(told).items():
        taken.setdefault(name, []).extend(times)


async def turn(port: int, options: argparse.Namespace, *, reads: bool, taken: Times) -> list[float]:
    """How long each call of one turn took."""
    with reading(port, options, taken) if reads else contextlib.nullcontext():
        workload = plain(CALL_BYTES)
        tally = await at_rate(port, workload, seconds=options.seconds, rate=options.rate, connections=CONNECTIONS)
    if tally.errors:
        raise SystemExit(f"{tally.errors} calls went wrong")
    return tally.latencies_s


async def measure(product: psutil.Process, port: int, counters: Path, options: argparse.Namespace) -> None:
    """Print how long calls took in turns, and pages."""
    pages: Times = {}
    await turn(port, options, reads=False, taken={})  # the first one warms up
    took: dict[bool, list[list[float]]] = {False: [], True: []}
    print("| calls, ms | p50 | p99 | CPU of proxy, store | stored behind |\n|---|---|---|---|---|", flush=True)
    for number in range(2 * options.turns):
        reads = number % 2 == 1
        processes = [found for role in ("proxy", "store") if (found := child(product, role))]
        before = [cpu_s(process) for process in processes]
        latencies = await turn(port, options, reads=reads, taken=pages)
        took[reads].append(latencies)
        used = [f"{cpu_s(one) - was:.1f}" for one, was in zip(processes, before, strict=True)]
        behind = (numbers := read_all(counters))["accepted"] - numbers["stored"] - numbers["dead"]
        p50, p99 = (percentile(latencies, share) * 1000 for share in (0.5, 0.99))
        name = "with readers" if reads else "alone"
        print(f"| {name} | {p50:.1f} | {p99:.1f} | {', '.join(used)} s | {behind:,} |", flush=True)
    for reads, name in ((False, "alone"), (True, "with readers")):
        p50, p99 = (median(percentile(one, share) for one in took[reads]) * 1000 for share in (0.5, 0.99))
        print(f"| {name}, the middle of the turns | {p50:.1f} | {p99:.1f} | | |")
    print("\n| pages, ms | p50 | p95 | times |\n|---|---|---|---|")
    for name, times in pages.items():
        print(f"| {name} | {median(times) * 1000:,.0f} | {percentile(times, 0.95) * 1000:,.0f} | {len(times)} |")


@contextlib.contextmanager
def upstream() -> Iterator[int]:
    """Its port."""
    command = [sys.executable, "-m", "bench.upstream"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)


def run(options: argparse.Namespace, data_dir: Path) -> None:
    with upstream() as upstream_port:
        environment: Mapping[str, str] = {"LLM_PROXY_UPSTREAM": f"http://127.0.0.1:{upstream_port}"}
        if options.postgres is not None:
            environment = {**environment, "LLM_PROXY_STORE_URL": options.postgres}
        with serving(data_dir, environment) as product, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            port = next(one.laddr.port for one in product.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
            runner.run(measure(product, port, data_dir / "counters", options))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", metavar="DIRECTORY", type=Path, help="has a store.sqlite3 that is filled")
    parser.add_argument("--postgres", metavar="URL", help="a database that is filled, instead")
    parser.add_argument("--rate", type=int, default=200, help="calls a second")
    parser.add_argument("--readers", type=int, default=1, help="who read pages at the same time")
    parser.add_argument("--pause", type=float, default=0.0, help="of a reader between two pages, in seconds")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=4, help="of each kind")
    parser.add_argument("--read", metavar="PORT", type=int, help="only read pages, and tell how long they took as JSON")
    options = parser.parse_args()
    if options.read is not None:
        json.dump(asyncio.run(read_pages(options.read, options.readers, options.pause)), sys.stdout)
        sys.exit(0)
    with tempfile.TemporaryDirectory() as made:
        run(options, options.data_dir or Path(made))
