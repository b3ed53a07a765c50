import asyncio
import json
import shutil

import pytest

from journal.frames import Recording
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.queue.redis_publisher import Parcel, RedisPublisher
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.status import host_account, show_status
from queue_ends import Ends


@pytest.fixture
def data(tmp_path):
    data = DataDir(tmp_path / "data")
    data.prepare()
    return data


def record(data, count):
    writer = JournalWriter(data.journal, limits=JournalLimits(fsync="never"), ledger=data.ledger("proxy-0"))
    for _ in range(count):
        writer.open(Recording().all())
    writer.close()


def test_an_account_without_redis_says_what_waits_and_what_is_missing(data, capsys):
    record(data, 5)
    reader = JournalReader(data.journal, ledger=(ledger := data.ledger("store-0")))
    before = host_account(data)

    stored, dead, *_ = reader.poll(limit=5)
    reader.mark_stored([stored.id, dead.id])
    ledger.add("stored")
    ledger.add("dead")
    reader.tidy()
    status = show_status(Settings(data_dir=data.root), as_json=True, check=True)

    told = json.loads(capsys.readouterr().out)
    assert (before.waiting, before.missing) == (5, 0)
    assert status == 0
    assert {name: told["host"][name] for name in ("accepted", "stored", "dead", "waiting", "missing")} == {
        "accepted": 5, "stored": 1, "dead": 1, "waiting": 3, "missing": 0,
    }  # fmt: skip
    assert told["host"]["journal_bytes"] > 0
    assert told["redis"] is None


def test_what_is_missing_fails_a_check_and_nothing_else(data, capsys):
    record(data, 1)
    shutil.rmtree(data.journal)
    settings = Settings(data_dir=data.root)

    assert (show_status(settings, as_json=False), show_status(settings, as_json=False, check=True)) == (0, 1)
    assert "missing              1" in capsys.readouterr().out


def test_dropped_calls_are_shown_by_their_reasons(data, capsys):
    ledger = data.ledger("proxy-1")
    ledger.add("dropped.journal_full", 3)
    ledger.observe_overhead(0.0003)
    data.ledger("supervisor-0").add("restarts.proxy", 2)

    account = host_account(data)

    show_status(Settings(data_dir=data.root), as_json=False)
    _, *lines = capsys.readouterr().out.splitlines()
    assert all(line[22] == " " != line[23] for line in lines), "the numbers stand in one column"
    assert account.dropped == {"journal_full": 3}
    assert account.restarts == 2
    assert (account.overhead_p50_s, account.overhead_p99_s) == (0.0005, 0.0005)


def test_with_redis_both_accounts_balance_and_workers_are_in_that_of_redis(data, redis, capsys):
    record(data, 4)
    ends = Ends(redis.url)
    settings = Settings.model_validate(
        {"data_dir": str(data.root), "redis": {"url": redis.url}, "streams": {"prefix": ends.prefix}}
    )

    async def ship_and_store():
        shipper = data.ledger("shipper-0")
        reader = JournalReader(data.journal, ledger=shipper)
        publisher = RedisPublisher(ends.connection(), ends.shards, name="j", ledger=shipper)
        exchanges = reader.poll(limit=3)
        await publisher.publish([Parcel.of(exchange) for exchange in exchanges])
        reader.mark_stored([exchange.id for exchange in exchanges])
        reader.poll(limit=10)
        reader.tidy()
        worker = ends.worker(ledger=data.ledger("worker-0"))
        stored, dead = await worker.take(limit=2, wait_s=5)
        await worker.ack([stored])
        await worker.bury(dead, "never")
        await ends.close()

    asyncio.run(ship_and_store())
    status = show_status(settings, as_json=True, check=True)

    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert (told["host"]["shipped"], told["host"]["waiting"], told["host"]["stored"]) == (3, 1, 0)
    assert (told["host"]["worker_stored"], told["host"]["worker_dead"], told["host"]["missing"]) == (1, 1, 0)
    assert (told["redis"]["shipped"], told["redis"]["waiting"], told["redis"]["stored"]) == (3, 1, 1)
    assert (told["redis"]["dead_letters"], told["redis"]["missing"]) == (1, 0)


def test_a_redis_that_is_away_is_shown_without_its_password(data, capsys):
    settings = Settings.model_validate({"data_dir": str(data.root), "redis": {"url": "redis://:secret@127.0.0.1:1"}})

    status = show_status(settings, as_json=False, check=True)

    said = capsys.readouterr().out
    assert status == 1
    assert "cannot be reached" in said
    assert "secret" not in said
