"""The queue in Redis, as a worker sees it: see Queue, and redis_layout.py for every key.

Invariants
- An entry is taken away only when the store has its record, or as a dead letter; the first one counts.
- Nothing here raises because Redis is away, and no worker waits for it: ``take`` delivers nothing for as long, and what
  was to be acknowledged is kept and acknowledged when Redis is back.
- A worker that lives keeps what it has, however long its store is away (``upkeep``). What a dead one had goes to
  others after a while; what was delivered often is handed out alone, and becomes a dead letter when it was delivered
  too often: it may be what kills the workers.
- What cannot be read becomes a dead letter at once, as it is.
"""

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from llm_proxy.errors import EnvelopeUnreadable, QueueUnavailable
from llm_proxy.log import Incident, get_logger
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue.base import Delivery
from llm_proxy.queue.envelope import unpack
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_depth import depth
from llm_proxy.queue.redis_layout import ACK, BURY, CLAIM, FORGET, GROUP, HOLD, READ_PART, TAKE, Shard

#: Pauses between two looks at an empty queue, and at one that is away: the first and the longest, in seconds.
POLL_S, BACKOFF_S = (0.01, 0.25), (0.1, 5.0)
#: Bodies that are handed out together, unpacked, in bytes: a larger record is handed out alone.
BATCH_BYTES = 64 * 2**20
#: What was delivered so often before is handed out alone.
SUSPECT_DELIVERIES = 2
#: How long a consumer must have said nothing before it is forgotten, in seconds.
_FORGET_AFTER_S = 3600
#: An idle time that is longer than any limit, in seconds: others may claim the entry at once.
_RELEASED_S = 30 * 86400
#: How often the numbers of the queue are read, in seconds.
_DEPTH_INTERVAL_S = 2.0

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RedisDelivery(Delivery):
    """An ended call with its entry; or one that still runs, which has none."""

    entry: "_Entry | None"


@dataclass(frozen=True, slots=True)
class _Entry:
    shard: Shard
    entry_id: bytes
    fields: dict[bytes, bytes]
    #: How often it was delivered before.
    deliveries: int

    @property
    def parts(self) -> list[str]:
        return self.shard.parts(self.fields[b"parts"]) if b"parts" in self.fields else []


@dataclass(frozen=True, slots=True)
class _Burial:
    entry: _Entry
    reason: str


class RedisStreams:
    """A Queue for one worker."""

    def __init__(
        self,
        connection: RedisConnection,
        shards: Sequence[Shard],
        *,
        ledger: Ledger,
        claim_after_s: float,
        max_deliveries: int,
    ) -> None:
        self._connection = connection
        self._shards = deque(shards)
        self._ledger = ledger
        self._claim_after_s = claim_after_s
        self._max_deliveries = max_deliveries
        self.consumer = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        #: Delivered to us by Redis and neither acknowledged nor buried.
        self._held: dict[tuple[Shard, bytes], _Entry] = {}
        #: Of these, what has not been handed out.
        self._backlog: deque[_Entry] = deque()
        self._unsettled: deque[list[_Entry] | _Burial] = deque()
        self._claim_at = 0.0
        self._reply_was_lost = False
        self._retry_at = 0.0
        self._retry_s = BACKOFF_S[0]
        self._stopping = False
        self._incident = Incident(
            _log,
            begins="the queue is not available; calls wait in it and in the journals",
            over="the queue is available again",
        )

    def stop(self) -> None:
        """Deliver nothing more."""
        self._stopping = True

    async def take(self, *, limit: int, wait_s: float) -> list[Delivery]:
        """Up to ``limit`` deliveries, and no more than memory allows."""
        clock = asyncio.get_running_loop().time
        deadline, pause_s = clock() + wait_s, POLL_S[0]
        while not self._stopping:
            if clock() >= self._retry_at:
                deliveries: list[Delivery] = []
                await self._try(self._settle())
                if not self._backlog:
                    await self._try(self._refill(limit, deliveries))
                await self._try(self._hand_out(limit, deliveries))
                if deliveries:
                    return deliveries
            left_s = deadline - clock()
            if left_s <= 0:
                break
            await asyncio.sleep(min(max(pause_s, self._retry_at - clock()), left_s))
            pause_s = min(pause_s * 2, POLL_S[1])
        return []

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """The store has them."""
        entries = [delivery.entry for delivery in deliveries if isinstance(delivery, RedisDelivery) and delivery.entry]
        for shard in dict.fromkeys(entry.shard for entry in entries):
            self._unsettled.append([entry for entry in entries if entry.shard == shard])
        await self._try(self._settle())

    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Keep it aside."""
        if isinstance(delivery, RedisDelivery) and delivery.entry:
            self._unsettled.append(_Burial(delivery.entry, reason))
            await self._try(self._settle())

    async def upkeep(self, *, shows_depth: bool) -> None:
        """Say again and again that we still have what we have; runs until cancelled.

        ``shows_depth``: put the numbers of the whole queue into the ledger, which one process per host should do.
        """
        pause_s = min(self._claim_after_s / 4, _DEPTH_INTERVAL_S)
        while True:
            await self._try(self._hold(0))
            if shows_depth:
                await self._try(self._show_depth())
            await asyncio.sleep(pause_s)

    async def close(self) -> None:
        """Acknowledge what can be acknowledged and let others have the rest at once."""
        self._stopping = True
        self._retry_at = 0.0
        await self._try(self._settle())
        await self._try(self._hold(_RELEASED_S))
        await self._try(self._forget(self.consumer))
        await self._connection.close()

    async def _try(self, action: Coroutine[Any, Any, None]) -> None:
        """Do it, or note that Redis is away and when to try again."""
        try:
            await action
        except QueueUnavailable as exc:
            self._incident.failed(exc)
            self._reply_was_lost = True
            self._retry_at = asyncio.get_running_loop().time() + self._retry_s
            self._retry_s = min(self._retry_s * 2, BACKOFF_S[1])

    async def _refill(self, limit: int, announced: list[Delivery]) -> None:
        """Take from every shard that answers. Raises QueueUnavailable if one did not."""
        now = asyncio.get_running_loop().time()
        look_for_stale = now >= self._claim_at
        if look_for_stale:
            self._claim_at = now + self._claim_after_s / 4
            await self._forget("")
        lost, self._reply_was_lost = self._reply_was_lost, False
        failure: QueueUnavailable | None = None
        self._shards.rotate()  # a busy one shall not starve the others
        for shard in self._shards:
            try:
                if lost:
                    await self._claim(shard, limit, idle_s=0, whose=self.consumer)
                if look_for_stale:
                    await self._claim(shard, limit, idle_s=self._claim_after_s, whose="")
                # Behind a suspect nothing is taken that would be delivered once more if it kills us.
                if len(self._backlog) < limit and not any(map(_is_suspect, self._backlog)):
                    announced += await self._read_new(shard, limit - len(self._backlog))
            except QueueUnavailable as exc:
                failure = exc
        if failure is not None:
            raise failure
        self._incident.worked()
        self._retry_at, self._retry_s = 0.0, BACKOFF_S[0]

    async def _read_new(self, shard: Shard, limit: int) -> list[Delivery]:
        """Put new entries of ``shard`` into the backlog, and return its announcements."""
        found, started = await self._connection.run(
            TAKE, [shard.calls, shard.started], GROUP, self.consumer, limit, limit
        )
        for entry_id, fields in found:
            self._add(shard, entry_id, fields, deliveries=0)
        announced: list[Delivery] = []
        for envelope in started:
            with contextlib.suppress(EnvelopeUnreadable):  # its end will tell
                announced.append(RedisDelivery(unpack(envelope), None))
        return announced

    async def _claim(self, shard: Shard, limit: int, *, idle_s: float, whose: str) -> None:
        """Put into the backlog what was delivered so long ago; to ``whose`` consumer, if that is one."""
        held = [entry_id for holder, entry_id in self._held if holder == shard]
        idle_ms = int(idle_s * 1000)
        for entry_id, deliveries, fields in await self._connection.run(
            CLAIM, [shard.calls], GROUP, self.consumer, idle_ms, limit, SUSPECT_DELIVERIES, whose, *held
        ):
            self._add(shard, entry_id, fields, deliveries=deliveries)

    def _add(self, shard: Shard, entry_id: bytes, fields: list[bytes], *, deliveries: int) -> None:
        entry = _Entry(shard, entry_id, dict(zip(fields[::2], fields[1::2], strict=False)), deliveries)
        self._held[shard, entry_id] = entry
        self._backlog.append(entry)

    async def _hand_out(self, limit: int, deliveries: list[Delivery]) -> None:
        """Add the next ones of the backlog. What cannot be handed out to anybody is buried on the way."""
        total_bytes = 0
        while self._backlog and len(deliveries) < limit and total_bytes < BATCH_BYTES:
            entry = self._backlog[0]
            suspect = _is_suspect(entry)
            if suspect and deliveries:
                return
            try:
                exchange = await self._read(entry)
            except EnvelopeUnreadable as exc:
                call = entry.fields.get(b"id", b"").decode(errors="replace")
                _log.error("a call cannot be read; it is kept as a dead letter", id=call, reason=str(exc))
                self._unsettled.append(_Burial(entry, str(exc)))
            else:
                deliveries.append(RedisDelivery(exchange, entry))
                total_bytes += len(exchange.request_body or b"") + len(exchange.response_body or b"")
            self._backlog.popleft()
            if suspect:
                return

    async def _read(self, entry: _Entry) -> Exchange:
        """The call in ``entry``. Raises EnvelopeUnreadable."""
        if entry.deliveries >= self._max_deliveries:
            raise EnvelopeUnreadable(f"delivered {entry.deliveries} times and never acknowledged: it may kill workers")
        envelope = entry.fields.get(b"envelope")
        if envelope is None:
            envelope = await self._read_parts(entry)
        return unpack(envelope)

    async def _read_parts(self, entry: _Entry) -> bytes:
        try:
            parts = entry.parts
        except ValueError as exc:
            raise EnvelopeUnreadable("the entry does not say where the envelope is") from exc
        pieces = [await self._connection.run(READ_PART, [part]) for part in parts]
        if not pieces or None in pieces:
            raise EnvelopeUnreadable("the envelope is not there, or not the whole of it")
        return b"".join(pieces)

    async def _settle(self) -> None:
        """Acknowledge and bury what is to be, in order."""
        while self._unsettled:
            match self._unsettled[0]:
                case _Burial(entry, reason):
                    await self._bury(entry, reason)
                    settled = [entry]
                case list() as settled:
                    await self._ack(settled)
            self._unsettled.popleft()
            for entry in settled:
                self._held.pop((entry.shard, entry.entry_id), None)

    async def _ack(self, entries: Sequence[_Entry]) -> None:
        shard = entries[0].shard
        keys = [shard.calls, shard.counters, *(part for entry in entries for part in entry.parts)]
        stored = await self._connection.run(ACK, keys, GROUP, *(entry.entry_id for entry in entries))
        self._ledger.add("stored", stored)

    async def _bury(self, entry: _Entry, reason: str) -> None:
        shard = entry.shard
        keys = [shard.calls, shard.counters, shard.dead]
        buried = await self._connection.run(BURY, keys, GROUP, entry.entry_id, reason, entry.deliveries + 1)
        self._ledger.add("dead", buried)

    async def _hold(self, idle_s: float) -> None:
        """Set the idle time of what we have: 0 keeps it from others."""
        for shard in self._shards:
            held = [entry_id for holder, entry_id in self._held if holder == shard]
            if held:
                await self._connection.run(HOLD, [shard.calls], GROUP, self.consumer, int(idle_s * 1000), *held)

    async def _forget(self, consumer: str) -> None:
        """Forget consumers that have been silent for long, and ``consumer``; none that still has something."""
        for shard in self._shards:
            await self._connection.run(FORGET, [shard.calls], GROUP, int(_FORGET_AFTER_S * 1000), consumer)

    async def _show_depth(self) -> None:
        now = await depth(self._connection, self._shards)
        self._ledger.put("stream_waiting", now.waiting)
        self._ledger.put("stream_oldest_seconds", int(now.oldest_age_s or 0))
        self._ledger.put("stream_dead", now.dead_letters)


def _is_suspect(entry: _Entry) -> bool:
    return entry.deliveries >= SUSPECT_DELIVERIES
