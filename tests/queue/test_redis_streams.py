import asyncio
import contextlib

import pytest

from llm_proxy.metrics import Ledger
from llm_proxy.queue.redis_layout import GROUP, PART_BYTES
from llm_proxy.queue.redis_publisher import Parcel
from queue_exchanges import exchange, incompressible, running
from running import until

SOON_S = 0.2


def parcels(*exchanges):
    return [Parcel.of(sent) for sent in exchanges]


async def take(worker, *, limit=100):
    """Whatever comes first."""
    async with asyncio.timeout(30):
        while True:
            if deliveries := await worker.take(limit=limit, wait_s=1):
                return deliveries


def ids(deliveries):
    return [delivery.exchange.id for delivery in deliveries]


async def dead_letters(ends):
    entries = await ends.call("XRANGE", ends.shards[0].dead, "-", "+")
    return [{name.decode(): value for name, value in fields.items()} for _, fields in entries]


async def test_what_was_published_is_delivered_oldest_first_and_gone_when_acknowledged(ends):
    sent, worker = [exchange() for _ in range(3)], ends.worker()
    await ends.publisher().publish(parcels(*sent))

    deliveries = await take(worker)
    taken = await ends.depth()
    await worker.ack(deliveries)

    assert [delivery.exchange for delivery in deliveries] == sent
    assert (taken.waiting, taken.taken) == (3, 3)
    left = await ends.depth()
    assert (left.waiting, left.taken, left.stored, left.shipped) == (0, 0, 3, 3)


async def test_an_empty_queue_delivers_nothing_when_the_wait_is_over(ends):
    assert await ends.worker().take(limit=10, wait_s=0.05) == []


async def test_no_more_than_asked_for_is_delivered_and_the_rest_later(ends_at, shared_redis):
    ends = ends_at(shared_redis.url, count=3)
    sent, worker = [exchange() for _ in range(10)], ends.worker()
    await ends.publisher().publish(parcels(*sent))

    taken = []
    while len(taken) < 10:
        deliveries = await take(worker, limit=4)
        assert len(deliveries) <= 4
        taken += deliveries
        await worker.ack(deliveries)

    assert sorted(ids(taken)) == sorted(one.id for one in sent)
    assert (await ends.depth()).waiting == 0


async def test_two_workers_share_the_work(ends):
    sent, workers = [exchange() for _ in range(10)], [ends.worker(), ends.worker()]
    await ends.publisher().publish(parcels(*sent))

    both = [await take(workers[0], limit=5), await take(workers[1], limit=5)]

    assert sorted(ids(both[0]) + ids(both[1])) == sorted(one.id for one in sent)


async def test_running_calls_are_delivered_once_and_need_no_acknowledgement(ends):
    sent, worker = running(), ends.worker()
    await ends.publisher().announce([sent])

    deliveries = await take(worker)
    await worker.ack(deliveries)

    assert [delivery.exchange for delivery in deliveries] == [sent]
    assert await worker.take(limit=10, wait_s=0) == []
    assert (await ends.depth()).stored == 0


async def test_a_record_of_fifty_megabytes_passes_and_leaves_nothing_behind(ends):
    sent, worker = exchange(request_body=incompressible(50 * 2**20), response_body=bytes(50 * 2**20)), ends.worker()
    await ends.publisher().publish(parcels(sent))

    (delivery,) = await take(worker)
    await worker.ack([delivery])

    assert delivery.exchange == sent
    assert not [key for key in await ends.keys() if ":part:" in key]


async def test_large_records_are_handed_out_few_at_a_time(ends, monkeypatch):
    monkeypatch.setattr("llm_proxy.queue.redis_streams.BATCH_BYTES", 1000)
    sent, worker = [exchange(request_body=bytes(600)) for _ in range(5)], ends.worker()
    await ends.publisher().publish(parcels(*sent))

    batches = [len(await take(worker)) for _ in range(3)]

    assert batches == [2, 2, 1]


async def test_what_a_dead_worker_had_goes_to_another_after_a_while(ends):
    sent, dead, alive = exchange(), ends.worker(claim_after_s=SOON_S), ends.worker(claim_after_s=SOON_S)
    await ends.publisher().publish(parcels(sent))
    await take(dead)

    at_once = await alive.take(limit=10, wait_s=0)
    later = await take(alive)

    assert at_once == []
    assert ids(later) == [sent.id]


async def test_new_calls_do_not_keep_those_of_a_dead_worker_waiting(ends):
    lost, dead, alive = exchange(), ends.worker(claim_after_s=SOON_S), ends.worker(claim_after_s=SOON_S)
    publisher = ends.publisher()
    await publisher.publish(parcels(lost))
    await take(dead)

    seen = []
    async with asyncio.timeout(30):
        while lost.id not in seen:
            await publisher.publish(parcels(exchange()))
            seen += ids(await alive.take(limit=1, wait_s=1))

    assert lost.id in seen


async def test_a_worker_that_lives_keeps_what_it_has_however_long_it_takes(ends):
    sent, slow, other = exchange(), ends.worker(claim_after_s=SOON_S), ends.worker(claim_after_s=SOON_S)
    await ends.publisher().publish(parcels(sent))
    deliveries = await take(slow)

    async with upkeep_of(slow):
        meanwhile = await other.take(limit=10, wait_s=5 * SOON_S)
    await slow.ack(deliveries)

    assert meanwhile == []
    assert slow._ledger.get("stored") == 1


async def test_a_call_that_two_workers_had_counts_once(ends):
    sent, slow, other = exchange(), ends.worker(claim_after_s=SOON_S), ends.worker(claim_after_s=SOON_S)
    await ends.publisher().publish(parcels(sent))
    first = await take(slow)
    second = await take(other)

    await other.ack(second)
    await slow.ack(first)

    assert (await ends.depth()).stored == 1
    assert (slow._ledger.get("stored"), other._ledger.get("stored")) == (0, 1)


async def test_a_worker_that_stops_leaves_what_it_has_to_others_at_once(ends):
    sent = [exchange() for _ in range(4)]
    stopped, other = ends.worker(), ends.worker()
    await ends.publisher().publish(parcels(*sent))
    deliveries = await take(stopped, limit=3)
    await stopped.ack(deliveries[:1])

    stopped.stop()
    nothing = await stopped.take(limit=10, wait_s=5)
    await stopped.close()
    rest = []
    while len(rest) < 3:
        rest += ids(await take(other))

    assert nothing == []
    assert sorted(rest) == sorted(one.id for one in sent[1:])


async def test_a_worker_that_ends_with_nothing_in_its_hands_is_forgotten(ends):
    worker = ends.worker()
    await ends.publisher().publish(parcels(exchange()))
    await worker.ack(await take(worker))
    before = await ends.call("XINFO", "CONSUMERS", ends.shards[0].calls, GROUP)

    await worker.close()

    assert len(before) == 1
    assert await ends.call("XINFO", "CONSUMERS", ends.shards[0].calls, GROUP) == []


async def test_what_is_buried_is_a_dead_letter_with_its_reason_and_all_that_was_known(ends):
    sent, worker = exchange(request_body=incompressible(PART_BYTES)), ends.worker()
    await ends.publisher().publish(parcels(sent))
    (delivery,) = await take(worker)

    await worker.bury(delivery, "the store will never take it")

    (letter,) = await dead_letters(ends)
    assert letter["id"].decode() == sent.id
    assert letter["reason"] == b"the store will never take it"
    assert len(await ends.call("GET", ends.shards[0].parts(letter["parts"])[0])) == PART_BYTES
    now = await ends.depth()
    assert (now.waiting, now.dead, now.dead_letters) == (0, 1, 1)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (("envelope", b"\x01 no zstd"), b"damaged"),
        (("envelope", b"\x07 of the future"), b"version 7"),
        (("parts", "none:3"), b"not there"),
        (("parts", "nonsense"), b"does not say where"),
        (("parts", "all:99999999999"), b"does not say where"),
        (("something", "else"), b"not there"),
    ],
)
async def test_an_entry_that_cannot_be_read_is_a_dead_letter_and_stops_nothing(ends, fields, reason):
    worker, sent = ends.worker(), exchange()
    await ends.call("XADD", ends.shards[0].calls, "*", *fields)
    await ends.publisher().publish(parcels(sent))

    deliveries = await take(worker)
    await worker.ack(deliveries)

    assert ids(deliveries) == [sent.id]
    (letter,) = await dead_letters(ends)
    assert reason in letter["reason"]
    assert (await ends.depth()).waiting == 0


async def test_what_kills_every_worker_is_found_out_alone_and_buried(ends):
    """A worker that dies is one that never acknowledges and never says again that it has something."""
    sent = [exchange() for _ in range(6)]
    killer = sent[2].id
    await ends.publisher().publish(parcels(*sent))

    stored = []
    async with asyncio.timeout(60):
        while (await ends.depth()).waiting:
            worker = ends.worker(claim_after_s=0.05, max_deliveries=4)
            while (await ends.depth()).waiting:
                deliveries = await worker.take(limit=100, wait_s=0.1)
                if killer in ids(deliveries):
                    break
                await worker.ack(deliveries)
                stored += ids(deliveries)

    assert sorted(stored) == sorted(one.id for one in sent if one.id != killer)
    (letter,) = await dead_letters(ends)
    assert letter["id"].decode() == killer
    assert b"delivered 4 times" in letter["reason"]


async def test_a_store_that_is_away_for_long_makes_no_dead_letters(ends):
    sent, worker = exchange(), ends.worker(claim_after_s=0.05, max_deliveries=2)
    others = [ends.worker(claim_after_s=0.05, max_deliveries=2) for _ in range(2)]
    await ends.publisher().publish(parcels(sent))
    deliveries = await take(worker)

    async with upkeep_of(worker):
        for _ in range(10):
            for other in others:
                assert await other.take(limit=10, wait_s=0.05) == []
    await worker.ack(deliveries)

    assert (await ends.depth()).stored == 1
    assert await dead_letters(ends) == []


async def test_an_acknowledgement_that_finds_redis_away_is_made_when_it_is_back(ends_at, redis):
    ends = ends_at(redis.url)
    worker, sent = ends.worker(), [exchange(), exchange()]
    await ends.publisher().publish(parcels(*sent))
    first, second = await take(worker)
    redis.kill()

    await worker.ack([first])
    await worker.bury(second, "never")
    while_away = await worker.take(limit=10, wait_s=0.05)
    redis.start()
    async with asyncio.timeout(30):
        while (await ends.depth()).waiting:
            await worker.take(limit=10, wait_s=0.1)

    assert while_away == []
    now = await ends.depth()
    assert (now.stored, now.dead) == (1, 1)
    assert (worker._ledger.get("stored"), worker._ledger.get("dead")) == (1, 1)


async def test_calls_in_a_reply_that_was_lost_come_again_without_a_wait(ends_at, redis):
    ends = ends_at(redis.url, timeout_s=0.2)
    worker = ends.worker()
    await take_nothing(worker)
    await ends.publisher().publish(parcels(exchange()))
    redis.freeze()
    assert await worker.take(limit=10, wait_s=1) == []

    redis.thaw()
    deliveries = await take(worker)

    assert len(deliveries) == 1


async def test_a_redis_that_lost_everything_gets_its_group_again(ends):
    worker, sent = ends.worker(), exchange()
    await take_nothing(worker)
    await ends.call("DEL", ends.shards[0].calls)
    await ends.publisher().publish(parcels(sent))

    assert ids(await take(worker)) == [sent.id]


async def test_a_paused_redis_delays_and_loses_nothing(ends_at, redis):
    ends = ends_at(redis.url)
    worker, sent = ends.worker(), [exchange() for _ in range(3)]
    await ends.publisher().publish(parcels(*sent))
    redis.cli("CLIENT", "PAUSE", "300", "ALL")

    deliveries = await take(worker)
    await worker.ack(deliveries)

    assert len(deliveries) == 3
    assert (await ends.depth()).stored == 3


async def test_one_line_says_that_redis_is_away_and_one_that_it_is_back(ends_at, redis, capsys):
    ends = ends_at(redis.url)
    worker = ends.worker()
    redis.kill()

    for _ in range(3):
        await worker.take(limit=10, wait_s=0.2)
    redis.start()
    await ends.publisher().publish(parcels(exchange()))
    await take(worker)

    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    assert [line for line in lines if "not available" in line] == lines[:1]
    assert sum("available again" in line for line in lines) == 1


async def test_the_numbers_of_the_queue_are_shown_in_the_ledger(ends):
    ledger = Ledger()
    worker = ends.worker(ledger=ledger)
    await ends.publisher().publish(parcels(exchange(), exchange()))

    async with upkeep_of(worker, shows_depth=True):
        await until(lambda: ledger.get("stream_waiting") == 2, "two calls wait")

    assert ledger.get("stream_dead") == 0


async def test_a_full_redis_lets_workers_empty_it(ends_at, redis):
    ends = ends_at(redis.url)
    worker, sent = ends.worker(), [exchange(request_body=incompressible(50_000)) for _ in range(40)]
    await ends.publisher().publish(parcels(*sent))
    redis.cli("CONFIG", "SET", "maxmemory", "1mb")

    taken = 0
    while taken < 40:
        deliveries = await take(worker, limit=10)
        await worker.ack(deliveries[1:])
        await worker.bury(deliveries[0], "never")
        taken += len(deliveries)

    now = await ends.depth()
    assert (now.waiting, now.stored, now.dead) == (0, 36, 4)


@contextlib.asynccontextmanager
async def upkeep_of(worker, *, shows_depth=False):
    task = asyncio.create_task(worker.upkeep(shows_depth=shows_depth))
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def take_nothing(worker):
    assert await worker.take(limit=10, wait_s=0) == []
