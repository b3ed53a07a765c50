"""How the proxies of a host come to know the keys: who makes the snapshot, which way it goes, and its file.

Without Redis, the store process writes the file beside the journal. With Redis, a worker puts the snapshot there, and
the shipper of each host writes the file.
"""

import asyncio
import contextlib
import os
import secrets
from pathlib import Path

from llm_proxy.errors import QueueUnavailable, StoreUnavailable
from llm_proxy.key_watch import LOOK_INTERVAL_S, KeyWatch
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_keys import put_keys, take_keys
from llm_proxy.queue.redis_layout import Shard
from llm_proxy.store.sql_key_spend import SqlKeySpend
from llm_proxy.store.sql_store import SqlStore


def watch_into_file(store: SqlStore, path: Path) -> KeyWatch:
    """Keeps the file at ``path`` up to date with ``store``."""

    async def tell(snapshot: bytes) -> None:
        try:
            await asyncio.to_thread(write_snapshot, path, snapshot)
        except OSError as exc:
            raise StoreUnavailable(f"{path}: {exc.strerror}") from exc

    return KeyWatch(SqlKeySpend(store), tell)


def watch_into_redis(store: SqlStore, connection: RedisConnection, shard: Shard) -> KeyWatch:
    """Keeps what is in Redis up to date with ``store``."""
    return KeyWatch(SqlKeySpend(store), lambda snapshot: put_keys(connection, shard, snapshot))


async def follow_redis(connection: RedisConnection, shard: Shard, path: Path) -> None:
    """Keep the file at ``path`` up to date with what is in Redis, until cancelled."""
    written: bytes | None = None
    while True:
        # Who ships calls says it if Redis or the disk is away; what is in the file stays.
        with contextlib.suppress(QueueUnavailable, OSError):
            snapshot = await take_keys(connection, shard)
            if snapshot is not None and snapshot != written:
                await asyncio.to_thread(write_snapshot, path, snapshot)
                written = snapshot
        await asyncio.sleep(LOOK_INTERVAL_S)


def write_snapshot(path: Path, snapshot: bytes) -> None:
    """Put ``snapshot`` in the place of the file, in one step; for the owner only. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(snapshot)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
