"""How many calls a worker stores, and how long a call takes from the journal to where it can be read.

Run as ``python -m bench.pipeline [--redis URL] [--postgres URL]``, with a Redis and a database that are empty; what is
not given is left out. ``llm-proxy serve`` runs with its defaults, and calls of 6 KB are written into its journal as a
proxy writes them:

- rate: all of them at once; calls over the processor time (user and system) of the one process that stores, and of the
  shipper, until the last one is stored. Some go before them that are not counted: with the first calls a process loads
  what all later ones find, the table of prices for one, which alone takes as long as a thousand calls. The housekeeper
  has its own rate: the calls that are in the index for search when it rests, over all that it has used until then.
- delay: one after the other, each with a pause before it and looked for in the store until it is there.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
from sqlalchemy import func, select

from bench.storage import chats
from llm_proxy.journal.format import Answer, Closing, Frames, Kind, Opening, encode
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.model.completion import Completion
from llm_proxy.model.exchange import Ending, Endpoint, new_id
from llm_proxy.settings.table import Settings
from llm_proxy.store.search_indexer import RECORDS, SearchIndexer
from llm_proxy.store.sql import completions
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.stores import open_store

CALLS, LOOKED_FOR = 6000, 300
#: Calls before those of the rate.
FIRST = 500
#: Nothing takes so long, in seconds.
PATIENCE_S = 300.0
LOOK_S = 0.001
#: How long the housekeeper is given to find out that there is nothing to do yet, in seconds.
REST_S = 1.0
#: The unit in which the kernel tells how much CPU a process has used, in seconds.
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
OPENING = Opening(
    method="POST",
    target=b"/v1/chat/completions",
    endpoint=Endpoint.CHAT,
    headers=[(b"Content-Type", b"application/json"), (b"User-Agent", b"OpenAI/Python 3.54.0")],
)
HEADERS = [(b"Content-Type", b"application/json"), (b"x-request-id", b"req_0123456789abcdef")]


@dataclass(frozen=True)
class Plan:
    #: Calls before all others, for the rate, and for the delay.
    first: list[Completion]
    at_once: list[Completion]
    looked_for: list[Completion]


def frames_of(call: Completion) -> tuple[str, Frames]:
    """The whole of a call as the proxy writes it, and its id."""
    assert call.bodies is not None
    call_id = new_id()
    frames = Frames(UUID(call_id).bytes)
    frames.add(Kind.OPEN, time.time_ns() // 1000, encode(OPENING))
    frames.add(Kind.REQUEST, 10, call.bodies.request_body or b"")
    frames.add(Kind.RESPONSE, 400_000, encode(Answer(200, HEADERS, 1500)))
    frames.add(Kind.CHUNK, 400_100, call.bodies.response_body or b"")
    frames.add(Kind.CLOSE, 400_200, encode(Closing(Ending.COMPLETE, None, 400_000)))
    return call_id, frames


@contextmanager
def serving(data_dir: Path, environment: Mapping[str, str]) -> Iterator[psutil.Process]:
    """``llm-proxy serve``, from when it is ready to the end of the block."""
    command = [sys.executable, "-m", "llm_proxy", "serve", "--port", "0", "--data-dir", str(data_dir)]
    bare = {name: value for name, value in os.environ.items() if not name.startswith("LLM_PROXY_")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**bare, **environment})
    assert process.stdout is not None
    try:
        if b"is ready" not in process.stdout.readline():
            raise SystemExit("llm-proxy does not start")
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE_S)


def child(product: psutil.Process, role: str) -> psutil.Process | None:
    return next((one for one in product.children() if one.cmdline()[-1] == f"llm_proxy.wiring.{role}"), None)


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not look():  # noqa: ASYNC110 - what is waited for is in a file
            await asyncio.sleep(LOOK_S)


async def rate(product: psutil.Process, settings: Settings, journal: JournalWriter, plan: Plan) -> None:
    calls, data = plan.at_once, DataDir(settings.data_dir)
    if len(calls) >= RECORDS:  # fewer fill no block of the index; and it comes after the others
        await until((data.counters / "housekeeper-0.ledger").exists)
        await asyncio.sleep(REST_S)
    roles = ("worker", "store", "shipper", "housekeeper")
    watched = {role: found for role in roles if (found := child(product, role))}
    if "worker" in watched:
        del watched["store"]
    for call in plan.first:
        journal.open(frames_of(call)[1])
    await until(lambda: read_all(data.counters)["stored"] >= len(plan.first))
    written = [frames_of(call)[1] for call in calls]
    before = {role: cpu_s(process) for role, process in watched.items()}
    begun = time.perf_counter()
    for frames in written:
        journal.open(frames)
    await until(lambda: read_all(data.counters)["stored"] >= len(plan.first) + len(calls))
    wall_s = time.perf_counter() - begun
    # What took less than a tick is not seen: of a very small run the rate is a lower bound.
    used = {role: max(cpu_s(process) - before[role], TICK_S) for role, process in watched.items()}
    used.pop("housekeeper", None)
    each = ", ".join(f"{role} {len(calls) / seconds:,.0f}/s per core" for role, seconds in used.items())
    print(f"  rate: {each}; {len(calls) / wall_s:,.0f}/s in all")
    if (keeper := watched.get("housekeeper")) is not None:
        beside_s = cpu_s(keeper) - before["housekeeper"]
        indexed = await indexed_at_rest(settings)
        keeping_s = max(cpu_s(keeper) - before["housekeeper"], TICK_S)
        print(f"  index: housekeeper {indexed / keeping_s:,.0f}/s per core; {beside_s:.2f} s of it meanwhile")


async def indexed_at_rest(settings: Settings) -> int:
    """Wait until what is left fills no block of the index; how many calls are in it."""
    store = open_store(settings, read_only=True)
    indexer = SearchIndexer(store)
    async with asyncio.timeout(PATIENCE_S):
        while (waiting := await indexer.waiting()) >= RECORDS:  # noqa: ASYNC110 - and this in a database
            await asyncio.sleep(REST_S / 10)
    everything = select(func.count()).select_from(completions)
    count = await store.reading(lambda connection: int(connection.execute(everything).scalar_one()), otherwise=0)
    await store.close()
    return count - waiting


async def delay(settings: Settings, journal: JournalWriter, calls: list[Completion]) -> None:
    store, took, chance = open_store(settings, read_only=True), [], random.Random(1)
    for call in calls:
        await asyncio.sleep(chance.uniform(0.005, 0.1))
        call_id, frames = frames_of(call)
        begun = time.perf_counter()
        journal.open(frames)
        while await store.get(call_id) is None:  # noqa: ASYNC110 - and here in a database
            await asyncio.sleep(LOOK_S)
        took.append((time.perf_counter() - begun) * 1000)
    await store.close()
    p99 = statistics.quantiles(took, n=100)[98]
    print(f"  delay: p50 {statistics.median(took):.0f} ms, p99 {p99:.0f} ms, longest {max(took):.0f} ms")


async def measure(name: str, plan: Plan, **sections: Mapping[str, Any]) -> None:
    print(name)
    with tempfile.TemporaryDirectory() as made:
        settings = Settings.model_validate({"data_dir": made, **sections})
        data = DataDir(settings.data_dir)
        environment = {
            f"LLM_PROXY_{section}__{option}".upper(): str(value)
            for section, options in sections.items()
            for option, value in options.items()
            if section != "store" or option != "url"
        }
        if settings.store.url is not None:
            environment["LLM_PROXY_STORE_URL"] = settings.store.url.get_secret_value()
        with serving(data.root, environment) as product:
            journal = JournalWriter(data.journal, limits=JournalLimits(), ledger=Ledger())
            await rate(product, settings, journal, plan)
            await delay(settings, journal, plan.looked_for)
            journal.close()


async def main(redis: str | None, postgres: str | None, plan: Plan) -> None:
    stores: dict[str, dict[str, str]] = {"SQLite": {}}
    if postgres is not None:
        stores["PostgreSQL"] = {"url": postgres}
    for store, options in stores.items():
        await measure(f"embedded, {store}", plan, store=options)
        if redis is not None:
            streams = {"prefix": f"bench-{uuid4().hex[:8]}"}
            await measure(f"by way of Redis, {store}", plan, store=options, redis={"url": redis}, streams=streams)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="How many calls a worker stores, and how soon one can be read.")
    parser.add_argument("--redis", metavar="URL", help="a Redis to go through as well")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to write to as well")
    parser.add_argument("--calls", type=int, default=CALLS, help="calls at once, for the rate")
    parser.add_argument("--looked-for", type=int, default=LOOKED_FOR, help="calls one by one, for the delay")
    options = parser.parse_args()
    calls = chats(FIRST + options.calls + options.looked_for)
    end = FIRST + options.calls
    plan = Plan(calls[:FIRST], calls[FIRST:end], calls[end:])
    asyncio.run(main(options.redis, options.postgres, plan))
