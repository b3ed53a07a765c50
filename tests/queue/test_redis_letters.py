import pytest

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.queue.redis_letters import RedisLetters
from llm_proxy.queue.redis_publisher import Parcel
from queue_exchanges import exchange, incompressible


async def bury(ends, *sent):
    worker = ends.worker()
    await ends.publisher().publish([Parcel.of(one) for one in sent])
    left = len(sent)
    while left:
        for delivery in await worker.take(limit=100, wait_s=1):
            await worker.bury(delivery, f"no good: {delivery.exchange.id}")
            left -= 1


async def listed(letters):
    return [letter async for letter in letters.all()]


@pytest.fixture
def letters(ends):
    return RedisLetters(ends.connection(), ends.shards)


async def test_all_dead_letters_are_listed_with_their_reasons_oldest_first(ends, letters):
    sent = [exchange() for _ in range(120)]
    await bury(ends, *sent)

    found = await listed(letters)

    assert [letter.call_id for letter in found] == [one.id for one in sent]
    assert (found[0].reason, found[0].deliveries) == (f"no good: {sent[0].id}", 1)
    assert found[0].buried_at <= found[-1].buried_at


async def test_a_letter_is_read_whole_also_if_it_is_large(ends, letters):
    sent = [exchange(), exchange(request_body=incompressible(5 * 2**20))]
    await bury(ends, *sent)

    read = [await letters.read(letter) for letter in await listed(letters)]

    assert read == sent


async def test_a_letter_that_is_tried_again_is_delivered_as_new_and_stays_whole(ends, letters):
    sent, worker = exchange(request_body=incompressible(5 * 2**20)), ends.worker()
    await bury(ends, sent)
    (letter,) = await listed(letters)

    again = [await letters.retry(letter), await letters.retry(letter)]
    (delivery,) = await worker.take(limit=10, wait_s=5)
    await worker.ack([delivery])

    assert again == [True, False]
    assert delivery.exchange == sent
    now = await ends.depth()
    assert (now.shipped, now.retried, now.stored, now.dead, now.dead_letters, now.waiting) == (1, 1, 1, 1, 0, 0)


async def test_a_letter_that_is_dropped_leaves_nothing_but_its_number(ends, letters):
    await bury(ends, exchange(request_body=incompressible(5 * 2**20)))
    (letter,) = await listed(letters)

    dropped = [await letters.drop(letter), await letters.drop(letter)]

    assert dropped == [True, False]
    assert not [key for key in await ends.keys() if ":part:" in key]
    assert await listed(letters) == []
    assert (await ends.depth()).dropped == 1
    with pytest.raises(EnvelopeUnreadable, match="not there"):
        await letters.read(letter)


async def test_what_could_not_be_read_can_be_listed_and_dropped(ends, letters):
    await ends.call("XADD", ends.shards[0].calls, "*", "parts", "nonsense")
    await ends.worker().take(limit=10, wait_s=0)
    worker = ends.worker(claim_after_s=0.01)
    while not (found := await listed(letters)):
        await worker.take(limit=10, wait_s=0.1)

    with pytest.raises(EnvelopeUnreadable):
        await letters.read(found[0])
    assert found[0].call_id == ""
    assert await letters.drop(found[0])
