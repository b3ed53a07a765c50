import asyncio
import random

import pytest

from children import children
from llm_proxy.metrics import read_all
from llm_proxy.model.query import CompletionQuery
from llm_proxy.queue.redis_letters import RedisLetters
from llm_proxy.queue.redis_publisher import Parcel
from llm_proxy.store.sqlite import SqliteStore
from queue_exchanges import exchange, incompressible, running
from running import run, until


@pytest.fixture
def workers(tmp_path, ends):
    streams = {"prefix": ends.prefix, "claim_after_s": 0.5, "max_deliveries": 50}
    with children(tmp_path / "data", redis={"url": ends.url}, streams=streams) as made:
        yield made


async def publish(ends, count=1, **different):
    sent = [exchange(**different) for _ in range(count)]
    await ends.publisher().publish([Parcel.of(one) for one in sent])
    return [one.id for one in sent]


async def stored(workers):
    """The ids in the store, each as often as it is there."""
    store = SqliteStore(workers.data.database, read_only=True)
    try:
        page = await store.find(CompletionQuery(limit=None))
    finally:
        await store.close()
    return sorted(completion.id for completion in page.completions)


async def emptied(ends):
    return await seen(ends.depth, lambda depth: not depth.waiting)


async def seen(look, wanted):
    """What ``look`` returns as soon as it is as it is wanted."""
    async with asyncio.timeout(60):
        while True:
            if wanted(found := await look()):
                return found
            await asyncio.sleep(0.02)


async def test_a_worker_stores_what_is_in_the_queue_and_ends_when_it_is_told(workers, ends):
    ids = await publish(ends, 300)

    worker = workers.start("worker")
    depth = await emptied(ends)
    status = worker.stop()

    assert status == 0
    assert await stored(workers) == sorted(ids)
    assert (depth.stored, read_all(workers.data.counters)["stored"]) == (300, 300)
    assert worker.log.read_text() == ""


async def test_a_running_call_is_stored_as_started_until_it_has_ended(workers, ends):
    call = running()
    publisher = ends.publisher()
    workers.start("worker")

    await publisher.announce([call])
    store = SqliteStore(workers.data.database, read_only=True)
    started = await seen(lambda: store.get(call.id), lambda record: record)
    await publisher.publish([Parcel.of(exchange(id=call.id))])
    ended = await seen(lambda: store.get(call.id), lambda record: record.ending)
    await store.close()

    assert (started.status, ended.status) == ("started", "finished")


async def test_a_worker_that_is_told_to_stop_leaves_the_rest_to_others_at_once(workers, ends):
    ids = await publish(ends, 3000)
    first = workers.start("worker")
    await until(lambda: read_all(workers.data.counters)["stored"] > 0, "it works")

    status = first.stop()
    left = await ends.depth()
    workers.start("worker", index=1)
    depth = await emptied(ends)

    assert status == 0
    assert left.taken <= left.waiting
    assert depth.stored == 3000
    assert await stored(workers) == sorted(ids)


async def test_workers_that_are_killed_again_and_again_store_each_call_once(workers, ends):
    shaken, ids = random.Random(5), []

    ids += await publish(ends, 900)
    for _ in range(3):
        pair = [workers.start("worker", index=index) for index in range(2)]
        await asyncio.sleep(shaken.random() * 0.4)
        ids += await publish(ends, 100)
        for worker in pair:
            worker.kill()
    workers.start("worker")
    depth = await emptied(ends)

    assert await stored(workers) == sorted(ids)
    assert (depth.shipped, depth.stored, depth.dead) == (len(ids), len(ids), 0)


async def test_a_record_of_fifty_megabytes_passes(workers, ends):
    (sent,) = await publish(ends, request_body=incompressible(50 * 2**20), response_body=bytes(50 * 2**20))

    workers.start("worker")
    await emptied(ends)

    store = SqliteStore(workers.data.database, read_only=True)
    completion = await store.get(sent)
    await store.close()
    assert completion.bodies.request_body == incompressible(50 * 2**20)
    assert len(completion.bodies.response_body) == 50 * 2**20


async def test_a_redis_that_is_killed_while_workers_work_costs_nothing(tmp_path, workers, ends, redis):
    ids = await publish(ends, 1000)
    worker = workers.start("worker")

    for _ in range(3):
        await until(lambda: read_all(workers.data.counters)["stored"] > 0, "it works")
        redis.kill()
        redis.start()
    depth = await emptied(ends)

    assert worker.stop() == 0
    assert await stored(workers) == sorted(ids)
    assert (depth.shipped, depth.stored) == (1000, 1000)


#: In every process that runs with it: one call kills whoever tries to understand it.
KILLER = """
import os
import llm_proxy.understand

def understand(exchange, **options):
    if exchange.target == "/v1/poison":
        os.kill(os.getpid(), 9)
    return honest(exchange, **options)

honest, llm_proxy.understand.understand = llm_proxy.understand.understand, understand
"""


async def test_a_call_that_kills_workers_becomes_a_dead_letter_and_takes_none_of_its_batch_with_it(tmp_path, ends):
    (tmp_path / "sitecustomize.py").write_text(KILLER)
    env = {
        "PYTHONPATH": str(tmp_path),
        "LLM_PROXY_REDIS_URL": ends.url,
        "LLM_PROXY_STREAMS__PREFIX": ends.prefix,
        "LLM_PROXY_STREAMS__CLAIM_AFTER_S": "0.3",
        "LLM_PROXY_STREAMS__MAX_DELIVERIES": "3",
        "LLM_PROXY_STREAMS__WORKERS": "2",
    }
    calls = [exchange(target="/v1/poison" if number == 20 else "/v1/chat/completions") for number in range(40)]
    await ends.publisher().publish([Parcel.of(call) for call in calls])

    async with run(tmp_path, "worker", env=env) as product:
        depth = await emptied(ends)
        await product.stop()
        completions = await product.completions()
    letters = RedisLetters(ends.connection(), ends.shards)
    (letter,) = [each async for each in letters.all()]
    died = [line for line in product.logged() if line["event"] == "a process died; starting it again"]

    assert (depth.stored, depth.dead) == (39, 1)
    assert sorted(one.id for one in completions) == sorted(one.id for one in calls if one.target != "/v1/poison")
    assert letter.call_id == calls[20].id
    assert letter.deliveries == 4
    assert "may kill workers" in letter.reason
    assert [line["exit_status"] for line in died] == [-9] * 3
