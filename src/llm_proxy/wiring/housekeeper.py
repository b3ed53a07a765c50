"""The housekeeper process: what can wait, in an interpreter of its own.

It fills the index for search, sums up hours and days, and deletes what is too old or too much. Of several processes
that would do one of these on the same store, one does it. It may be killed at any time: each step is one transaction,
and the next one finds what is left. It never makes or changes the schema.
"""

import asyncio
import contextlib

from llm_proxy.assignment import Assignment
from llm_proxy.child import Lifeline, main
from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.indexing import keep_indexed
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.retention import keep_within_limits
from llm_proxy.wiring.stores import open_store
from llm_proxy.wiring.upgrade import upgraded

#: How often to look whether another one of this data directory has ended, in seconds.
_CLAIM_INTERVAL_S = 1.0


async def run(settings: Settings, assignment: Assignment, lifeline: Lifeline) -> None:
    """Keep house until the lifeline ends."""
    stopping = asyncio.Event()
    with lifeline.calling(stopping.set):
        lifeline.say_ready()
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(_claim_and_keep(settings, assignment.name))
            await stopping.wait()
            keeping.cancel()


async def _claim_and_keep(settings: Settings, name: str) -> None:
    """Keep house as soon as no other process does so for the same data directory: one of before, or of another role."""
    with contextlib.ExitStack() as claim:
        while True:
            try:
                claim.enter_context(DataDir(settings.data_dir).claimed("housekeeper"))
                break
            except ConfigError:
                await asyncio.sleep(_CLAIM_INTERVAL_S)
        await _keep(settings, name)


async def _keep(settings: Settings, name: str) -> None:
    store, ledger = open_store(settings), DataDir(settings.data_dir).ledger(name)
    try:
        await upgraded(store)
        async with asyncio.TaskGroup() as group:
            group.create_task(keep_within_limits(settings, store, ledger=ledger))
            group.create_task(keep_indexed(settings, store, ledger=ledger))
    finally:
        await asyncio.shield(store.close())


if __name__ == "__main__":
    main(run)
