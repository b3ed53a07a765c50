import os

import pytest
from hypothesis import HealthCheck, given, settings

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.journal.reader import JournalReader
from llm_proxy.metrics import Ledger
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.queue.in_journal_letters import JournalLetters
from queue_exchanges import any_exchange, exchange


@pytest.fixture
def queue(tmp_path):
    ledger = Ledger()
    reader = JournalReader(tmp_path / "journal", ledger=ledger)
    return JournalQueue(reader, dead_letters=tmp_path / "dead-letters")


@pytest.fixture
def letters(tmp_path):
    return JournalLetters(tmp_path / "dead-letters")


async def listed(letters):
    return [letter async for letter in letters.all()]


async def test_no_directory_is_no_letters(letters):
    assert await listed(letters) == []


async def test_what_the_queue_has_buried_is_listed_and_read_whole(queue, letters):
    sent = [exchange(), exchange(request_body=b"\xff\x00", response_body=None)]
    for one in sent:
        await queue.bury(Delivery(one), "the store will never take it")

    found = await listed(letters)

    assert [(letter.call_id, letter.reason) for letter in found] == [
        (one.id, "the store will never take it") for one in sent
    ]
    assert [await letters.read(letter) for letter in found] == sent


@given(sent=any_exchange())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_call_is_read_as_it_was_buried(queue, letters, sent):
    await queue.bury(Delivery(sent), "why not")

    for letter in await listed(letters):
        assert await letters.read(letter) == sent
        assert await letters.drop(letter)


async def test_a_file_that_is_no_letter_is_listed_and_can_be_dropped(letters, tmp_path):
    (tmp_path / "dead-letters").mkdir()
    (tmp_path / "dead-letters" / "x.json").write_text('{"reason": 3')

    (letter,) = await listed(letters)
    with pytest.raises(EnvelopeUnreadable):
        await letters.read(letter)
    dropped = [await letters.drop(letter), await letters.drop(letter)]

    assert "cannot be read" in letter.reason
    assert dropped == [True, False]
    assert os.listdir(tmp_path / "dead-letters") == []  # noqa: PTH208
