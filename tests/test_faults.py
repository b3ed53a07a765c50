"""The whole pipeline under fire: each process and both services are killed, stopped, filled up and frozen under load.

Roles as a team runs them: one host with proxies, two with workers, one with the store. What the clients saw is compared
with what is on record at the end, as in test_killed.py; the account must balance; and what calls took is reported for a
calm time, for faults behind the journal, of which calls shall notice nothing, and for killed proxies.
"""

import asyncio
import contextlib
import json
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

import pytest

from llm_proxy.metrics import read_all
from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.postgres import PostgresStore
from queue_ends import Ends
from redis_service import RedisServer
from running import PATIENCE_S, Product, run
from services import PostgresServer, private_postgres
from storm import NAME, Load, answer, check_call

#: Of calls that the upstream answers at once, the slowest hundredth may be so much slower while something behind the
#: journal fails, in seconds: the machine is shared, and all that was killed starts again on it.
_SLOWER_S = 2.0
_KILLED_PROXIES = 3
_PREFIX = "faults"


@pytest.fixture
def chance():
    seed = int(os.environ.get("RANDOM_SEED") or random.randrange(2**32))
    print(f"RANDOM_SEED={seed}")  # noqa: T201 - shown with a failure
    return random.Random(seed)


@pytest.fixture
def services(tmp_path):
    # Written before it is acknowledged, so that what Redis has said it has is there after kill -9.
    redis = RedisServer(tmp_path / "redis", appendonly="yes", appendfsync="always")
    try:
        with private_postgres() as postgres:
            yield redis, postgres
    finally:
        redis.stop()


@dataclass
class Team:
    """All that runs, and what can happen to it."""

    redis: RedisServer
    postgres: PostgresServer
    proxy: Product
    workers: list[Product]
    store: Product
    chance: random.Random
    #: What happened, in order.
    happened: list[str] = field(default_factory=list)

    async def kill_shipper(self):
        await self.proxy.kill("shipper")

    async def kill_worker(self):
        await self.chance.choice(self.workers).kill("worker")

    async def kill_store(self):
        await self.store.kill("store")

    async def kill_proxy(self):
        await self.proxy.kill("proxy")

    async def kill_redis(self):
        """And kill the shipper, which has calls that it cannot ship."""
        await asyncio.to_thread(self.redis.kill)
        await asyncio.sleep(self.chance.uniform(0.2, 1))
        await self.kill_shipper()
        await asyncio.to_thread(self.redis.start)

    async def freeze_redis(self):
        self.redis.freeze()
        await asyncio.sleep(2)
        self.redis.thaw()

    async def pause_redis(self):
        await asyncio.to_thread(self.redis.cli, "CLIENT", "PAUSE", "1500", "ALL")

    async def fill_redis(self):
        await asyncio.to_thread(self.redis.cli, "CONFIG", "SET", "maxmemory", "1")
        await asyncio.sleep(1.5)
        await asyncio.to_thread(self.redis.cli, "CONFIG", "SET", "maxmemory", "0")

    async def kill_postgres(self):
        await asyncio.to_thread(self.postgres.crash)
        await asyncio.to_thread(self.postgres.start)

    async def stop_postgres(self):
        """And kill all workers, which have calls that they cannot store."""
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(2)
        for product in self.workers:
            await product.kill("worker")
        await asyncio.sleep(1)
        await asyncio.to_thread(self.postgres.start)

    async def go_through(self, faults):
        """Let all of these happen, in a random order, with a moment in between."""
        self.chance.shuffle(faults)
        for fault in faults:
            self.happened.append(fault.__name__)
            await fault()
            await asyncio.sleep(self.chance.uniform(0.1, 0.6))


@contextlib.asynccontextmanager
async def team(tmp_path, upstream_url, services, chance):
    redis, postgres = services
    env = {
        "LLM_PROXY_REDIS_URL": redis.url,
        "LLM_PROXY_REDIS__TIMEOUT_S": "1",
        "LLM_PROXY_STREAMS__PREFIX": _PREFIX,
        "LLM_PROXY_STREAMS__CLAIM_AFTER_S": "1",
        # A worker that dies of a kill from outside does not make what it had a dead letter.
        "LLM_PROXY_STREAMS__MAX_DELIVERIES": "100",
        "LLM_PROXY_STORE_URL": postgres.url(),
        "LLM_PROXY_STORE__STATEMENT_TIMEOUT_S": "10",
    }
    places = [tmp_path / name for name in ("proxy", "worker-1", "worker-2", "store")]
    for place in places:
        place.mkdir()
    async with contextlib.AsyncExitStack() as running:
        enter = running.enter_async_context
        proxy = await enter(run(places[0], "proxy", "--upstream", upstream_url, "--workers", "1", env=env))
        workers = [await enter(run(place, "worker", env=env)) for place in places[1:3]]
        store = await enter(run(places[3], "store", env=env))
        yield Team(redis, postgres, proxy, workers, store, chance)


def latencies(calls, begin_s, end_s):
    """What calls took that began in that time, were seen whole, and that the upstream answered at once; in seconds."""
    took = [
        seen.ended_s - seen.began_s
        for seen in calls
        if seen.whole and begin_s <= seen.began_s < end_s and seen.name.endswith(("plain", "failing"))
    ]
    assert len(took) > 5, "too few calls to tell"
    return {
        "calls": len(took),
        "p50": statistics.median(took),
        "p99": statistics.quantiles(took, n=100)[98],
        "max": max(took),
    }


def told(phases):
    for phase, took in phases.items():
        numbers = ", ".join(f"{name} {value * 1000:.0f} ms" for name, value in took.items() if name != "calls")
        print(f"{phase}: {took['calls']} calls, {numbers}")  # noqa: T201 - shown with a failure, and by -s


async def everything_stored(team):
    """Wait until nothing waits in the journal or in Redis; the numbers of Redis."""
    ends = Ends(team.redis.url, prefix=_PREFIX)
    counters = team.proxy.data_dir / "counters"
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                depth, mine = await ends.depth(), read_all(counters)
                if not depth.waiting and not mine["waiting"] and depth.stored:
                    return depth
                await asyncio.sleep(0.05)
    finally:
        await ends.close()


async def recorded(postgres):
    store = PostgresStore(postgres.url())
    try:
        page = await store.find(CompletionQuery(limit=None, with_bodies=True))
    finally:
        await store.close()
    return page.completions


def check_records(completions, upstream, calls):
    """Each call that the upstream received is there once, as the client saw it."""
    names = [NAME.search(completion.bodies.request_body)[1].decode() for completion in completions]
    by_name = dict(zip(names, completions, strict=True))
    received = Counter(NAME.search(request.body)[1].decode() for request in upstream.received)
    assert {name: count for name, count in received.items() if count > 1} == {}, "sent upstream twice"
    assert {name: count for name, count in Counter(names).items() if count > 1} == {}, "recorded twice"
    assert received.keys() - by_name.keys() == set(), "not recorded"
    assert [name for name, record in by_name.items() if record.status is Status.STARTED] == []
    for seen in calls:
        if seen.id is not None:
            check_call(seen, by_name[seen.name])


def check_account(team, depth, completions, *, killed_proxies):
    """All that was accepted is stored; a process that is killed between an act and its count is behind by that one."""
    mine = read_all(team.proxy.data_dir / "counters")
    status = team.proxy.command("status", "--json", "--data-dir", str(team.proxy.data_dir))
    account = json.loads(status.stdout)
    assert (depth.shipped, depth.stored, depth.dead) == (len(completions), len(completions), 0)
    assert account["redis"]["missing"] == 0
    assert account["host"]["shipped"] == len(completions)
    assert abs(mine["accepted"] - len(completions)) <= killed_proxies
    assert account["host"]["dropped"] == {}


@pytest.mark.timeout(240)
async def test_whatever_fails_each_call_is_stored_once_and_none_waits_for_it(upstream, tmp_path, services, chance):
    upstream.choose, calls, marks = answer, [], []

    async with team(tmp_path, upstream.url, services, chance) as all_of_it:
        behind = [all_of_it.kill_worker, all_of_it.kill_redis, all_of_it.kill_postgres] * 3
        behind += [
            all_of_it.kill_shipper,
            all_of_it.freeze_redis,
            all_of_it.pause_redis,
            all_of_it.fill_redis,
            all_of_it.stop_postgres,
        ]
        async with Load(all_of_it.proxy.base_url, chance, calls) as load:
            marks.append(time.monotonic())
            await asyncio.sleep(5)
            marks.append(time.monotonic())
            await all_of_it.go_through([*behind, all_of_it.kill_store])
            marks.append(time.monotonic())
            for _ in range(_KILLED_PROXIES):
                await all_of_it.go_through([all_of_it.kill_proxy, all_of_it.kill_worker])
                await load.random_moment()
            marks.append(time.monotonic())
        depth = await everything_stored(all_of_it)
        listed = await all_of_it.store.client.get(f"{all_of_it.store.url}/api/v1/completions")
        statuses = [await product.stop() for product in (all_of_it.proxy, *all_of_it.workers, all_of_it.store)]
        completions = await recorded(all_of_it.postgres)
        check_account(all_of_it, depth, completions, killed_proxies=_KILLED_PROXIES)

    phases = ("calm", "faults behind the journal", "killed proxies")
    took = {name: latencies(calls, *marks[at : at + 2]) for at, name in enumerate(phases)}
    told(took)
    print(f"{len(calls)} calls; {' '.join(all_of_it.happened)}")  # noqa: T201
    check_records(completions, upstream, calls)
    assert listed.status_code == 200
    assert statuses == [0, 0, 0, 0]
    assert took["faults behind the journal"]["p99"] < took["calm"]["p99"] + _SLOWER_S
