"""Both ends of a queue in Redis, and a way to look at it from outside."""

import itertools
from dataclasses import dataclass, field
from typing import Any

from llm_proxy.metrics import Ledger
from llm_proxy.queue.redis_address import RedisAddress
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_depth import RedisDepth, depth
from llm_proxy.queue.redis_layout import shards
from llm_proxy.queue.redis_publisher import RedisPublisher
from llm_proxy.queue.redis_streams import RedisStreams

_prefixes = itertools.count()


@dataclass
class Ends:
    """Makes both ends of one queue."""

    url: str
    prefix: str = field(default_factory=lambda: f"test-{next(_prefixes)}")
    count: int = 1
    timeout_s: float = 10.0
    made: list[Any] = field(default_factory=list)

    @property
    def shards(self):
        return shards(self.prefix, self.count)

    def connection(self) -> RedisConnection:
        connection = RedisConnection(RedisAddress.parse(self.url), timeout_s=self.timeout_s)
        self.made.append(connection)
        return connection

    async def close(self) -> None:
        for connection in self.made:
            await connection.close()

    def publisher(self, name: str = "journal-1", ledger: Ledger | None = None) -> RedisPublisher:
        return RedisPublisher(self.connection(), self.shards, name=name, ledger=ledger or Ledger())

    def worker(self, **different: Any) -> RedisStreams:
        options = {"ledger": Ledger(), "claim_after_s": 60.0, "max_deliveries": 5} | different
        return RedisStreams(self.connection(), self.shards, **options)

    async def depth(self) -> RedisDepth:
        return await depth(self.connection(), self.shards)

    async def call(self, *command: str | bytes) -> Any:
        """Any command, on any key."""
        return await self.connection()._client.execute_command(*command)

    async def keys(self) -> set[str]:
        return {key.decode() for key in await self.call("KEYS", f"*{self.prefix}:*")}
