"""A snapshot of the keys, on its way through a real Redis."""

import pytest

from llm_proxy.errors import QueueUnavailable
from llm_proxy.queue.redis_address import RedisAddress
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_keys import put_keys, take_keys
from llm_proxy.queue.redis_layout import Shard


@pytest.fixture
async def connection(shared_redis):
    connection = RedisConnection(RedisAddress.parse(shared_redis.url), timeout_s=20)
    yield connection
    await connection.close()


async def test_the_last_one_that_was_put_is_taken_and_at_first_there_is_none(connection):
    shard = Shard("keys-of-a-test", 0)

    nothing = await take_keys(connection, shard)
    await put_keys(connection, shard, b"first")
    await put_keys(connection, shard, b"\x00second")

    assert nothing is None
    assert await take_keys(connection, shard) == b"\x00second"


async def test_a_redis_that_is_away_is_said_to_be():
    connection = RedisConnection(RedisAddress.parse("redis://127.0.0.1:1"), timeout_s=20)

    with pytest.raises(QueueUnavailable):
        await take_keys(connection, Shard("keys-of-a-test", 0))

    await connection.close()
