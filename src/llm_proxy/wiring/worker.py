"""A worker process: takes calls from Redis, understands them and puts them into the store.

With a port it also has health and numbers there: several workers share it, and any of them tells the sum.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from starlette.applications import Starlette

from llm_proxy.api import ops
from llm_proxy.app_server import serve_app
from llm_proxy.assignment import Assignment
from llm_proxy.child import Lifeline, main
from llm_proxy.metrics import Ledger, read_all
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_depth import depth
from llm_proxy.queue.redis_streams import RedisStreams
from llm_proxy.settings.table import Settings
from llm_proxy.store.base import Store
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.wiring import redis
from llm_proxy.wiring.keys_known import watch_into_redis
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.pricing import make_pricer
from llm_proxy.wiring.stores import open_store
from llm_proxy.wiring.upgrade import check_store, upgrading
from llm_proxy.worker import Worker, collect_rarely

#: How long an answer about health or numbers may still be on its way at shutdown, in seconds.
_DRAIN_S = 2.0


async def run(settings: Settings, assignment: Assignment, lifeline: Lifeline) -> None:
    """Work until the lifeline ends; then finish the batch, and let others have the rest."""
    store, connection = open_store(settings), redis.connection(settings)
    ledger = DataDir(settings.data_dir).ledger(assignment.name)
    queue = _queue(settings, connection, ledger)
    worker = Worker(
        queue,
        store,
        price=make_pricer(settings),
        estimates=settings.usage.estimate,
        note_use=SqlAccounts(store).note_use,
        note_overhead=ledger.observe_overhead,
    )
    async with upgrading(store) as upgrade:

        async def work(stopping: asyncio.Event) -> None:
            if not await upgrade.done(stopping):
                return
            collect_rarely()
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(queue.upkeep(shows_depth=assignment.index == 0)),
                    group.create_task(redis.advise(connection)),
                ]
                if assignment.index == 0:
                    watch = watch_into_redis(store, connection, redis.shards(settings)[0])
                    beside.append(group.create_task(watch.run()))
                working = group.create_task(worker.run())
                await stopping.wait()
                queue.stop()
                worker.stop()
                await working
                for task in beside:
                    task.cancel()

        check = partial(_check, settings, connection, store)
        await _be(settings, assignment, lifeline, work=work, check=check)
    await queue.close()
    await store.close()


def _queue(settings: Settings, connection: RedisConnection, ledger: Ledger) -> RedisStreams:
    return RedisStreams(
        connection,
        redis.shards(settings),
        ledger=ledger,
        claim_after_s=settings.streams.claim_after_s,
        max_deliveries=settings.streams.max_deliveries,
    )


async def _be(
    settings: Settings,
    assignment: Assignment,
    lifeline: Lifeline,
    *,
    work: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
    check: ops.Check,
) -> None:
    """Do ``work`` until the lifeline ends, and tell of it at the port, if there is one."""
    if assignment.listen_fd is None:
        stopping = asyncio.Event()
        with lifeline.calling(stopping.set):
            lifeline.say_ready()
            await work(stopping)
        return
    numbers = partial(read_all, DataDir(settings.data_dir).counters)
    await serve_app(
        Starlette(routes=ops.routes(check=check, numbers=numbers)),
        socket.socket(fileno=assignment.listen_fd),
        lifeline,
        keep_alive_s=settings.timeouts.keep_alive_s,
        drain_s=_DRAIN_S,
        alongside=work,
    )


async def _check(settings: Settings, connection: RedisConnection, store: Store) -> None:
    """Raise QueueUnavailable or StoreUnavailable if one of them is away."""
    await depth(connection, redis.shards(settings))
    await check_store(store)


if __name__ == "__main__":
    main(run)
