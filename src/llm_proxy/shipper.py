"""Loop 1, where calls go through Redis: journal → queue → the journal's cursor.

Invariants
- The journal is told that it need not keep a call only after the queue has accepted it; a call that ended is shipped
  until then, again and again, in the order of the journal.
- The queue is waited for with growing pauses, for as long as it takes; meanwhile the journal grows up to its cap, and
  nothing more than one batch is in memory. The proxies know nothing of it.
- Running calls are told of if that is no trouble, once and not again.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence

from llm_proxy.errors import QueueUnavailable
from llm_proxy.journal.reader import JournalReader
from llm_proxy.log import Incident, get_logger
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue.redis_publisher import Parcel, RedisPublisher

#: Calls that are shipped together: one round trip, and a few hundred kilobytes.
BATCH_RECORDS = 200
#: How often the journal is looked at while there is nothing to do, in seconds: a readdir, a read and a lock per writer.
POLL_INTERVAL_S = 0.05
#: First and longest wait for a queue that is away, in seconds.
BACKOFF_S = (0.1, 5.0)
#: How long to go on shipping when told to stop, in seconds; what is left then is shipped after the next start.
STOP_S = 10.0

_log = get_logger(__name__)


class Shipper:
    """Runs until told to stop, and then until the journal has nothing more, or until the queue is not available."""

    def __init__(self, reader: JournalReader, publisher: RedisPublisher) -> None:
        self._reader = reader
        self._publisher = publisher
        self._stop = asyncio.Event()
        self._leaves_rest = False
        self._incident = Incident(
            _log,
            begins="the queue is not available; calls wait in the journal",
            over="the queue is available again",
        )

    def stop(self, *, leaving_rest: bool = False) -> None:
        """Ship what is there, then return from ``run``; ``leaving_rest``, only what was read already."""
        self._leaves_rest = leaving_rest
        self._stop.set()

    async def run(self) -> None:
        """Ship."""
        clock = asyncio.get_running_loop().time
        stop_at: float | None = None
        while stop_at is None or clock() < stop_at:
            stopping = self._stop.is_set()  # asked first: what was written before the word came is still shipped
            if stopping and self._leaves_rest:
                return
            if stopping and stop_at is None:
                stop_at = clock() + STOP_S
            exchanges = await asyncio.to_thread(self._reader.poll, limit=BATCH_RECORDS)
            try:
                await self._ship(exchanges)
            except QueueUnavailable:
                return  # told to stop; the journal has them
            await asyncio.to_thread(self._reader.tidy)
            if not exchanges:
                self._publisher.caught_up()
                if stopping:
                    return
                await self._pause(POLL_INTERVAL_S)

    async def _ship(self, exchanges: Sequence[Exchange]) -> None:
        """Hand over what has ended and tell of what runs. Raises QueueUnavailable if told to stop meanwhile."""
        ended = [exchange for exchange in exchanges if exchange.ending is not None]
        if ended:
            # In a thread, as all that takes milliseconds: a signal is to be heard.
            parcels = await asyncio.to_thread(lambda: [Parcel.of(exchange) for exchange in ended])
            await self._publish(parcels)
            await asyncio.to_thread(self._reader.mark_stored, [exchange.id for exchange in ended])
        running = [exchange for exchange in exchanges if exchange.ending is None]
        if running and len(exchanges) < BATCH_RECORDS:  # behind a backlog nobody waits for them
            with contextlib.suppress(QueueUnavailable):
                await self._publisher.announce(running)

    async def _publish(self, parcels: Sequence[Parcel]) -> None:
        wait_s, longest_s = BACKOFF_S
        while True:
            try:
                await self._publisher.publish(parcels)
            except QueueUnavailable as exc:
                self._incident.failed(exc)
                if self._stop.is_set():
                    raise
                await asyncio.to_thread(self._reader.tidy)  # whoever looks sees how long they wait
                await self._pause(wait_s * random.uniform(0.5, 1))  # noqa: S311 - jitter
                wait_s = min(wait_s * 2, longest_s)
            else:
                self._incident.worked()
                return

    async def _pause(self, wait_s: float) -> None:
        """Wait, but not any longer when told to stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), wait_s)
