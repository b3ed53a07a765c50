"""From one journal into Redis: each ended call once, whatever is killed, paused or lost in between.

A journal has one shipper at a time and a name of its own. In each shard its batches are a chain: the script that adds
one says which is to be the newest before it (see PUBLISH in redis_layout.py). After a failure nobody knows whether the
batch was added; the chain is looked up, and what turns out to be in Redis is not sent again. A command that arrives
later than that finds another newest batch and adds nothing. What may be shipped again after a crash is remembered with
the newest batch, until the journal has been read to its end.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from msgspec.structs import replace

from llm_proxy.errors import QueueUnavailable
from llm_proxy.metrics import Ledger
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue.envelope import pack
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_layout import (
    ANNOUNCE,
    DELETE,
    INLINE_BYTES,
    MAX_STARTED,
    PART_BYTES,
    PUBLISH,
    READ_SHIPPER,
    SHIPPER_TTL_S,
    UPLOAD,
    UPLOAD_TTL_S,
    Shard,
    shard_number,
)

_ID_BYTES = 16
#: How often a batch is tried that finds its chain changed, which another shipper of the same name would do.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Parcel:
    """One ended call, ready to be sent."""

    exchange_id: str
    envelope: bytes

    @classmethod
    def of(cls, exchange: Exchange) -> "Parcel":
        """Pack ``exchange``; takes milliseconds per megabyte."""
        return cls(exchange.id, pack(exchange))


@dataclass(slots=True)
class _Chain:
    """What is known of this journal's batches in one shard."""

    shard: Shard
    #: Name of the newest batch; empty before the first one, None if it has to be looked up.
    newest: str | None = None
    #: Found in Redis; the journal may deliver them again.
    earlier: set[str] = field(default_factory=set)
    #: Accepted from the parcels that are being published.
    accepted: set[str] = field(default_factory=set)


class RedisPublisher:
    """The only one of the journal ``name`` at a time."""

    def __init__(
        self,
        connection: RedisConnection,
        shards: Sequence[Shard],
        *,
        name: str,
        ledger: Ledger,
        counted_before: int = 0,
    ) -> None:
        """``counted_before`` is how many calls of this journal others have counted as shipped, in ledgers of theirs."""
        self._connection = connection
        self._chains = [_Chain(shard) for shard in shards]
        self._name = name
        self._ledger = ledger
        self._counted_before = counted_before
        self._counted = False

    async def publish(self, parcels: Sequence[Parcel]) -> None:
        """Return when all of them are in Redis. Raises QueueUnavailable; then call it again with the same ones."""
        if not self._counted:
            await self._count_what_is_there()
        by_shard: list[list[Parcel]] = [[] for _ in self._chains]
        for parcel in parcels:
            by_shard[shard_number(parcel.exchange_id, len(self._chains))].append(parcel)
        # Each shard may be on another server: what one of them has must be known, whatever became of the others.
        results = await asyncio.gather(*map(self._publish_to, self._chains, by_shard), return_exceptions=True)
        for failure in results:
            if failure is not None:
                raise failure
        known = set().union(*(chain.earlier for chain in self._chains))
        self._ledger.add("shipped", sum(parcel.exchange_id not in known for parcel in parcels))
        for chain in self._chains:
            chain.accepted.clear()

    async def announce(self, running: Sequence[Exchange]) -> None:
        """Tell of calls that still run. Raises QueueUnavailable, which is no reason to try again."""
        by_shard: dict[int, list[bytes]] = {}
        for exchange in running:
            envelope = pack(replace(exchange, response_body=None))
            if len(envelope) > INLINE_BYTES:
                envelope = pack(replace(exchange, request_body=None, response_body=None))
            by_shard.setdefault(shard_number(exchange.id, len(self._chains)), []).append(envelope)
        for number, envelopes in by_shard.items():
            await self._connection.run(ANNOUNCE, [self._chains[number].shard.started], MAX_STARTED, *envelopes)

    def caught_up(self) -> None:
        """The journal has been read to its end: nothing of what an earlier process has sent will come again."""
        for chain in self._chains:
            chain.earlier.clear()

    async def _count_what_is_there(self) -> None:
        """Look all chains up, and count what an earlier process had sent but was killed before it could count."""
        sent = sum([await self._look_up(chain) for chain in self._chains])
        self._ledger.add("shipped", max(sent - self._counted_before - self._ledger.get("shipped"), 0))
        self._counted = True

    async def _look_up(self, chain: _Chain) -> int:
        newest, ids, sent = await self._connection.run(READ_SHIPPER, [chain.shard.shipper(self._name)])
        found = _unjoined(ids or b"")
        chain.newest = (newest or b"").decode()
        if self._counted:
            chain.accepted |= found
        else:
            chain.earlier |= found
        return int(sent or 0)

    async def _publish_to(self, chain: _Chain, parcels: Sequence[Parcel]) -> None:
        small = [parcel for parcel in parcels if len(parcel.envelope) <= INLINE_BYTES]
        await self._add(chain, small)
        for parcel in parcels:
            if len(parcel.envelope) > INLINE_BYTES:
                await self._add(chain, [parcel])

    async def _add(self, chain: _Chain, parcels: Sequence[Parcel]) -> None:
        """Add one batch: any number of small parcels, or a large one."""
        for _ in range(_TRIES):
            if chain.newest is None:
                await self._look_up(chain)
            known = chain.earlier | chain.accepted
            missing = [parcel for parcel in parcels if parcel.exchange_id not in known]
            if not missing or await self._add_next(chain, missing):
                return
        raise QueueUnavailable("another shipper writes under the name of this journal; was its directory copied?")

    async def _add_next(self, chain: _Chain, parcels: Sequence[Parcel]) -> bool:
        """Add a batch behind the newest one; false if that turns out to be another one."""
        batch, shard = uuid4().hex, chain.shard
        expected, chain.newest = chain.newest, None  # until the reply is here
        assert expected is not None
        parts = await self._upload(shard, batch, parcels[0].envelope) if len(parcels[0].envelope) > INLINE_BYTES else []
        entries: list[str | bytes] = []
        for parcel in parcels:
            value = ("parts", f"{batch}:{len(parts)}") if parts else ("envelope", parcel.envelope)
            entries += [parcel.exchange_id, *value]
        new = {parcel.exchange_id for parcel in parcels}
        ids = _joined(chain.earlier | chain.accepted | new)
        keys = [shard.calls, shard.counters, shard.shipper(self._name), *parts]
        reply = await self._connection.run(PUBLISH, keys, expected, batch, ids, SHIPPER_TTL_S, *entries)
        if not isinstance(reply, int):
            if parts:
                await self._connection.run(DELETE, parts)
            return False
        chain.newest = batch
        chain.accepted |= new
        return True

    async def _upload(self, shard: Shard, upload: str, envelope: bytes) -> list[str]:
        """Put the pieces of ``envelope`` where nobody looks yet; returns their keys."""
        parts: list[str] = []
        try:
            for start in range(0, len(envelope), PART_BYTES):
                parts.append(shard.part(upload, len(parts)))
                await self._connection.run(UPLOAD, parts[-1:], envelope[start : start + PART_BYTES], UPLOAD_TTL_S)
        except QueueUnavailable:
            # No entry names them yet. A full Redis shall not be filled by failed uploads until they expire.
            with contextlib.suppress(QueueUnavailable):
                await self._connection.run(DELETE, parts)
            raise
        return parts


def _joined(ids: set[str]) -> bytes:
    return b"".join(UUID(exchange_id).bytes for exchange_id in ids)


def _unjoined(ids: bytes) -> set[str]:
    return {str(UUID(bytes=ids[start : start + _ID_BYTES])) for start in range(0, len(ids), _ID_BYTES)}
