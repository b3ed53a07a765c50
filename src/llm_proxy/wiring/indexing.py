"""The indexes that are filled beside the writing: by one process at a time, and slowly enough to leave room for it."""

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta

from llm_proxy.errors import StoreUnavailable
from llm_proxy.log import Incident, get_logger
from llm_proxy.metrics import Ledger
from llm_proxy.settings.table import Settings
from llm_proxy.store.rows import to_micros
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sums_keeper import SumsKeeper
from llm_proxy.wiring.progress import Advance, progress
from llm_proxy.wiring.retention import leading
from llm_proxy.wiring.stores import open_store

#: How long to wait when there is nothing to index, or when others do it, in seconds.
_LOOK_AGAIN_S = 5.0
#: How long it rests, as a part of how long it works. That it gives way is of no use where all processes together may
#: take so much of the processor and no more, as in a container.
_REST = 0.5
_TASK = "indexing"
#: How often to look which hours have changed, in seconds: it takes a moment for each million of calls.
_SUM_AGAIN_S = 60.0
#: An hour is summed up when most of its calls have ended.
_SETTLED = timedelta(minutes=5)

_log = get_logger(__name__)


async def keep_indexed(settings: Settings, store: SqlStore, *, ledger: Ledger) -> None:
    """Index what is stored until cancelled, whenever nobody else does."""
    filling = _Filling(SearchIndexer(store), SumsKeeper(store), ledger)
    incident = Incident(
        _log, begins="records cannot be indexed; it is tried again", over="records can be indexed again"
    )
    while True:
        try:
            async with leading(settings, _TASK) as leads:
                while leads:
                    await asyncio.sleep(await filling.step())
                    incident.worked()
        except StoreUnavailable as exc:
            incident.failed(exc)
        ledger.put("unindexed", 0)  # whoever leads tells
        await asyncio.sleep(_LOOK_AGAIN_S)


class _Filling:
    """Fills one index after the other, a step at a time."""

    def __init__(self, indexer: SearchIndexer, sums: SumsKeeper, ledger: Ledger) -> None:
        self._indexer = indexer
        self._sums = sums
        self._ledger = ledger
        self._sums_again_s = 0.0

    async def step(self) -> float:
        """Index some, and tell how long to rest, in seconds."""
        started_s = time.monotonic()
        done = await self._indexer.step()
        self._ledger.put("unindexed", await self._indexer.waiting())
        if started_s >= self._sums_again_s:
            summed = await self._sums.step(until_us=to_micros(datetime.now(UTC) - _SETTLED))
            done += summed
            self._sums_again_s = 0.0 if summed else time.monotonic() + _SUM_AGAIN_S
        return _REST * (time.monotonic() - started_s) if done else _LOOK_AGAIN_S


def run_reindex(settings: Settings) -> int:
    """Make the index for search anew; the exit status. Raises ConfigError."""

    async def act(advance: Advance) -> int | None:
        store = open_store(settings)
        try:
            if await store.schema_step() is None:  # who has nothing to index shall not make a store
                return 0
            await store.migrate()
            return await _reindex(settings, SearchIndexer(store), advance)
        finally:
            await asyncio.shield(store.close())

    with progress("indexing", total=None) as advance:
        count = asyncio.run(act(advance))
    if count is None:
        sys.stdout.write("the index is empty now; the process that is running fills it again\n")
    else:
        sys.stdout.write(f"indexed {count} records\n")
    return 0


async def _reindex(settings: Settings, indexer: SearchIndexer, advance: Advance) -> int | None:
    """How many records are indexed; None if somebody else does it."""
    await indexer.clear()
    count = await indexer.waiting()
    async with leading(settings, _TASK) as leads:
        if not leads:
            return None
        while await indexer.step(all_of_it=True):
            advance(count - await indexer.waiting())
    return count
