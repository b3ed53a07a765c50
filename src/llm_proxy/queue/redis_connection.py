"""The way to Redis: one call with one kind of failure.

Every operation is one script on keys of one hash slot, so that it is atomic and that one server, a fail-over pair and
a cluster look the same. No script is harmed by being sent twice (redis_layout.py). Credentials are in no message.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from llm_proxy.errors import QueueUnavailable
from llm_proxy.queue.redis_address import RedisAddress, RedisTls


class RedisConnection:
    """Runs scripts. Connects when it has to, so that Redis need not be there when this is made."""

    def __init__(self, address: RedisAddress, *, tls: RedisTls | None = None, timeout_s: float) -> None:
        # Here, since it takes 20 MB, and most have no Redis.
        from llm_proxy.queue import redis_client  # noqa: PLC0415

        self.address = address
        self._timeout_s = timeout_s
        self._library = redis_client
        self._client: Any = redis_client.new_client(address, tls or RedisTls(), timeout_s)

    async def run(self, script: str, keys: Sequence[str], *args: bytes | str | float) -> Any:
        """What ``script`` replies on ``keys``. Raises QueueUnavailable, after which it may have run or not."""
        try:
            # The client's own timeout is for each read; this one is for the whole, whatever the client does.
            with _hearing_cancellation():
                async with asyncio.timeout(self._timeout_s * 2):
                    return await self._client.eval(script, len(keys), *keys, *args)
        except self._library.FAILURES as exc:
            with _hearing_cancellation():
                await self._forget_connections()
            raise QueueUnavailable(f"Redis at {self.address!r} {self._library.what_is_wrong(exc)}") from exc

    async def information(self) -> dict[str, Any]:
        """What ``INFO`` says of one server; empty where it is not to be had."""
        try:
            with _hearing_cancellation():
                async with asyncio.timeout(self._timeout_s):
                    found = await self._client.info()
        except self._library.FAILURES:
            return {}
        return found if isinstance(found.get("redis_version"), str) else next(iter(found.values()), {})

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        pool = getattr(self._client, "connection_pool", None)
        for client in (self._client, *getattr(getattr(pool, "sentinel_manager", None), "sentinels", ())):
            with contextlib.suppress(*self._library.FAILURES):
                await client.aclose()

    async def _forget_connections(self) -> None:
        """Connect afresh next time: the name may stand for another server by then."""
        with contextlib.suppress(AttributeError, *self._library.FAILURES):
            await self._client.connection_pool.disconnect(inuse_connections=False)


@contextlib.contextmanager
def _hearing_cancellation() -> Iterator[None]:
    """Raise CancelledError when the task was told so inside: the client may swallow it (seen with redis-py 8.1)."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError
