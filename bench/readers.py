"""How long calls and pages take side by side: calls at a steady rate, in turns with and without a reader of pages.

Run as ``python -m bench.readers --data-dir DIRECTORY`` with a store.sqlite3 in it that bench/scale.py has filled, or
with ``--postgres URL`` of such a database. A reader asks for one page after the other and pauses between them as who
reads does; with ``--pause 0`` nobody ever does. The calls are all stored meanwhile, so that the store grows by them.

What readers change is told as a ratio, with an interval that says how far the turns support it: turns with and without
make pairs, which are drawn again and again. With ``--cores apart`` the proxy, the driver and the upstream have a core
that nothing else runs on, and pages, store and reader the other one: what is left then is what the design couples, and
not what there is too little of.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from pathlib import Path
from statistics import median, quantiles

import httpx
import psutil
import uvloop

from bench.cpu import Cores, family
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

#: How often the pairs of turns are drawn again, and how much of what comes of it the interval holds.
DRAWS, HELD = 5000, 0.95

Times = dict[str, list[float]]


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def ratio(alone: list[float], beside: list[float]) -> tuple[float, float, float]:
    """How many times as long it took beside readers, by the middle of the turns; and from where to where that may be.

    Turns stand in pairs, one after the other: what the machine did then, it did to both.
    """
    chance, count = random.Random(1), len(alone)
    drawn = [[chance.randrange(count) for _ in range(count)] for _ in range(DRAWS)]
    ratios = sorted(median(beside[one] for one in some) / median(alone[one] for one in some) for some in drawn)
    cut = (1 - HELD) / 2
    return median(beside) / median(alone), percentile(ratios, cut), percentile(ratios, 1 - cut)


async def read_pages(port: int, readers: int, pause_s: float, first: int) -> Times:
    """How long pages took, of so many who read at the same time, until the standard input ends."""
    taken: Times = {}
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        newest = (await client.get("/api/v1/completions?limit=1")).raise_for_status().json()
        found_id = newest["completions"][0]["id"]
        print("reading", flush=True)

        async def read() -> None:
            for name, address in islice(cycle(PAGES.items()), first, None):
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
def reading(port: int, options: argparse.Namespace, cores: Cores | None, taken: Times) -> Iterator[None]:
    """Pages are read meanwhile, by a process of its own, so that it does not hold up who measures the calls."""
    first = sum(map(len, taken.values())) % len(PAGES)  # a turn is too short for all of them
    who = "--readers", str(options.readers), "--pause", str(options.pause), "--first", str(first)
    command = [sys.executable, "-m", "bench.readers", "--read", str(port), *who]
    with cores.for_what_is_measured() if cores else contextlib.nullcontext():
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield
    finally:
        told, _ = process.communicate(timeout=PATIENCE_S)
    for name, times in json.loads(told).items():
        taken.setdefault(name, []).extend(times)


async def turn(port: int, options: argparse.Namespace) -> list[float]:
    """How long each call of one turn took."""
    workload = plain(CALL_BYTES)
    tally = await at_rate(port, workload, seconds=options.seconds, rate=options.rate, connections=CONNECTIONS)
    if tally.errors:
        raise SystemExit(f"{tally.errors} calls went wrong")
    return tally.latencies_s


async def measure(
    product: psutil.Process, port: int, counters: Path, options: argparse.Namespace, cores: Cores | None
) -> None:
    """Print how long calls took in turns, and pages."""
    pages: Times = {}
    await turn(port, options)  # the first one warms up
    took: dict[bool, dict[str, list[float]]] = {reads: {"p50": [], "p99": []} for reads in (False, True)}
    print("| calls, ms | p50 | p99 | CPU of proxy, store | stored behind |\n|---|---|---|---|---|", flush=True)
    for number in range(2 * options.turns):
        reads = number % 4 in (1, 2)  # so that a machine which gets slower does so for both
        processes = [found for role in ("proxy", "store") if (found := child(product, role))]
        before = [cpu_s(process) for process in processes]
        with reading(port, options, cores, pages) if reads else contextlib.nullcontext():
            latencies = await turn(port, options)
        used = [f"{cpu_s(one) - was:.1f}" for one, was in zip(processes, before, strict=True)]
        behind = (numbers := read_all(counters))["accepted"] - numbers["stored"] - numbers["dead"]
        p50, p99 = (percentile(latencies, share) * 1000 for share in (0.5, 0.99))
        took[reads]["p50"].append(p50)
        took[reads]["p99"].append(p99)
        print(f"| {_name(reads)} | {p50:.2f} | {p99:.2f} | {', '.join(used)} s | {behind:,} |", flush=True)
    tell(took)
    print("\n| pages, ms | p50 | p95 | times |\n|---|---|---|---|")
    for name, times in pages.items():
        print(f"| {name} | {median(times) * 1000:,.0f} | {percentile(times, 0.95) * 1000:,.0f} | {len(times)} |")


def _name(reads: bool) -> str:
    return "with readers" if reads else "alone"


def tell(took: Mapping[bool, Mapping[str, list[float]]]) -> None:
    """Print what the turns come to."""
    print("\n| calls, ms | the middle of the turns | half of them | all of them |\n|---|---|---|---|")
    for figure in ("p50", "p99"):
        for reads, figures in took.items():
            turns = sorted(figures[figure])
            low, _, high = quantiles(turns, n=4, method="inclusive") if len(turns) > 1 else turns * 3
            spread = f"{low:.2f} to {high:.2f} | {turns[0]:.2f} to {turns[-1]:.2f}"
            print(f"| {figure} {_name(reads)} | {median(turns):.2f} | {spread} |")
    for figure in ("p50", "p99"):
        middle, low, high = ratio(took[False][figure], took[True][figure])
        print(f"{figure} with readers is {middle:.2f} times that alone ({HELD:.0%}: {low:.2f} to {high:.2f})")


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


def put_apart(product: psutil.Process, cores: Cores, database: int | None) -> None:
    """The proxies to the core of the load, and the server of the database to that of everything else."""
    for process in family(product.pid):
        if "llm_proxy.wiring.proxy" in process.cmdline():
            cores.move_to_load(process.pid)
    for process in family(database) if database else ():
        cores.move_to_what_is_measured(process.pid)


@contextlib.contextmanager
def cores_of(options: argparse.Namespace) -> Iterator[Cores | None]:
    """The cores, if they are told apart: this process and what it starts are on that of the load."""
    if options.cores == "all":
        yield None
        return
    cores = Cores()
    if not cores.pinned:
        raise SystemExit("--cores apart needs two cores")
    cores.use_for_load()
    try:
        yield cores
    finally:
        for process in family(options.database) if options.database else ():
            cores.release(process.pid)


def run(options: argparse.Namespace, data_dir: Path) -> None:
    with cores_of(options) as cores, upstream() as upstream_port, contextlib.ExitStack() as held:
        environment: Mapping[str, str] = {"LLM_PROXY_UPSTREAM": f"http://127.0.0.1:{upstream_port}"}
        if options.postgres is not None:
            environment = {**environment, "LLM_PROXY_STORE_URL": options.postgres}
        with cores.for_what_is_measured() if cores else contextlib.nullcontext():
            product = held.enter_context(serving(data_dir, environment))
        if cores is not None:
            put_apart(product, cores, options.database)
        port = next(one.laddr.port for one in product.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(product, port, data_dir / "counters", options, cores))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", metavar="DIRECTORY", type=Path, help="has a store.sqlite3 that is filled")
    parser.add_argument("--postgres", metavar="URL", help="a database that is filled, instead")
    parser.add_argument("--rate", type=int, default=200, help="calls a second")
    parser.add_argument("--readers", type=int, default=1, help="who read pages at the same time")
    parser.add_argument("--pause", type=float, default=1.0, help="of a reader between two pages, in seconds")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn")
    parser.add_argument("--turns", type=int, default=12, help="of each kind")
    parser.add_argument("--cores", choices=("all", "apart"), default="all", help="who may run where")
    parser.add_argument("--database", metavar="PID", type=int, help="the first process of the server, to be put apart")
    parser.add_argument("--read", metavar="PORT", type=int, help="only read pages, and tell how long they took as JSON")
    parser.add_argument("--first", type=int, default=0, help="which page --read begins with")
    options = parser.parse_args()
    if options.read is not None:
        json.dump(asyncio.run(read_pages(options.read, options.readers, options.pause, options.first)), sys.stdout)
        sys.exit(0)
    with tempfile.TemporaryDirectory() as made:
        run(options, options.data_dir or Path(made))
