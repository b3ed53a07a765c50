import asyncio
import base64
import json
import stat

import pytest

from journal.disks import files_no_longer_than
from journal.frames import Recording
from llm_proxy.errors import JournalUnwritable
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Ending
from llm_proxy.queue import in_journal
from llm_proxy.queue.in_journal import JournalQueue


@pytest.fixture
def ledger():
    return Ledger()


@pytest.fixture
def make_queue(tmp_path, ledger):
    return lambda: JournalQueue(
        JournalReader(tmp_path / "journal", ledger=ledger), dead_letters=tmp_path / "dead" / "letters"
    )


@pytest.fixture
def queue(make_queue):
    return make_queue()


@pytest.fixture
def writer(tmp_path, ledger):
    journal = JournalWriter(tmp_path / "journal", limits=JournalLimits(fsync="never"), ledger=ledger)
    yield journal
    journal.close()


def balance(ledger: Ledger) -> tuple[int, int, int, int]:
    return ledger.get("accepted"), ledger.get("stored"), ledger.get("waiting"), ledger.get("dead")


async def test_what_is_there_is_taken_at_once_and_no_more_than_asked_for(queue, writer):
    calls = [Recording() for _ in range(5)]
    for call in calls:
        writer.open(call.all())

    first = await queue.take(limit=3, wait_s=60)
    second = await queue.take(limit=3, wait_s=60)

    assert [one.exchange.id for one in first + second] == [call.id for call in calls]
    assert len(first) == 3


async def test_with_nothing_there_it_waits_as_long_as_it_was_told_to(queue, writer):
    assert await queue.take(limit=3, wait_s=0) == []
    assert await queue.take(limit=3, wait_s=0.1) == []


async def test_what_comes_while_it_waits_ends_the_waiting(queue, writer):
    call = Recording()
    taking = asyncio.create_task(queue.take(limit=3, wait_s=60))
    await asyncio.sleep(0)

    writer.open(call.all())

    assert [one.exchange.id for one in await taking] == [call.id]


async def test_after_all_was_taken_the_next_look_is_a_while_later(queue, writer, monkeypatch):
    monkeypatch.setattr(in_journal, "POLL_INTERVAL_S", 0.5)
    first, later = Recording(), [Recording() for _ in range(3)]
    writer.open(first.all())
    loop = asyncio.get_running_loop()

    taken_first = await queue.take(limit=200, wait_s=60)
    for number, call in enumerate(later):
        loop.call_later(number / 100, writer.open, call.all())
    taken_then = await queue.take(limit=200, wait_s=60)

    assert [one.exchange.id for one in taken_first + taken_then] == [first.id, *(call.id for call in later)]


async def test_whoever_cannot_wait_is_given_what_is_there_at_once(queue, writer):
    calls = [Recording(), Recording()]
    taken = []

    for call in calls:
        writer.open(call.all())
        taken += await queue.take(limit=200, wait_s=0)

    assert [one.exchange.id for one in taken] == [call.id for call in calls]


async def test_what_was_acknowledged_is_counted_and_does_not_come_again(queue, make_queue, writer, ledger):
    for _ in range(3):
        writer.open(Recording().all())
    first, *rest = await queue.take(limit=10, wait_s=0)

    await queue.ack([first])

    assert balance(ledger) == (3, 1, 2, 0)
    again = await make_queue().take(limit=10, wait_s=0)
    assert [one.exchange.id for one in again] == [one.exchange.id for one in rest]


async def test_a_call_that_still_runs_is_not_done_with_when_it_is_acknowledged(queue, writer, ledger):
    call = Recording()
    writer.open(call.open())
    await queue.ack(await queue.take(limit=10, wait_s=0))
    assert balance(ledger) == (1, 0, 1, 0)

    writer.append(call.close())
    (delivery,) = await queue.take(limit=10, wait_s=0)
    await queue.ack([delivery])

    assert delivery.exchange.ending is Ending.COMPLETE
    assert balance(ledger) == (1, 1, 0, 0)


async def test_what_is_buried_lies_in_a_file_of_its_own_with_the_reason_and_all_bytes(
    queue, make_queue, writer, ledger, tmp_path
):
    call = Recording()
    writer.open(call.open(b"\xff\x00"))
    writer.append(call.answer())
    writer.append(call.chunk(b"answer"))
    writer.append(call.close())
    (delivery,) = await queue.take(limit=10, wait_s=0)

    await queue.bury(delivery, "too strange")

    (path,) = (tmp_path / "dead" / "letters").iterdir()
    letter = json.loads(path.read_bytes())
    assert path.name == f"{call.id}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (letter["reason"], letter["exchange"]["id"]) == ("too strange", call.id)
    assert base64.b64decode(letter["exchange"]["request_body"]) == b"\xff\x00"
    assert base64.b64decode(letter["exchange"]["response_body"]) == b"answer"
    assert letter["exchange"]["chunks"] == {"times_us": [30], "sizes": [6]}
    assert balance(ledger) == (1, 0, 0, 1)
    assert await make_queue().take(limit=10, wait_s=0) == []


async def test_what_cannot_be_buried_is_not_lost(queue, make_queue, writer, ledger, tmp_path):
    writer.open(Recording().all())
    (delivery,) = await queue.take(limit=10, wait_s=0)

    with files_no_longer_than(10), pytest.raises(JournalUnwritable, match="letters"):
        await queue.bury(delivery, "too strange")

    assert balance(ledger) == (1, 0, 1, 0)
    (again,) = await make_queue().take(limit=10, wait_s=0)
    assert again.exchange.id == delivery.exchange.id
    assert not list(tmp_path.glob("dead/letters/*.json"))


async def test_a_journal_that_is_taken_in_is_gone(queue, writer, tmp_path):
    for _ in range(3):
        writer.open(Recording().all())
    writer.close()

    await queue.ack(await queue.take(limit=10, wait_s=0))
    await queue.take(limit=10, wait_s=0)

    assert list((tmp_path / "journal").iterdir()) == []
