import asyncio
import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from journal.frames import Recording
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter, journal_bytes
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending
from llm_proxy.shipper import Shipper
from queue_ends import Ends
from redis_service import RedisServer
from running import until

#: Small, so that files are finished and go.
LIMITS = JournalLimits(segment_bytes=2000, fsync="never")


@pytest.fixture
def redis(tmp_path):
    server = RedisServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
async def ends(redis):
    ends = Ends(redis.url, count=2, timeout_s=2.0)
    yield ends
    await ends.close()


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "journal"


@pytest.fixture
def journal(root, ledger):
    writer = JournalWriter(root, limits=LIMITS, ledger=ledger)
    yield writer
    with contextlib.suppress(OSError):
        writer.close()


@pytest.fixture
def shipping(ends, root, ledger):
    """Start a shipper; it is stopped, and has returned, at the end of the block."""

    @contextlib.asynccontextmanager
    async def ship():
        shipper = Shipper(JournalReader(root, ledger=ledger), ends.publisher(ledger=ledger))
        task = asyncio.create_task(shipper.run())
        yield shipper
        shipper.stop()
        async with asyncio.timeout(30):
            await task

    return ship


def record(journal, count=1):
    made = [Recording() for _ in range(count)]
    for one in made:
        journal.open(one.all())
    return [one.id for one in made]


async def in_queue(ends):
    """The calls in Redis, each by its id."""
    worker, found = ends.worker(), []
    while deliveries := await worker.take(limit=100, wait_s=0):
        found += [delivery.exchange for delivery in deliveries]
    await worker.close()
    return {exchange.id: exchange for exchange in found if exchange.ending}


def allow(redis, memory):
    redis.cli("CONFIG", "SET", "maxmemory", memory)


def balance(ledger):
    return ledger.get("accepted") - ledger.get("shipped") - ledger.get("waiting")


async def test_what_the_journal_has_is_in_the_queue_and_its_files_go(ends, root, journal, ledger, shipping):
    ids = record(journal, 100)

    async with shipping():
        await until(lambda: ledger.get("shipped") == 100, "all are shipped")

    assert sorted(await in_queue(ends)) == sorted(ids)
    assert journal_bytes(root) <= LIMITS.segment_bytes + 500
    assert balance(ledger) == 0


async def test_a_call_is_told_of_while_it_runs_and_shipped_when_it_has_ended(ends, journal, ledger, shipping):
    call, worker = Recording(), ends.worker()
    journal.open(call.open())

    async with shipping(), asyncio.timeout(30):
        while not (running := await worker.take(limit=10, wait_s=1)):
            pass
        for frames in (call.answer(), call.chunk(b"x"), call.close()):
            journal.append(frames)
        while not (ended := await worker.take(limit=10, wait_s=1)):
            pass

    assert [delivery.exchange.ending for delivery in running + ended] == [None, Ending.COMPLETE]
    assert {delivery.exchange.id for delivery in running + ended} == {call.id}


async def test_a_call_whose_proxy_died_is_shipped_as_aborted(ends, journal, shipping, ledger):
    call = Recording()
    journal.open(call.open())
    journal.append(call.answer())
    journal.close()

    async with shipping():
        await until(lambda: ledger.get("shipped") == 1, "it is shipped")

    assert (await in_queue(ends))[call.id].ending is Ending.ABORTED


async def test_without_redis_the_journal_keeps_everything_until_it_is_there(
    ends, root, journal, ledger, shipping, redis
):
    redis.kill()
    ids = record(journal, 50)

    async with shipping():
        await until(lambda: ledger.get("waiting") == 50, "the calls are seen")
        kept = journal_bytes(root)
        redis.start()
        await until(lambda: ledger.get("shipped") == 50, "all are shipped")

    assert kept > 50 * 100
    assert sorted(await in_queue(ends)) == sorted(ids)


async def test_a_shipper_that_is_told_to_stop_does_not_wait_for_redis(journal, ledger, shipping, redis):
    redis.kill()
    record(journal)

    async with shipping():
        await until(lambda: ledger.get("waiting") == 1, "the call is seen")

    assert ledger.get("shipped") == 0


async def test_what_is_in_the_journal_is_shipped_before_it_stops(ends, journal, shipping):
    ids = record(journal, 450)

    async with shipping() as shipper:
        shipper.stop()

    assert sorted(await in_queue(ends)) == sorted(ids)


@pytest.mark.parametrize("trouble", ["full", "replica", "frozen", "paused"])
async def test_a_redis_in_trouble_delays_calls_and_loses_and_doubles_none(
    ends, journal, ledger, shipping, redis, trouble, capsys
):
    begin, end = {
        "full": (lambda: allow(redis, "100kb"), lambda: allow(redis, "0")),
        "replica": (lambda: redis.cli("REPLICAOF", "127.0.0.1", "1"), lambda: redis.cli("REPLICAOF", "NO", "ONE")),
        "frozen": (redis.freeze, redis.thaw),
        "paused": (lambda: redis.cli("CLIENT", "PAUSE", "3500", "WRITE"), lambda: None),
    }[trouble]
    ids = record(journal, 3)

    async with shipping():
        await until(lambda: ledger.get("shipped") == 3, "Redis works")
        begin()
        ids += record(journal, 300)
        await until(lambda: ledger.get("waiting") > 0, "calls wait")
        said = ""
        while "not available" not in said:
            await asyncio.sleep(0.02)
            said += "".join(capsys.readouterr())
        end()
        await until(lambda: ledger.get("shipped") == 303, "all are shipped")

    assert sorted(await in_queue(ends)) == sorted(ids)
    assert (await ends.depth()).shipped == 303
    said += "".join(capsys.readouterr())
    assert said.count("not available") == said.count("available again") == 1


async def test_a_shipper_that_is_killed_anywhere_ships_each_call_once(ends, root, journal, ledger, shipping):
    """Killed: cancelled wherever it waits, which is also between the queue's answer and the journal's note of it."""
    ids, loop = [], asyncio.get_running_loop()

    for turn in range(12):
        ids += record(journal, 40)
        threads = ThreadPoolExecutor(2)
        loop.set_default_executor(threads)
        shipper = Shipper(JournalReader(root, ledger=Ledger()), ends.publisher())
        task = asyncio.create_task(shipper.run())
        await asyncio.sleep(0.004 * turn)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        threads.shutdown()  # a process takes its threads along when it dies; here they would read beside the next one
    loop.set_default_executor(ThreadPoolExecutor(2))
    # The counts of those that were killed are lost here, which no process' are. What they have shipped is counted with
    # what is shipped next: there is something, also if they were quick enough to leave nothing.
    ids += record(journal)
    async with shipping():
        await until(lambda: ledger.get("shipped") == len(ids), "all are shipped and counted")

    assert sorted(await in_queue(ends)) == sorted(ids)
    assert (await ends.depth()).shipped == len(ids)
