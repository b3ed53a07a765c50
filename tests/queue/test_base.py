"""What every queue promises to a worker, whichever it is."""

import pytest

from decode.exchanges import exchange_of
from journal.frames import Recording
from llm_proxy.journal.reader import JournalReader
from llm_proxy.journal.writer import JournalLimits, JournalWriter
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Endpoint
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.in_journal import JournalQueue
from llm_proxy.queue.redis_publisher import Parcel


class Journal:
    """A queue in a journal, and the proxy's side of it."""

    def __init__(self, tmp_path):
        self._directory, self.ledger = tmp_path, Ledger()
        self._writer = JournalWriter(tmp_path / "journal", limits=JournalLimits(fsync="never"), ledger=Ledger())
        self.queue = self.restarted()

    async def add(self, *calls):
        for call in calls:
            self._writer.open(call.all())

    async def announce(self, call):
        self._writer.open(call.open())

    def restarted(self):
        reader = JournalReader(self._directory / "journal", ledger=self.ledger)
        self.queue = JournalQueue(reader, dead_letters=self._directory / "dead-letters")
        return self.queue

    def close(self):
        self._writer.close()


class Streams:
    """A queue in Redis, and the shipper's side of it, fed from a journal of its own."""

    def __init__(self, tmp_path, ends):
        self._ends, self.ledger = ends, Ledger()
        self._publisher = ends.publisher()
        self._writer = JournalWriter(tmp_path / "journal", limits=JournalLimits(fsync="never"), ledger=Ledger())
        self._reader = JournalReader(tmp_path / "journal", ledger=Ledger())
        self.queue = self.restarted()

    async def add(self, *calls):
        for call in calls:
            self._writer.open(call.all())
        await self._publisher.publish([Parcel.of(exchange) for exchange in self._reader.poll(limit=1000)])

    async def announce(self, call):
        self._writer.open(call.open())
        await self._publisher.announce(self._reader.poll(limit=1000))

    def restarted(self):
        self.queue = self._ends.worker(ledger=self.ledger, claim_after_s=0.01)
        return self.queue

    def close(self):
        self._writer.close()


@pytest.fixture(params=["journal", "streams"])
def place(request, tmp_path):
    made = Journal(tmp_path) if request.param == "journal" else Streams(tmp_path, request.getfixturevalue("ends"))
    yield made
    made.close()


async def taken(queue, count):
    deliveries = []
    while len(deliveries) < count:
        deliveries += await queue.take(limit=100, wait_s=1)
    return deliveries


def ids(deliveries):
    return [delivery.exchange.id for delivery in deliveries]


async def test_an_empty_queue_delivers_nothing(place):
    assert await place.queue.take(limit=10, wait_s=0) == []


async def test_calls_are_delivered_whole_and_oldest_first(place):
    calls = [Recording() for _ in range(3)]
    await place.add(*calls)

    deliveries = await taken(place.queue, 3)

    assert ids(deliveries) == [call.id for call in calls]
    assert deliveries[0].exchange.response_body == b"data: 1\n\n"


async def test_no_more_than_asked_for_is_delivered(place):
    await place.add(*(Recording() for _ in range(5)))

    assert len(await place.queue.take(limit=2, wait_s=5)) == 2


async def test_what_is_acknowledged_never_comes_again_and_is_counted(place):
    await place.add(Recording(), Recording())

    await place.queue.ack(await taken(place.queue, 2))

    assert await place.restarted().take(limit=10, wait_s=0.1) == []
    assert place.ledger.get("stored") == 2


async def test_what_is_not_acknowledged_comes_again_after_the_end_of_the_worker(place):
    calls = [Recording(), Recording()]
    await place.add(*calls)
    deliveries = await taken(place.queue, 2)
    await place.queue.ack(deliveries[:1])

    again = await taken(place.restarted(), 1)

    assert ids(again) == [calls[1].id]


async def test_what_is_buried_never_comes_again_and_is_counted_as_dead(place):
    await place.add(Recording())
    (delivery,) = await taken(place.queue, 1)

    await place.queue.bury(delivery, "no good")

    assert await place.restarted().take(limit=10, wait_s=0.1) == []
    assert (place.ledger.get("stored"), place.ledger.get("dead")) == (0, 1)


async def test_a_running_call_is_delivered_without_an_end_and_acknowledging_that_counts_nothing(place):
    call = Recording()
    await place.announce(call)

    deliveries = await taken(place.queue, 1)
    await place.queue.ack(deliveries)

    assert [(delivery.exchange.id, delivery.exchange.ending) for delivery in deliveries] == [(call.id, None)]
    assert place.ledger.get("stored") == 0


async def test_acknowledging_nothing_is_no_trouble(place):
    await place.queue.ack([])

    assert place.ledger.get("stored") == 0


def test_a_delivery_cannot_be_changed_by_those_it_is_handed_to():
    delivery = Delivery(exchange_of(Endpoint.CHAT))

    with pytest.raises(AttributeError):
        delivery.exchange = exchange_of(Endpoint.TEXT)
