"""A Redis for all tests of a module, a prefix of its own for each test, and both ends of the queue on it."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue.redis_connection import RedisAddress, RedisConnection
from llm_proxy.queue.redis_depth import RedisDepth, depth
from llm_proxy.queue.redis_layout import shards
from llm_proxy.queue.redis_publisher import Parcel, RedisPublisher
from llm_proxy.queue.redis_streams import RedisStreams
from redis_service import RedisServer

_prefixes = itertools.count()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path) -> Iterator[RedisServer]:
    """One that the test may do harm to."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.stop()


@dataclass
class Ends:
    """Makes both ends of one queue."""

    url: str
    prefix: str
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

    def publisher(self, name: str = "journal-1") -> RedisPublisher:
        return RedisPublisher(self.connection(), self.shards, name=name, ledger=Ledger())

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


@pytest.fixture
async def ends_at() -> AsyncIterator[Callable[..., Ends]]:
    made: list[Ends] = []

    def make(url: str, **options: Any) -> Ends:
        made.append(Ends(url, f"test-{next(_prefixes)}", **options))
        return made[-1]

    yield make
    for ends in made:
        for connection in ends.made:
            await connection.close()


@pytest.fixture
def ends(ends_at, shared_redis) -> Ends:
    return ends_at(shared_redis.url)


def parcels(*exchanges: Exchange) -> list[Parcel]:
    return [Parcel.of(exchange) for exchange in exchanges]
