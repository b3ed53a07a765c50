"""What every place for dead letters promises, whichever it is."""

from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.journal.reader import JournalReader
from llm_proxy.metrics import Ledger
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.queue.in_journal_letters import JournalLetters
from llm_proxy.queue.redis_letters import RedisLetters
from llm_proxy.queue.redis_publisher import Parcel
from queue_exchanges import exchange


@pytest.fixture(params=["files", "redis"])
def place(request, tmp_path):
    """The letters, and a way to bury a call there."""
    if request.param == "files":
        ledger = Ledger()
        reader = JournalReader(tmp_path / "journal", ledger=ledger)
        queue = JournalQueue(reader, dead_letters=tmp_path / "dead")
        return JournalLetters(tmp_path / "dead"), lambda sent, reason: queue.bury(Delivery(sent), reason)
    ends = request.getfixturevalue("ends")

    async def bury(sent, reason):
        worker = ends.worker()
        await ends.publisher().publish([Parcel.of(sent)])
        (delivery,) = await worker.take(limit=1, wait_s=5)
        await worker.bury(delivery, reason)

    return RedisLetters(ends.connection(), ends.shards), bury


async def listed(letters):
    return [letter async for letter in letters.all()]


async def test_a_letter_says_which_call_when_and_why_and_has_the_whole_call(place):
    letters, bury = place
    sent = exchange()
    await bury(sent, "no good")

    (letter,) = await listed(letters)

    assert (letter.call_id, letter.reason) == (sent.id, "no good")
    assert abs(letter.buried_at - datetime.now(UTC)) < timedelta(minutes=5)
    assert await letters.read(letter) == sent


async def test_a_letter_is_dropped_once_and_the_others_stay(place):
    letters, bury = place
    sent = [exchange(), exchange()]
    for one in sent:
        await bury(one, "no good")
    first, second = await listed(letters)

    dropped = [await letters.drop(first), await letters.drop(first)]

    assert dropped == [True, False]
    assert await listed(letters) == [second]
    with pytest.raises(EnvelopeUnreadable):
        await letters.read(first)
