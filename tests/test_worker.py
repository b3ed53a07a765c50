import asyncio
import contextlib
import signal
import subprocess
import sys
from collections.abc import Sequence

import pytest

from journal.frames import Recording
from llm_proxy.errors import StoreRejected, StoreUnavailable
from llm_proxy.journal.format import Answer, Timing
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import OVERHEAD, Ledger
from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.understand import understand
from llm_proxy.worker import BATCH_RECORDS, Worker
from records import NO_COST

GENEROUS_S = 30


class ListStore:
    """Keeps records in memory; is away for as long as it is told to be, and rejects the ids that it is told."""

    def __init__(self) -> None:
        self.records: dict[str, Completion] = {}
        self.batches: list[int] = []
        self.rejected: set[str] = set()
        self.away = False
        self.asked = asyncio.Event()

    async def put(self, completions: Sequence[Completion]) -> None:
        self.asked.set()
        if self.away:
            raise StoreUnavailable("gone fishing")
        for completion in completions:
            if completion.id in self.rejected:
                raise StoreRejected(f"{completion.id} is indigestible")
        self.batches.append(len(completions))
        for completion in completions:
            if completion.status is not Status.STARTED or completion.id not in self.records:
                self.records[completion.id] = completion


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def make_queue(tmp_path, ledger):
    return lambda: JournalQueue(JournalReader(tmp_path / "journal", ledger=ledger), dead_letters=tmp_path / "dead")


@pytest.fixture
def writer(tmp_path, ledger):
    journal = JournalWriter(tmp_path / "journal", limits=JournalLimits(fsync="never"), ledger=ledger)
    yield journal
    journal.close()


@pytest.fixture
def store():
    return ListStore()


def record(writer: JournalWriter, count: int) -> list[str]:
    calls = [Recording() for _ in range(count)]
    for call in calls:
        writer.open(call.all())
    return [call.id for call in calls]


def balances(ledger: Ledger) -> bool:
    return ledger.get("accepted") == ledger.get("stored") + ledger.get("waiting") + ledger.get("dead")


async def until(claim) -> None:
    async with asyncio.timeout(GENEROUS_S):
        while not claim():  # noqa: ASYNC110 - a ledger wakes nobody
            await asyncio.sleep(0.01)


async def drain(worker: Worker) -> None:
    worker.stop()
    async with asyncio.timeout(GENEROUS_S):
        await worker.run()


@contextlib.asynccontextmanager
async def running(worker: Worker):
    async with asyncio.timeout(GENEROUS_S), asyncio.TaskGroup() as group:
        group.create_task(worker.run())
        yield
        worker.stop()


async def test_told_to_stop_it_takes_in_all_that_is_there_first(make_queue, writer, store, ledger, tmp_path):
    ids = record(writer, 2 * BATCH_RECORDS + 50)
    writer.close()

    await drain(Worker(make_queue(), store))

    assert sorted(store.records) == ids
    assert store.batches == [BATCH_RECORDS, BATCH_RECORDS, 50]
    assert (ledger.get("stored"), ledger.get("waiting")) == (len(ids), 0)
    assert balances(ledger)
    assert list((tmp_path / "journal").iterdir()) == []


async def test_each_record_is_stored_with_what_it_cost(make_queue, writer, store):
    cheap, free = record(writer, 2)

    await drain(Worker(make_queue(), store, price=lambda completion: NO_COST if completion.id == cheap else None))

    assert store.records[cheap].cost == NO_COST
    assert store.records[free].cost is None


async def test_a_call_is_shown_while_it_runs_and_replaced_when_it_has_ended(make_queue, writer, store, ledger):
    call = Recording()
    async with running(Worker(make_queue(), store)):
        writer.open(call.open())
        await until(lambda: call.id in store.records)
        early = store.records[call.id].status

        writer.append(call.close())
        await until(lambda: store.records[call.id].status is not Status.STARTED)

    assert early is Status.STARTED
    assert store.records[call.id].status is Status.FINISHED
    assert balances(ledger)


async def test_an_idle_worker_does_not_bother_the_store(make_queue, writer, store):
    await drain(Worker(make_queue(), store))

    assert store.batches == []


async def test_while_the_store_is_away_records_wait_and_none_is_lost(make_queue, writer, store, ledger):
    store.away = True
    ids = record(writer, 3)
    async with running(Worker(make_queue(), store)):
        await store.asked.wait()
        assert ledger.get("stored") == 0

        store.away = False
        await until(lambda: ledger.get("stored") == 3)

    assert sorted(store.records) == ids
    assert balances(ledger)


async def test_told_to_stop_while_the_store_is_away_it_stops_and_all_comes_again(make_queue, writer, store, ledger):
    store.away = True
    ids = record(writer, 3)
    async with running(Worker(make_queue(), store)):
        await store.asked.wait()
    assert (ledger.get("stored"), ledger.get("waiting")) == (0, 3)

    store.away = False
    await drain(Worker(make_queue(), store))

    assert sorted(store.records) == ids
    assert balances(ledger)


async def test_one_record_that_the_store_rejects_is_buried_and_stops_no_other(
    make_queue, writer, store, ledger, tmp_path
):
    ids = record(writer, 5)
    store.rejected = {ids[2]}

    await drain(Worker(make_queue(), store))

    assert sorted(store.records) == [*ids[:2], *ids[3:]]
    assert [path.stem for path in (tmp_path / "dead").iterdir()] == [ids[2]]
    assert "indigestible" in (tmp_path / "dead" / f"{ids[2]}.json").read_text()
    assert (ledger.get("stored"), ledger.get("waiting"), ledger.get("dead")) == (4, 0, 1)
    assert balances(ledger)


async def test_what_was_buried_does_not_come_again(make_queue, writer, store):
    (only,) = record(writer, 1)
    store.rejected = {only}
    await drain(Worker(make_queue(), store))

    store.rejected = set()
    await drain(Worker(make_queue(), store))

    assert store.records == {}


async def test_a_dead_letter_that_cannot_be_written_stops_nothing_and_comes_again(
    make_queue, writer, store, ledger, tmp_path
):
    ids = record(writer, 3)
    store.rejected = {ids[0]}
    (tmp_path / "dead").write_text("in the way")
    await drain(Worker(make_queue(), store))
    assert sorted(store.records) == ids[1:]
    assert (ledger.get("waiting"), ledger.get("dead")) == (1, 0)
    assert balances(ledger)

    (tmp_path / "dead").unlink()
    await drain(Worker(make_queue(), store))

    assert (ledger.get("waiting"), ledger.get("dead")) == (0, 1)
    assert balances(ledger)


async def test_a_record_that_is_rejected_while_its_call_runs_gets_another_chance(make_queue, writer, store, ledger):
    call = Recording()
    store.rejected = {call.id}
    queue = make_queue()
    writer.open(call.open())
    await drain(Worker(queue, store))
    assert balances(ledger)

    store.rejected = set()
    writer.append(call.close())
    await drain(Worker(queue, store))

    assert store.records[call.id].status is Status.FINISHED
    assert (ledger.get("stored"), ledger.get("dead")) == (1, 0)


async def test_a_database_whose_directory_is_not_there_yet_is_waited_for(make_queue, writer, ledger, tmp_path):
    database = SqliteStore(tmp_path / "later" / "store.sqlite3")
    ids = record(writer, 3)
    async with running(Worker(make_queue(), database)):
        await until(lambda: ledger.get("waiting") == 3)
        (tmp_path / "later").mkdir()
        await database.migrate()
        await until(lambda: ledger.get("stored") == 3)

    page = await database.find(CompletionQuery())
    await database.close()
    assert sorted(one.id for one in page.completions) == ids
    assert balances(ledger)


async def test_what_was_stored_but_not_acknowledged_is_stored_once(make_queue, writer, ledger, tmp_path):
    database = SqliteStore(tmp_path / "store.sqlite3")
    await database.migrate()
    ids = record(writer, 3)
    taken = await make_queue().take(limit=10, wait_s=0)
    await database.put([understand(one.exchange) for one in taken])  # and then its process died

    await drain(Worker(make_queue(), database))

    page = await database.find(CompletionQuery())
    await database.close()
    assert sorted(one.id for one in page.completions) == ids
    assert balances(ledger)


async def test_what_no_decoder_understands_is_stored_with_its_bytes(make_queue, writer, store):
    call = Recording()
    writer.open(call.open(b"\xff\xfe not JSON"))
    writer.append(call.answer())
    writer.append(call.chunk(b"\x00\x01"))
    writer.append(call.close())

    await drain(Worker(make_queue(), store))

    stored = store.records[call.id]
    assert stored.decode_problem
    assert (stored.bodies.request_body, stored.bodies.response_body) == (b"\xff\xfe not JSON", b"\x00\x01")


_MORTAL = """
import asyncio, os, signal, sys
from pathlib import Path
from llm_proxy import worker
from llm_proxy.journal.reader import JournalReader
from llm_proxy.metrics import Ledger
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.store.sqlite import SqliteStore

root = Path(sys.argv[1])
understand = worker.understand

def deadly(exchange, *, harmful=None, **settings):
    if b"poison" in exchange.request_body and harmful is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return understand(exchange, harmful=harmful, **settings)

worker.understand = deadly

async def main():
    ledger = Ledger(root / "store-0.ledger")
    store = SqliteStore(root / "store.sqlite3")
    await store.migrate()
    queue = JournalQueue(JournalReader(root / "journal", ledger=ledger), dead_letters=root / "dead")
    one = worker.Worker(queue, store, suspect_note=root / "suspect")
    one.stop()
    await one.run()
    await store.close()

asyncio.run(main())
"""


async def run_mortal(root) -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _MORTAL, str(root), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    async with asyncio.timeout(GENEROUS_S):
        return await process.wait()


async def test_an_exchange_that_kills_the_process_does_so_three_times_and_is_then_stored_undecoded(writer, tmp_path):
    before, after = record(writer, 2), Recording()
    poison = Recording()
    writer.open(poison.open(b"poison"))
    writer.append(poison.close())
    writer.open(after.all())

    statuses = [await run_mortal(tmp_path) for _ in range(4)]

    assert statuses == [-signal.SIGKILL] * 3 + [0]
    database = SqliteStore(tmp_path / "store.sqlite3", read_only=True)
    stored = {one.id for one in (await database.find(CompletionQuery())).completions}
    undecoded = await database.get(poison.id)
    await database.close()
    assert stored == {*before, poison.id, after.id}
    assert undecoded.decode_problem == "not decoded: 3 processes died while they did"
    assert (undecoded.status, undecoded.bodies.request_body) == (Status.FINISHED, b"poison")


@pytest.mark.parametrize("content", [b"", b"short", bytes(500)])
async def test_a_note_of_suspects_that_is_none_is_replaced(make_queue, writer, store, tmp_path, content):
    (tmp_path / "suspect").write_bytes(content)
    ids = record(writer, 1)

    await drain(Worker(make_queue(), store, suspect_note=tmp_path / "suspect"))

    assert list(store.records) == ids
    assert (tmp_path / "suspect").read_bytes() == bytes(73)


async def test_a_worker_that_cannot_note_suspects_works_all_the_same(make_queue, writer, store, tmp_path):
    ids = record(writer, 1)

    await drain(Worker(make_queue(), store, suspect_note=tmp_path / "nowhere" / "suspect"))

    assert list(store.records) == ids


def test_a_process_that_only_works_looks_for_garbage_rarely_and_still_finds_it():
    script = (
        "import gc, weakref; from llm_proxy.worker import collect_rarely\n"
        "class Ring: pass\n"
        "collect_rarely(); before = gc.get_stats()[0]['collections']\n"
        "ring = Ring(); ring.me = ring; gone = weakref.ref(ring); del ring\n"
        "kept = [[number] for number in range(100_000)]\n"
        "print(gone() is None, gc.get_stats()[0]['collections'] - before < 20, gc.get_freeze_count() > 1000)"
    )

    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout

    assert said == "True True True\n"


async def test_our_own_part_of_calls_that_have_ended_is_counted(make_queue, writer, store, ledger):
    timed, running, untimed = (Recording() for _ in range(3))
    for call in (timed, running):
        writer.open(call.open())
        writer.append(call.answer(Answer(200, [], timing=Timing(sent_us=900, overhead_us=300))))
    writer.append(timed.close())
    writer.open(untimed.all())

    await drain(Worker(make_queue(), store, note_overhead=ledger.observe_overhead))

    counted = {name: ledger.get(name) for name in OVERHEAD if ledger.get(name)}
    assert counted == {"overhead.500": 1, "overhead.sum_us": 300}
