"""What ours does behind the calls, brought to its end, so that each load pays for all of itself and for no other.

Calls that are too few for a block of the index for search wait for more, and sums are made once a minute. Both is done
here as soon as a load is over, by the code of the product, and what it takes is told.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from llm_proxy.store.rows import to_micros
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.store.sums_keeper import SumsKeeper


@asynccontextmanager
async def completing(database: Path) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """To index and sum up all that is in the store; gives the CPU time of it, in seconds.

    Open for a whole turn, since what a store takes to be opened is not what a call takes.
    """
    store = SqliteStore(database)
    indexer, sums = SearchIndexer(store), SumsKeeper(store)

    async def complete() -> float:
        begun_s = time.process_time()  # of this process, which does nothing else meanwhile
        while await indexer.step(all_of_it=True):
            pass
        while await sums.step(until_us=to_micros(datetime.now(UTC))):
            pass
        return time.process_time() - begun_s

    try:
        yield complete
    finally:
        await store.close()
