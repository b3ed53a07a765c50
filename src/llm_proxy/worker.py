"""Loop 2: queue → understand → store → acknowledge.

Invariants: acknowledged only after the store has accepted; a record that the store will never take is buried, and
stops nothing; a store that is away is asked again, for as long as it takes.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence

from llm_proxy.errors import JournalUnwritable, StoreRejected, StoreUnavailable
from llm_proxy.log import get_logger
from llm_proxy.model.completion import Completion
from llm_proxy.queue.base import Delivery, Queue
from llm_proxy.store.base import Store
from llm_proxy.understand import understand

#: Records that are written together: beyond a few hundred a batch gets no cheaper, only later.
BATCH_RECORDS = 200
#: How long to wait for work before looking whether to stop, in seconds.
WAIT_S = 0.5
#: First and longest wait for a store that is away, in seconds.
BACKOFF_S = (0.1, 10.0)

_log = get_logger(__name__)


class Worker:
    """Runs until told to stop, and then until the queue has nothing more."""

    def __init__(self, queue: Queue, store: Store) -> None:
        self._queue = queue
        self._store = store
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Finish what is there, then return from ``run``."""
        self._stop.set()

    async def run(self) -> None:
        """Work."""
        while True:
            stopping = self._stop.is_set()  # asked first: what was written before the word came is still taken
            deliveries = await self._queue.take(limit=BATCH_RECORDS, wait_s=0 if stopping else WAIT_S)
            if not deliveries and stopping:
                return
            try:
                if deliveries:
                    await self._process(deliveries)
            except StoreUnavailable:
                return  # what is not acknowledged comes again after the next start

    async def _process(self, deliveries: Sequence[Delivery]) -> None:
        # In a thread: decoding takes milliseconds, and this process serves pages, too.
        completions = await asyncio.to_thread(lambda: [understand(delivery.exchange) for delivery in deliveries])
        try:
            await self._put(completions)
        except StoreRejected:
            await self._put_one_by_one(deliveries, completions)
        else:
            await self._queue.ack(deliveries)

    async def _put_one_by_one(self, deliveries: Sequence[Delivery], completions: Sequence[Completion]) -> None:
        for delivery, completion in zip(deliveries, completions, strict=True):
            try:
                await self._put([completion])
            except StoreRejected as exc:
                await self._bury(delivery, str(exc))
            else:
                await self._queue.ack([delivery])

    async def _bury(self, delivery: Delivery, reason: str) -> None:
        _log.error("the store rejects a record; it is kept as a dead letter", id=delivery.exchange.id, reason=reason)
        try:
            await self._queue.bury(delivery, reason)
        except JournalUnwritable as exc:
            _log.error("a dead letter cannot be written; the call stays in the journal", reason=str(exc))

    async def _put(self, completions: Sequence[Completion]) -> None:
        """Put, again and again while the store is away. Raises StoreRejected, and StoreUnavailable if told to stop."""
        wait_s, longest_s = BACKOFF_S
        warned = False
        while True:
            try:
                await self._store.put(completions)
            except StoreUnavailable as exc:
                if self._stop.is_set():
                    raise
                if not warned:
                    _log.warning("the store is not available; records wait in the journal", reason=str(exc))
                    warned = True
                await self._pause(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                wait_s = min(wait_s * 2, longest_s)
            else:
                if warned:
                    _log.info("the store is available again")
                return

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not any longer when told to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), wait_s)
