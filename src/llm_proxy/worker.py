"""Loop 2: queue → understand → price → store → acknowledge.

Invariants: acknowledged only after the store has accepted; a record that the store will never take is buried, and
stops nothing; a store that is away is asked again, for as long as it takes. An exchange of which this process died
again and again (memory, a library that crashes) is stored without being decoded.
"""

import asyncio
import contextlib
import gc
import mmap
import os
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from msgspec.structs import replace

from llm_proxy.errors import JournalUnwritable, StoreRejected, StoreUnavailable
from llm_proxy.log import get_logger
from llm_proxy.model.completion import Completion, Cost
from llm_proxy.queue.base import Delivery, Queue
from llm_proxy.store.base import Store
from llm_proxy.understand import understand

#: Records that are written together when so many wait: an index is walked once for all of them, a page written once.
#: Of 200, each takes a twentieth longer to write; beyond 500 they get no cheaper, only later.
BATCH_RECORDS = 500
#: How long to wait for work before looking whether to stop, in seconds.
WAIT_S = 0.5
#: First and longest wait for a store that is away, in seconds.
BACKOFF_S = (0.1, 5.0)
#: So many processes may die of one exchange: a kill from outside can hit the same one by chance, hardly three times.
MAX_DEATHS = 3

_ID_CHARACTERS = 36
_NOBODY = bytes(_ID_CHARACTERS)
_NOTE_BYTES = 2 * _ID_CHARACTERS + 1

#: What a record cost; None if it has nothing to be priced.
Pricer: TypeAlias = Callable[[Completion], Cost | None]
#: Counts what the proxy needed for itself in one call, in seconds.
NoteOverhead: TypeAlias = Callable[[float], None]
#: Notes when a key was used.
NoteUse: TypeAlias = Callable[[str, datetime], Awaitable[None]]
#: How often that is noted at most.
_NOTED_EVERY = timedelta(minutes=1)

_log = get_logger(__name__)


#: Thresholds of the garbage collector in a process that does nothing but this.
_COLLECT_AT = (100_000, 20, 20)


def collect_rarely() -> None:
    """Let the garbage collector of this process look at no batch, nor at what there was before.

    A batch is tens of thousands of objects that all are needed until it is stored, and then go without a collector: at
    the usual thresholds they are looked through dozens of times, which takes a sixth of all.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AT)


class Worker:
    """Runs until told to stop, and then until the queue has nothing more."""

    def __init__(
        self,
        queue: Queue,
        store: Store,
        *,
        price: Pricer | None = None,
        estimates: bool = False,
        suspect_note: Path | None = None,
        note_use: NoteUse | None = None,
        note_overhead: NoteOverhead | None = None,
    ) -> None:
        """Without ``price``, no cost is known; with ``estimates``, tokens that nobody counted are estimated.

        ``suspect_note`` tells the next process of what this one died.
        """
        self._queue = queue
        self._store = store
        self._price = price
        self._estimates = estimates
        self._suspect = _Suspect(suspect_note)
        self._note_use = note_use
        self._note_overhead = note_overhead
        self._noted: dict[str, datetime] = {}
        self._stop = asyncio.Event()
        self._leaves_rest = False

    def stop(self, *, leaving_rest: bool = False) -> None:
        """Finish what is there, then return from ``run``; ``leaving_rest``, only what was taken already."""
        self._leaves_rest = leaving_rest
        self._stop.set()

    async def run(self) -> None:
        """Work."""
        while True:
            stopping = self._stop.is_set()  # asked first: what was written before the word came is still taken
            if stopping and self._leaves_rest:
                return
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
        completions = await asyncio.to_thread(self._understand_all, deliveries)
        try:
            await self._put(completions)
        except StoreRejected:
            await self._put_one_by_one(deliveries, completions)
        else:
            await self._queue.ack(deliveries)
        await self._note_uses(completions)
        self._note_overheads(completions)

    def _note_overheads(self, completions: Sequence[Completion]) -> None:
        if self._note_overhead is None:
            return
        for one in completions:
            if one.ending is not None and one.overhead_s is not None:
                self._note_overhead(one.overhead_s)

    async def _note_uses(self, completions: Sequence[Completion]) -> None:
        """Note when the keys of these calls were last used, to the minute."""
        if self._note_use is None:
            return
        for one in completions:
            noted = None if one.key_id is None else self._noted.get(one.key_id)
            if one.key_id is not None and (noted is None or one.started_at - noted >= _NOTED_EVERY):
                self._noted[one.key_id] = one.started_at
                # A store that is away for a moment takes the next use.
                with contextlib.suppress(StoreUnavailable):
                    await self._note_use(one.key_id, one.started_at)

    def _understand_all(self, deliveries: Sequence[Delivery]) -> list[Completion]:
        completions = []
        for delivery in deliveries:
            with self._suspect.while_decoding(delivery.exchange.id) as harmful:
                completion = understand(delivery.exchange, harmful=harmful, estimates=self._estimates)
                completions.append(completion if harmful else self._priced(completion))
        return completions

    def _priced(self, completion: Completion) -> Completion:
        cost = None if self._price is None else self._price(completion)
        return completion if cost is None else replace(completion, cost=cost)

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


class _Suspect:
    """The exchange that was being decoded when a process died, and how often in a row it was the same one.

    The file is ``id being decoded 36 | suspect 36 | deaths 1``, mapped into memory: a note costs next to nothing and
    is with the kernel at once.
    """

    def __init__(self, path: Path | None) -> None:
        self._map = mmap.mmap(-1, _NOTE_BYTES)
        if path is not None:
            # Without a note nothing is lost but this protection: a full disk must not keep the worker from starting.
            with contextlib.suppress(OSError):
                self._map = _map_note(path)
        last = self._map[:_ID_CHARACTERS]
        if last != _NOBODY:
            deaths = self._map[-1] if last == self._suspected() else 0
            self._map[_ID_CHARACTERS:] = last + bytes([min(deaths + 1, 255)])
            self._map[:_ID_CHARACTERS] = _NOBODY

    @contextlib.contextmanager
    def while_decoding(self, exchange_id: str) -> Iterator[str | None]:
        """Note that this is being decoded; gives the reason if that must not be tried any more."""
        key = exchange_id.encode()
        deaths = self._map[-1] if key == self._suspected() else 0
        if deaths >= MAX_DEATHS:
            _log.error("a process died of a record again and again; it is stored without being decoded", id=exchange_id)
            yield f"not decoded: {deaths} processes died while they did"
            return
        self._map[:_ID_CHARACTERS] = key
        yield None
        self._map[:_ID_CHARACTERS] = _NOBODY

    def _suspected(self) -> bytes:
        return self._map[_ID_CHARACTERS:-1]


def _map_note(path: Path) -> mmap.mmap:
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b") as file:
        if len(file.read()) != _NOTE_BYTES:
            file.seek(0)
            # Written, not only made longer: a page for which the disk has no room would kill us when it is used.
            file.write(bytes(_NOTE_BYTES))
            file.truncate()
        return mmap.mmap(file.fileno(), _NOTE_BYTES)
