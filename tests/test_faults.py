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
import redis as redis_client
from redis.exceptions import OutOfMemoryError

from llm_proxy import worker
from llm_proxy.metrics import read_all
from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.postgres import PostgresStore
from queue_ends import Ends
from redis_service import RedisServer
from running import PATIENCE_S, Product, run, serve, until
from services import PostgresServer, private_postgres
from storm import NAME, Load, answer, check_call

#: Of calls that the upstream answers at once, the slowest hundredth may be so much slower while something behind the
#: journal fails, in seconds: the machine is shared, and all that was killed starts again on it.
_SLOWER_S = 2.0
_KILLED_PROXIES = 3
_PREFIX = "faults"
_CLAIM_AFTER_S = 1
#: What Redis may take, and what it is filled up with, in bytes: first in large pieces, then up to the brim.
_MAXMEMORY = "32mb"
_BALLAST_BYTES = (2**20, 2**14, 2**8)
#: So long after the store has gone, all pauses of a worker are as long as they get, in seconds.
_LONGEST_PAUSE_AFTER_S = 2 * worker.BACKOFF_S[1]
#: Size at which the journal of the host without Redis is full: about a second of calls.
_JOURNAL_BYTES = 192 * 2**10
#: So many calls shall not find room in it.
_DROPPED = 30


@pytest.fixture
def chance():
    seed = int(os.environ.get("RANDOM_SEED") or random.randrange(2**32))
    print(f"RANDOM_SEED={seed}")  # noqa: T201 - shown with a failure
    return random.Random(seed)


@pytest.fixture
def services(tmp_path):
    # Written before it is acknowledged, so that what Redis has said it has is there after kill -9.
    redis = RedisServer(
        tmp_path / "redis",
        appendonly="yes",
        appendfsync="always",
        maxmemory=_MAXMEMORY,
        maxmemory_policy="noeviction",
    )
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
        """Fill it up to its ``maxmemory`` until it refuses calls; then make room again."""
        await asyncio.to_thread(fill, self.redis)
        await asyncio.sleep(1)
        await asyncio.to_thread(self.redis.cli, "DEL", "ballast")

    async def kill_postgres(self):
        await asyncio.to_thread(self.postgres.crash)
        await asyncio.to_thread(self.postgres.start)

    async def lose_postgres(self, meanwhile):
        """Stop it until a worker waits for it as long as one ever does; another is killed with calls in its hands."""
        # One that was killed a moment ago takes nothing before it has seen the store.
        await asyncio.sleep(_CLAIM_AFTER_S)
        await until(lambda: workers_alive(self.redis) >= len(self.workers), "each worker asks for calls")
        await asyncio.to_thread(self.postgres.stop)
        back_at_s = time.monotonic() + _LONGEST_PAUSE_AFTER_S
        await until(lambda: workers_alive(self.redis, with_calls=True) >= len(self.workers), "each worker has calls")
        await self.workers[0].kill("worker")
        await self.go_through(meanwhile)
        await asyncio.sleep(back_at_s - time.monotonic())
        await asyncio.to_thread(self.postgres.start)

    async def go_through(self, faults):
        """Let all of these happen, in a random order, with a moment in between."""
        self.chance.shuffle(faults)
        for fault in faults:
            self.happened.append(fault.__name__)
            await fault()
            await asyncio.sleep(self.chance.uniform(0.1, 0.6))


def fill(redis):
    """Add to the key ``ballast`` all that Redis has room for, until it has refused a call of the shipper, too."""
    with redis_client.Redis.from_url(redis.url) as client:
        refused = refusals(client)
        while refusals(client) == refused:
            for size in _BALLAST_BYTES:  # again and again: what is stored makes room
                with contextlib.suppress(OutOfMemoryError):
                    while True:
                        client.rpush("ballast", bytes(size))


def workers_alive(redis, *, with_calls=False):
    """How many workers have asked for something lately; with calls in their hands, if wanted."""
    with redis_client.Redis.from_url(redis.url) as client:
        consumers = client.xinfo_consumers(f"{{{_PREFIX}:0}}:calls", "workers")
    alive = [consumer for consumer in consumers if consumer["idle"] < _CLAIM_AFTER_S * 1000]
    return sum(consumer["pending"] > 0 or not with_calls for consumer in alive)


def refusals(client):
    """How many XADD there was no room for: nobody but the shipper sends any."""
    return client.info("commandstats").get("cmdstat_xadd", {"rejected_calls": 0})["rejected_calls"]


@contextlib.asynccontextmanager
async def team(tmp_path, upstream_url, services, chance):
    redis, postgres = services
    env = {
        "LLM_PROXY_REDIS_URL": redis.url,
        "LLM_PROXY_REDIS__TIMEOUT_S": "1",
        "LLM_PROXY_STREAMS__PREFIX": _PREFIX,
        "LLM_PROXY_STREAMS__CLAIM_AFTER_S": str(_CLAIM_AFTER_S),
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


def by_name(completions, upstream):
    """The records by the names of their calls, of which none is there twice."""
    names = [NAME.search(completion.bodies.request_body)[1].decode() for completion in completions]
    received = Counter(NAME.search(request.body)[1].decode() for request in upstream.received)
    assert {name: count for name, count in received.items() if count > 1} == {}, "sent upstream twice"
    assert {name: count for name, count in Counter(names).items() if count > 1} == {}, "recorded twice"
    return dict(zip(names, completions, strict=True))


def check_records(records, calls):
    """Each record is of a call that is over, as the client saw it."""
    assert [name for name, record in records.items() if record.status is Status.STARTED] == []
    for seen in calls:
        if seen.id is not None and seen.name in records:
            check_call(seen, records[seen.name])


def check_account(team, depth, completions):
    """All that was accepted is stored."""
    mine = read_all(team.proxy.data_dir / "counters")
    status = team.proxy.command("status", "--json", "--data-dir", str(team.proxy.data_dir))
    account = json.loads(status.stdout)
    assert (depth.shipped, depth.stored, depth.dead) == (len(completions), len(completions), 0)
    assert account["redis"]["missing"] == 0
    assert account["host"]["shipped"] == len(completions)
    assert (mine["accepted"], account["host"]["missing"]) == (len(completions), 0)
    assert account["host"]["dropped"] == {}


@pytest.mark.timeout(240)
async def test_whatever_fails_each_call_is_stored_once_and_none_waits_for_it(upstream, tmp_path, services, chance):
    upstream.choose, calls, marks = answer, [], []

    async with team(tmp_path, upstream.url, services, chance) as all_of_it:
        behind = [all_of_it.kill_worker, all_of_it.kill_postgres] * 3 + [all_of_it.kill_redis, all_of_it.fill_redis]
        without_a_store = [all_of_it.kill_redis] * 2
        without_a_store += [all_of_it.kill_shipper, all_of_it.freeze_redis, all_of_it.pause_redis, all_of_it.kill_store]
        async with Load(all_of_it.proxy.base_url, chance, calls) as load:
            marks.append(time.monotonic())
            await asyncio.sleep(5)
            marks.append(time.monotonic())
            await all_of_it.go_through(behind)
            await all_of_it.lose_postgres(without_a_store)
            marks.append(time.monotonic())
            for _ in range(_KILLED_PROXIES):
                await all_of_it.go_through([all_of_it.kill_proxy, all_of_it.kill_worker])
                await load.random_moment()
            marks.append(time.monotonic())
        depth = await everything_stored(all_of_it)
        listed = await all_of_it.store.client.get(f"{all_of_it.store.url}/api/v1/completions")
        statuses = [await product.stop() for product in (all_of_it.proxy, *all_of_it.workers, all_of_it.store)]
        completions = await recorded(all_of_it.postgres)
        check_account(all_of_it, depth, completions)

    phases = ("calm", "faults behind the journal", "killed proxies")
    took = {name: latencies(calls, *marks[at : at + 2]) for at, name in enumerate(phases)}
    told(took)
    print(f"{len(calls)} calls; {' '.join(all_of_it.happened)}")  # noqa: T201
    records = by_name(completions, upstream)
    received = {NAME.search(request.body)[1].decode() for request in upstream.received}
    assert received - records.keys() == set(), "not recorded"
    check_records(records, calls)
    assert listed.status_code == 200
    assert statuses == [0, 0, 0, 0]
    assert took["faults behind the journal"]["p99"] < took["calm"]["p99"] + _SLOWER_S


async def test_a_journal_that_is_full_while_the_store_is_away_costs_records_which_are_counted_and_nothing_else(
    upstream, tmp_path, chance
):
    upstream.choose, calls = answer, []
    env = {"LLM_PROXY_JOURNAL__SEGMENT_BYTES": "65536", "LLM_PROXY_JOURNAL__MAX_BYTES": str(_JOURNAL_BYTES)}

    with private_postgres() as postgres:
        env["LLM_PROXY_STORE_URL"] = postgres.url()
        async with serve(tmp_path, upstream.url, env=env) as product:
            counters = product.data_dir / "counters"
            async with Load(product.base_url, chance, calls) as load:
                await load.random_moment()
                await asyncio.to_thread(postgres.stop)
                await until(lambda: read_all(counters)["dropped.journal_full"] >= _DROPPED, "the journal is full")
                await product.kill("store")
                await load.random_moment()
                await asyncio.to_thread(postgres.start)
                accepted = read_all(counters)["accepted"]
                await until(lambda: read_all(counters)["accepted"] > accepted, "there is room again")
                first_after = len(calls)
                await load.random_moment()
            await product.stop()
        completions, numbers = await recorded(postgres), read_all(counters)

    records = by_name(completions, upstream)
    check_records(records, calls)
    not_recorded = [seen.name for seen in calls if seen.name not in records]
    assert len(not_recorded) == numbers["dropped.journal_full"] >= _DROPPED
    assert numbers["accepted"] == numbers["stored"] == len(completions)
    assert [seen.name for seen in calls[first_after:] if seen.name not in records] == []
    assert [seen.name for seen in calls if seen.name.endswith(("plain", "streamed", "slow")) and not seen.whole] == []
