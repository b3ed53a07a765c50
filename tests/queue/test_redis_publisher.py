import asyncio

import pytest

from llm_proxy.errors import QueueUnavailable
from llm_proxy.metrics import Ledger
from llm_proxy.queue.envelope import unpack
from llm_proxy.queue.redis_layout import MAX_STARTED, PART_BYTES, PUBLISH, shard_number
from llm_proxy.queue.redis_publisher import Parcel, RedisPublisher
from queue_exchanges import exchange, incompressible, running


def parcels(*exchanges):
    return [Parcel.of(sent) for sent in exchanges]


async def test_each_ended_call_is_one_entry_that_names_it(ends):
    sent = [exchange(), exchange()]

    await ends.publisher().publish(parcels(*sent))

    entries = await ends.call("XRANGE", ends.shards[0].calls, "-", "+")
    assert [fields[b"id"].decode() for _, fields in entries] == [sent[0].id, sent[1].id]
    assert [unpack(fields[b"envelope"]) for _, fields in entries] == sent


async def test_calls_are_spread_over_all_shards_by_their_ids(ends_at, shared_redis):
    ends = ends_at(shared_redis.url, count=4)
    sent = [exchange() for _ in range(100)]

    await ends.publisher().publish(parcels(*sent))

    lengths = [await ends.call("XLEN", shard.calls) for shard in ends.shards]
    assert sum(lengths) == 100
    assert all(lengths)
    assert lengths == [sum(shard_number(one.id, 4) == number for one in sent) for number in range(4)]


async def test_what_is_published_again_is_there_once(ends):
    sent, publisher = parcels(exchange(), exchange()), ends.publisher()

    await publisher.publish(sent)
    await ends.publisher().publish(sent)

    assert (await ends.depth()).waiting == 2
    assert (await ends.depth()).shipped == 2


async def test_a_shipper_that_was_killed_before_it_could_note_a_batch_does_not_add_it_again(ends):
    first, second = parcels(exchange(), exchange()), parcels(exchange())
    await ends.publisher().publish(first)
    ledger = Ledger()

    again = RedisPublisher(ends.connection(), ends.shards, name="journal-1", ledger=ledger)
    await again.publish(first[:1] + second)
    once_more = ends.publisher()
    await once_more.publish(first[1:])

    assert (await ends.depth()).waiting == 3
    assert ledger.get("shipped") == 3


async def test_what_an_earlier_process_sent_is_forgotten_when_the_journal_is_read_to_its_end(ends):
    await ends.publisher().publish(parcels(exchange()))
    publisher = ends.publisher()
    await publisher.publish(parcels(exchange()))
    both = await ends.call("HGET", ends.shards[0].shipper("journal-1"), "ids")

    publisher.caught_up()
    await publisher.publish(parcels(exchange()))

    newest = await ends.call("HGET", ends.shards[0].shipper("journal-1"), "ids")
    assert (len(both), len(newest)) == (32, 16)


async def test_two_journals_do_not_get_in_each_others_way(ends):
    one, other = ends.publisher("one"), ends.publisher("other")

    await asyncio.gather(*(publisher.publish(parcels(exchange())) for publisher in (one, other, one, other)))

    assert (await ends.depth()).waiting == 4


async def test_a_command_that_arrives_late_adds_nothing(ends):
    publisher, shard = ends.publisher(), ends.shards[0]
    await publisher.publish(parcels(exchange()))
    keys = [shard.calls, shard.counters, shard.shipper("journal-1")]
    late = await ends.connection().run(PUBLISH, keys, "", "late", b"", 60, "id", "envelope", b"x")

    assert late == b"another batch"
    assert (await ends.depth()).waiting == 1


async def test_two_shippers_of_one_journal_lose_nothing(ends):
    sent = [exchange() for _ in range(40)]
    one, other = ends.publisher(), ends.publisher()

    for number in range(0, 40, 2):
        await one.publish(parcels(sent[number]))
        await other.publish(parcels(sent[number + 1]))

    entries = await ends.call("XRANGE", ends.shards[0].calls, "-", "+")
    assert sorted(fields[b"id"].decode() for _, fields in entries) == sorted(one.id for one in sent)


async def test_a_large_call_lies_in_pieces_that_do_not_expire(ends):
    sent = exchange(request_body=incompressible(3 * PART_BYTES))

    await ends.publisher().publish(parcels(sent))

    ((_, fields),) = await ends.call("XRANGE", ends.shards[0].calls, "-", "+")
    parts = ends.shards[0].parts(fields[b"parts"])
    assert len(parts) == 4
    assert unpack(b"".join([await ends.call("GET", part) for part in parts])) == sent
    assert [await ends.call("TTL", part) for part in parts] == [-1] * 4


async def test_pieces_that_are_gone_before_the_entry_is_made_are_uploaded_again(ends, monkeypatch):
    publisher, sent = ends.publisher(), exchange(request_body=incompressible(PART_BYTES))
    upload, uploads = publisher._upload, []

    async def lose_the_first(*args):
        parts = await upload(*args)
        uploads.append(parts)
        if len(uploads) == 1:
            await ends.call("DEL", parts[0])
        return parts

    monkeypatch.setattr(publisher, "_upload", lose_the_first)

    await publisher.publish(parcels(sent))

    assert len(uploads) == 2
    ((_, fields),) = await ends.call("XRANGE", ends.shards[0].calls, "-", "+")
    assert ends.shards[0].parts(fields[b"parts"]) == uploads[1]
    assert {key for key in await ends.keys() if ":part:" in key} == set(uploads[1])


async def test_running_calls_are_announced_without_what_has_arrived_of_the_answer(ends):
    sent = running(response_body=b"so far")

    await ends.publisher().announce([sent, running(request_body=incompressible(10**6))])

    envelopes = [unpack(envelope) for envelope in await ends.call("LRANGE", ends.shards[0].started, "0", "-1")]
    assert (envelopes[0].id, envelopes[0].request_body, envelopes[0].response_body) == (
        sent.id,
        sent.request_body,
        None,
    )
    assert envelopes[1].request_body is None
    assert (await ends.depth()).waiting == 0


async def test_only_so_many_announcements_are_kept(ends):
    publisher = ends.publisher()

    for _ in range(6):
        await publisher.announce([running()] * 1000)

    assert await ends.call("LLEN", ends.shards[0].started) == MAX_STARTED


async def test_a_full_redis_takes_all_of_a_batch_or_nothing_and_later_all(ends_at, redis):
    ends = ends_at(redis.url)
    publisher, sent = ends.publisher(), parcels(*(exchange(request_body=incompressible(50_000)) for _ in range(50)))
    await publisher.publish(sent[:1])
    redis.cli("CONFIG", "SET", "maxmemory", "1mb")

    with pytest.raises(QueueUnavailable, match="is full"):
        await publisher.publish(sent[1:])
    while_full = (await ends.depth()).waiting
    redis.cli("CONFIG", "SET", "maxmemory", "0")
    await publisher.publish(sent[1:])

    assert while_full == 1
    assert (await ends.depth()).waiting == 50


async def test_a_full_redis_is_not_filled_further_by_uploads_that_fail(ends_at, redis):
    ends = ends_at(redis.url)
    publisher, sent = ends.publisher(), parcels(exchange(request_body=incompressible(5 * PART_BYTES)))
    await publisher.publish([])
    redis.cli("CONFIG", "SET", "maxmemory", "12mb")

    with pytest.raises(QueueUnavailable, match="is full"):
        await publisher.publish(sent)

    assert not [key for key in await ends.keys() if ":part:" in key]


async def test_a_replica_is_unavailable_and_said_to_be_read_only(ends_at, redis, tmp_path, shared_redis):
    redis.cli("REPLICAOF", "127.0.0.1", str(shared_redis.port))
    ends = ends_at(redis.url)

    with pytest.raises(QueueUnavailable, match="read-only"):
        await ends.publisher().publish(parcels(exchange()))

    redis.cli("REPLICAOF", "NO", "ONE")
    await ends.publisher().publish(parcels(exchange()))


async def test_a_server_that_hangs_is_given_up_and_what_it_does_afterwards_is_not_done_twice(ends_at, redis):
    ends = ends_at(redis.url, timeout_s=0.2)
    publisher, sent = ends.publisher(), [exchange() for _ in range(20)]
    await publisher.publish(parcels(*sent[:2]))
    redis.freeze()

    for _ in range(3):
        with pytest.raises(QueueUnavailable, match="does not answer"):
            await publisher.publish(parcels(*sent[2:]))
    redis.thaw()
    await _until_published(publisher, parcels(*sent[2:]))

    assert (await ends.depth()).waiting == 20
    assert publisher._ledger.get("shipped") == 20


async def test_a_server_that_is_killed_again_and_again_has_each_call_once(ends_at, redis):
    ends = ends_at(redis.url)
    publisher, sent = ends.publisher(), [exchange() for _ in range(60)]

    async def kill():
        for _ in range(3):
            await asyncio.sleep(0.05)
            await asyncio.to_thread(redis.kill)
            await asyncio.to_thread(redis.start)

    killing = asyncio.create_task(kill())
    for number in range(0, 60, 3):
        await _until_published(publisher, parcels(*sent[number : number + 3]))
        await asyncio.sleep(0.01)
    await killing

    entries = await ends.call("XRANGE", ends.shards[0].calls, "-", "+")
    assert [fields[b"id"].decode() for _, fields in entries] == [one.id for one in sent]


async def _until_published(publisher, sent):
    async with asyncio.timeout(30):
        while True:
            try:
                return await publisher.publish(sent)
            except QueueUnavailable:
                await asyncio.sleep(0.02)
