"""How much is in the queue, and the queue's side of the account."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_layout import COUNTERS, DEPTH, GROUP, Shard


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisDepth:
    """The numbers of all shards together; shipped + retried = waiting + stored + dead, always."""

    #: Calls that are not stored: those that a worker has, and those that nobody has taken.
    waiting: int
    #: Of these, how many a worker has.
    taken: int
    #: How long the oldest of them has waited, in seconds; None if there is none.
    oldest_age_s: float | None
    #: Dead letters that are there now.
    dead_letters: int
    #: Calls since ever.
    shipped: int
    stored: int
    dead: int
    #: Dead letters that were put back among the waiting ones, and that were deleted.
    retried: int
    dropped: int


async def depth(connection: RedisConnection, shards: Sequence[Shard]) -> RedisDepth:
    """The numbers as they are. Raises QueueUnavailable."""
    total: Counter[str] = Counter()
    oldest_ms = 0
    for shard in shards:
        waiting, taken, age_ms, dead_letters, counters = await connection.run(
            DEPTH, [shard.calls, shard.dead, shard.counters], GROUP
        )
        total.update(waiting=waiting, taken=taken, dead_letters=dead_letters)
        total.update({name.decode(): int(count) for name, count in zip(counters[::2], counters[1::2], strict=True)})
        oldest_ms = max(oldest_ms, age_ms)
    return RedisDepth(
        waiting=total["waiting"],
        taken=total["taken"],
        oldest_age_s=oldest_ms / 1000 if total["waiting"] else None,
        dead_letters=total["dead_letters"],
        **{name: total[name] for name in COUNTERS},
    )
