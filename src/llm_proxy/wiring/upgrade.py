"""The schema brought to its newest step by a process that goes on meanwhile, whenever the store is there for it.

A store that is away, or that a newer llm-proxy has written, is asked again for as long as it takes: a process that
died of it would only be started again to find the same. Calls wait in the journal or in Redis.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator

from llm_proxy.errors import StoreUnavailable
from llm_proxy.log import Incident, get_logger
from llm_proxy.store.base import Store
from llm_proxy.store.migrations import HEAD

#: First and longest wait for a store that is away, in seconds.
BACKOFF_S = (0.1, 5.0)
#: How long nobody is served for its sake, in seconds: who asks a store that is there shall find its tables made.
_HEAD_START_S = 2.0
#: How long a store may take to say at which step it is, in seconds.
_CHECK_S = 5.0
#: How often to look whether another process has made it, in seconds.
_LOOK_S = 1.0

_log = get_logger(__name__)


class Upgrade:
    """The schema of a store on its way to the newest step."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    async def done(self, stopping: asyncio.Event) -> bool:
        """Wait for it; false if told to stop before."""
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait([self._task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        return self._task.done() and not stopping.is_set()


@contextlib.asynccontextmanager
async def upgrading(store: Store) -> AsyncIterator[Upgrade]:
    """Begin, and go on until it is done, or to the end of the block."""
    task = asyncio.create_task(_upgrade(store))
    await asyncio.wait([task], timeout=_HEAD_START_S)
    try:
        yield Upgrade(task)
    finally:
        task.cancel()


async def upgraded(store: Store) -> None:
    """Wait until another process has brought the schema to its newest step, which says what keeps it from that."""
    while True:
        with contextlib.suppress(StoreUnavailable):
            if await store.schema_step() == HEAD:
                return
        await asyncio.sleep(_LOOK_S)


async def check_store(store: Store) -> None:
    """Raise StoreUnavailable unless the store can be reached and has its tables."""
    try:
        async with asyncio.timeout(_CHECK_S):
            step = await store.schema_step()
    except TimeoutError as exc:
        raise StoreUnavailable(f"the store did not answer within {_CHECK_S:.0f} s") from exc
    if step != HEAD:
        raise StoreUnavailable(f"the schema of the store is at step {step}, and not yet at step {HEAD}")


async def _upgrade(store: Store) -> None:
    incident = Incident(_log, begins="the store cannot be opened", over="the store is open")
    wait_s, longest_s = BACKOFF_S
    while True:
        try:
            await store.migrate()
        except StoreUnavailable as exc:
            incident.failed(exc)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
            wait_s = min(wait_s * 2, longest_s)
        else:
            incident.worked()
            return
