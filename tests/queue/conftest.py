"""A Redis for all tests of a module, and both ends of a queue on it, with a prefix of its own for each test."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from queue_ends import Ends
from redis_service import RedisServer


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """One that the test may do harm to."""
    server = RedisServer(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
async def ends_at() -> AsyncIterator[Callable[..., Ends]]:
    made: list[Ends] = []

    def make(url: str, **options: Any) -> Ends:
        made.append(Ends(url, **options))
        return made[-1]

    yield make
    for ends in made:
        await ends.close()


@pytest.fixture
def ends(ends_at: Callable[..., Ends], shared_redis: RedisServer) -> Ends:
    return ends_at(shared_redis.url)
