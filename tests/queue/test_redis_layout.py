import re
from collections import Counter
from pathlib import Path

import pytest
from redis.crc import key_slot

from llm_proxy.model.exchange import new_id
from llm_proxy.queue import redis_layout
from llm_proxy.queue.redis_layout import MAX_PARTS, PUBLISH, Shard, shard_number, shards
from llm_proxy.queue.redis_publisher import Parcel
from queue_exchanges import exchange


def keys_of(shard):
    return [
        shard.calls,
        shard.started,
        shard.dead,
        shard.counters,
        shard.keys,
        shard.shipper("x"),
        shard.part("upload", 1),
    ]


def test_all_keys_of_a_shard_are_in_one_slot_and_shards_are_in_different_ones():
    slots = [{key_slot(key.encode()) for key in keys_of(shard)} for shard in shards("llm-proxy", 8)]

    assert {len(each) for each in slots} == {1}
    assert len(set.union(*slots)) == 8


def test_calls_are_spread_evenly():
    numbers = Counter(shard_number(new_id(), 4) for _ in range(2000))

    assert set(numbers) == {0, 1, 2, 3}
    assert min(numbers.values()) > 350


def test_every_kind_of_key_is_documented_at_the_top_of_the_file():
    documented = set(re.findall(r"^    P:(\w+)", redis_layout.__doc__, re.MULTILINE))

    assert {key.split(":")[2] for key in keys_of(Shard("p", 0))} == documented


def test_no_other_file_knows_a_key_or_speaks_to_redis_but_by_a_script():
    source = Path(redis_layout.__file__).parents[1]
    knowing = ("redis_layout.py", "redis_connection.py", "redis_client.py")
    others = [path for path in source.rglob("*.py") if path.name not in knowing]

    assert others
    for path in others:
        assert "redis.call" not in path.read_text()
        assert not re.search(r"^(from|import) redis\b", path.read_text(), re.MULTILINE), path


@pytest.mark.parametrize(
    "said", [b"", b"upload", b"upload:x", b"upload:0", b"upload:-1", b"u:%d" % (MAX_PARTS + 1), b"\xff:1"]
)
def test_parts_that_cannot_be_are_refused(said):
    with pytest.raises(ValueError):  # noqa: PT011 - whichever way it is wrong
        Shard("p", 0).parts(said)


async def test_an_entry_that_cannot_be_added_leaves_no_trace_of_its_batch(ends):
    shard = ends.shards[0]
    await ends.call("SET", shard.calls, "no stream at all")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await ends.publisher().publish([Parcel.of(exchange())])

    assert await ends.call("EXISTS", shard.shipper("journal-1"), shard.counters) == 0


async def test_a_batch_that_cannot_be_counted_is_not_added(ends):
    shard = ends.shards[0]
    await ends.call("SET", shard.counters, "no hash at all")
    keys = [shard.calls, shard.counters, shard.shipper("x")]

    with pytest.raises(Exception, match="WRONGTYPE"):
        await ends.connection().run(PUBLISH, keys, "", "b", b"", 60, "id", "envelope", b"x")

    assert await ends.call("EXISTS", shard.calls) == 0
