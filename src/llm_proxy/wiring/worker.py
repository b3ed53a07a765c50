"""A worker process: takes calls from Redis, understands them and puts them into the store."""

import asyncio

from llm_proxy.assignment import Assignment
from llm_proxy.child import Lifeline, main
from llm_proxy.errors import StoreUnavailable
from llm_proxy.log import get_logger
from llm_proxy.queue.redis_streams import RedisStreams
from llm_proxy.settings import Settings
from llm_proxy.store.base import Store
from llm_proxy.wiring import redis
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.stores import open_store
from llm_proxy.worker import Worker

_log = get_logger(__name__)


async def run(settings: Settings, assignment: Assignment, lifeline: Lifeline) -> None:
    """Work until the lifeline ends; then finish the batch, and let others have the rest."""
    data = DataDir(settings.data_dir)
    ledger = data.ledger(f"{assignment.role}-{assignment.index}")
    store = open_store(settings)
    connection = redis.connection(settings)
    queue = RedisStreams(
        connection,
        redis.shards(settings),
        ledger=ledger,
        claim_after_s=settings.streams.claim_after_s,
        max_deliveries=settings.streams.max_deliveries,
    )
    worker = Worker(queue, store)

    def stop() -> None:
        queue.stop()
        worker.stop()

    await _migrate(store)
    with lifeline.calling(stop):
        lifeline.say_ready()
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(queue.upkeep(shows_depth=assignment.index == 0)),
                group.create_task(redis.advise(connection)),
            ]
            await worker.run()
            for task in beside:
                task.cancel()
    await queue.close()
    await store.close()


async def _migrate(store: Store) -> None:
    try:
        await store.migrate()
    except StoreUnavailable as exc:  # the supervisor tries again, and the queue keeps the calls meanwhile
        _log.error("the store cannot be opened", reason=str(exc))
        raise SystemExit(1) from exc


if __name__ == "__main__":
    main(run)
