"""A Redis for all tests of a module, and a queue in it with a prefix of its own for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from queue_ends import Ends
from redis_service import RedisServer


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
async def ends(redis: RedisServer) -> AsyncIterator[Ends]:
    ends = Ends(redis.url)
    yield ends
    await ends.close()
