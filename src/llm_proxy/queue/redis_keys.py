"""The snapshot of the keys on its way through Redis: a worker puts it there, the shipper of each host takes it."""

from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_layout import READ_KEYS, WRITE_KEYS, Shard


async def put_keys(connection: RedisConnection, shard: Shard, snapshot: bytes) -> None:
    """Let others have this snapshot, in the place of the one before. Raises QueueUnavailable."""
    await connection.run(WRITE_KEYS, [shard.keys], snapshot)


async def take_keys(connection: RedisConnection, shard: Shard) -> bytes | None:
    """The newest snapshot; None if there never was one. Raises QueueUnavailable."""
    found: bytes | None = await connection.run(READ_KEYS, [shard.keys])
    return found
