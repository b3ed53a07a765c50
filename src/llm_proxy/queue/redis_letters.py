"""The dead letters in Redis; see redis_layout.py for the keys, and DeadLetters."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue.envelope import unpack
from llm_proxy.queue.letters import DeadLetter
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_layout import DROP, READ_DEAD, READ_PART, RETRY, Shard

#: Entries read at a time: each may hold an envelope.
_PAGE = 50


class RedisLetters:
    """Of all shards."""

    def __init__(self, connection: RedisConnection, shards: Sequence[Shard]) -> None:
        self._connection = connection
        self._shards = {shard.number: shard for shard in shards}

    async def all(self) -> AsyncIterator[DeadLetter]:
        """All of them, oldest first in each shard."""
        for shard in self._shards.values():
            first = "-"
            while entries := await self._connection.run(READ_DEAD, [shard.dead], first, _PAGE):
                for entry_id, fields in entries:
                    yield _letter(shard, entry_id.decode(), _named(fields))
                first = f"({entries[-1][0].decode()}"

    async def read(self, letter: DeadLetter) -> Exchange:
        """The call. Raises EnvelopeUnreadable, also if it is not there any more."""
        shard, _, fields = await self._found(letter)
        if b"envelope" in fields:
            return unpack(fields[b"envelope"])
        pieces = [await self._connection.run(READ_PART, [part]) for part in _parts(shard, fields)]
        if not pieces or None in pieces:
            raise EnvelopeUnreadable("the envelope is not there, or not the whole of it")
        return unpack(b"".join(pieces))

    async def retry(self, letter: DeadLetter) -> bool:
        """Put the call back among those that wait for a worker; false if it was not there."""
        shard, entry_id = self._place(letter)
        return bool(await self._connection.run(RETRY, [shard.dead, shard.calls, shard.counters], entry_id))

    async def drop(self, letter: DeadLetter) -> bool:
        """Delete it for good; false if it was not there."""
        try:
            shard, entry_id, fields = await self._found(letter)
        except EnvelopeUnreadable:
            return False
        return bool(await self._connection.run(DROP, [shard.dead, shard.counters, *_parts(shard, fields)], entry_id))

    async def _found(self, letter: DeadLetter) -> tuple[Shard, str, dict[bytes, bytes]]:
        shard, entry_id = self._place(letter)
        entries = await self._connection.run(READ_DEAD, [shard.dead], entry_id, 1)
        if not entries or entries[0][0].decode() != entry_id:
            raise EnvelopeUnreadable("it is not there any more")
        return shard, entry_id, _named(entries[0][1])

    def _place(self, letter: DeadLetter) -> tuple[Shard, str]:
        number, _, entry_id = letter.place.partition("/")
        return self._shards[int(number)], entry_id


def _letter(shard: Shard, entry_id: str, fields: dict[bytes, bytes]) -> DeadLetter:
    deliveries = fields.get(b"deliveries", b"")
    return DeadLetter(
        call_id=fields.get(b"id", b"").decode(errors="replace"),
        place=f"{shard.number}/{entry_id}",
        reason=fields.get(b"reason", b"").decode(errors="replace"),
        buried_at=datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC),
        deliveries=int(deliveries) if deliveries.isdigit() else None,
    )


def _named(fields: Sequence[bytes]) -> dict[bytes, bytes]:
    return dict(zip(fields[::2], fields[1::2], strict=False))


def _parts(shard: Shard, fields: dict[bytes, bytes]) -> list[str]:
    try:
        return shard.parts(fields[b"parts"]) if b"parts" in fields else []
    except ValueError:  # it does not say where they are
        return []
