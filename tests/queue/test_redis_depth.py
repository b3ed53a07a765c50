from llm_proxy.queue.redis_depth import RedisDepth
from llm_proxy.queue.redis_publisher import Parcel
from queue_exchanges import exchange


async def test_a_queue_that_was_never_used_is_empty(ends):
    nothing = dict.fromkeys(RedisDepth.__slots__, 0) | {"oldest_age_s": None}

    assert await ends.depth() == RedisDepth(**nothing)


async def test_the_numbers_of_all_shards_are_added_up_and_always_balance(ends_at, shared_redis):
    ends = ends_at(shared_redis.url, count=3)
    worker = ends.worker()
    await ends.publisher().publish([Parcel.of(exchange()) for _ in range(10)])
    taken = await worker.take(limit=5, wait_s=5)

    seen = [await ends.depth()]
    await worker.ack(taken[:2])
    seen.append(await ends.depth())
    await worker.bury(taken[2], "never")
    seen.append(await ends.depth())

    assert [now.shipped + now.retried - now.waiting - now.stored - now.dead for now in seen] == [0, 0, 0]
    assert [(now.waiting, now.stored, now.dead, now.dead_letters) for now in seen] == [
        (10, 0, 0, 0),
        (8, 2, 0, 0),
        (7, 2, 1, 1),
    ]
    assert seen[0].taken >= len(taken)
    assert 0 <= seen[0].oldest_age_s < 60
