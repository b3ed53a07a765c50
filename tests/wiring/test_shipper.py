import random

import pytest

from children import children
from journal.frames import Recording
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger, read_all
from redis_service import RedisServer
from running import until


@pytest.fixture
def shippers(tmp_path, ends):
    with children(
        tmp_path / "data", redis={"url": ends.url}, streams={"prefix": ends.prefix, "shards": ends.count}
    ) as made:
        yield made


@pytest.fixture
def journal(shippers):
    writer = JournalWriter(
        shippers.data.journal,
        limits=JournalLimits(segment_bytes=65536, fsync="never"),
        ledger=shippers.data.ledger("proxy-0"),
    )
    yield writer
    writer.close()


def record(journal, count):
    made = [Recording() for _ in range(count)]
    for one in made:
        journal.open(one.all())
    return [one.id for one in made]


async def in_queue(ends):
    worker, found = ends.worker(), []
    while deliveries := await worker.take(limit=500, wait_s=0):
        found += [delivery.exchange.id for delivery in deliveries]
    return found


async def test_a_shipper_moves_the_journal_into_redis_and_ends_when_it_is_told(shippers, journal, ends):
    ids = record(journal, 30)

    shipper = shippers.start("shipper")
    await until(lambda: read_all(shippers.data.counters)["shipped"] == 30, "all are shipped")
    status = shipper.stop()

    assert status == 0
    assert sorted(await in_queue(ends)) == sorted(ids)
    assert shipper.log.read_text() == ""


async def test_a_shipper_ends_when_its_supervisor_is_gone(shippers, journal, ends):
    shipper = shippers.start("shipper")
    ids = record(journal, 5)

    shipper.lifeline.close()

    assert shipper.process.wait(30) == 0
    assert sorted(await in_queue(ends)) == sorted(ids)


async def test_a_shipper_that_is_killed_again_and_again_ships_and_counts_each_call_once(shippers, journal, ends):
    ids, shaken = [], random.Random(3)

    for _ in range(8):
        before = read_all(shippers.data.counters)["shipped"]
        shipper = shippers.start("shipper")
        ids += record(journal, shaken.randrange(1, 600))
        await until(lambda before=before: read_all(shippers.data.counters)["shipped"] > before, "it works")
        shipper.kill()
    shippers.start("shipper")
    await until(lambda: read_all(shippers.data.counters)["shipped"] >= len(ids), "all are shipped")

    found, depth, numbers = await in_queue(ends), await ends.depth(), read_all(shippers.data.counters)
    assert sorted(found) == sorted(ids)
    assert depth.shipped == len(ids)
    assert numbers["accepted"] == numbers["shipped"] == len(ids)


async def test_a_password_that_is_wrong_is_in_no_log(tmp_path):
    secret = "not-the-right-one"
    server = RedisServer(tmp_path / "redis", requirepass="the-right-one")
    try:
        url = f"redis://:{secret}@127.0.0.1:{server.port}"
        with children(tmp_path / "data", redis={"url": url}, log={"level": "debug"}) as made:
            journal = JournalWriter(made.data.journal, limits=JournalLimits(), ledger=Ledger())
            record(journal, 1)
            shipper = made.start("shipper")
            await until(lambda: "does not let us in" in shipper.log.read_text(), "a word about it")
            journal.close()

            assert shipper.stop() == 0
            assert secret not in shipper.log.read_text()
    finally:
        server.stop()


async def test_what_may_lose_calls_in_redis_is_said_at_the_start(tmp_path):
    server = RedisServer(tmp_path / "redis", appendonly="no", maxmemory_policy="allkeys-lru")
    try:
        with children(tmp_path / "data", redis={"url": server.url}) as made:
            shipper = made.start("shipper")
            await until(lambda: shipper.log.read_text().count("advice") == 2, "advice")

            assert "appendonly yes" in shipper.log.read_text()
            assert "noeviction" in shipper.log.read_text()
    finally:
        server.stop()


def test_without_redis_in_the_settings_it_says_what_to_set(tmp_path):
    with children(tmp_path / "data") as made, pytest.raises(AssertionError, match="LLM_PROXY_REDIS_URL"):
        made.start("shipper")
