"""The shipper process: moves calls from the journal of this machine into Redis."""

import asyncio
import contextlib
import os
from collections.abc import Callable
from uuid import uuid4

from llm_proxy.assignment import Assignment
from llm_proxy.child import Lifeline, main
from llm_proxy.journal.reader import ANNOUNCE_AFTER_S, JournalReader
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_publisher import RedisPublisher
from llm_proxy.settings.table import Settings
from llm_proxy.shipper import Shipper
from llm_proxy.wiring import redis
from llm_proxy.wiring.keys_known import follow_redis
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.sole_reader import sole_reader


async def run(settings: Settings, assignment: Assignment, lifeline: Lifeline) -> None:
    """Ship until the lifeline ends, and until the journal is in Redis or Redis is not available."""
    data, connection = DataDir(settings.data_dir), redis.connection(settings)
    stopping = asyncio.Event()
    with lifeline.calling(stopping.set):
        lifeline.say_ready()
        async with sole_reader(data, stopping) as is_reader:
            if is_reader:
                ledger = data.ledger(assignment.name)
                await _ship(settings, connection, ledger, stopping=stopping, is_replaced=lambda: lifeline.retired)
    await connection.close()


async def _ship(
    settings: Settings,
    connection: RedisConnection,
    ledger: Ledger,
    *,
    stopping: asyncio.Event,
    is_replaced: Callable[[], bool],
) -> None:
    data = DataDir(settings.data_dir)
    publisher = RedisPublisher(
        connection,
        redis.shards(settings),
        name=_journal_name(data),
        ledger=ledger,
        counted_before=read_all(data.counters)["shipped"] - ledger.get("shipped"),
    )
    reader = JournalReader(data.journal, ledger=ledger, announce_after_s=ANNOUNCE_AFTER_S, ledgers=data.counters)
    shipper = Shipper(reader, publisher)
    async with asyncio.TaskGroup() as group:
        beside = [
            group.create_task(redis.advise(connection)),
            group.create_task(follow_redis(connection, redis.shards(settings)[0], data.keys)),
        ]
        shipping = group.create_task(shipper.run())
        await stopping.wait()
        shipper.stop(leaving_rest=is_replaced())
        await shipping
        for task in beside:
            task.cancel()


def _journal_name(data: DataDir) -> str:
    """The name of this journal in Redis, the same for the life of the directory."""
    path = data.root / "journal.name"
    with contextlib.suppress(FileExistsError):
        unfinished = path.with_suffix(".new")
        unfinished.write_text(uuid4().hex)
        os.link(unfinished, path)  # in one step, and never in the place of an earlier one
    path.with_suffix(".new").unlink(missing_ok=True)
    return path.read_text()


if __name__ == "__main__":
    main(run)
