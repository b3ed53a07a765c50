"""Fills the index for text search beside the writing, a block at a time, in the order of the changes.

Follows no cursor but the blocks themselves: what none of them holds is to be indexed, be it new, or left behind by a
deletion, which removes each block that held something of what it deletes. The newest records wait until they are enough
for a block; a search reads them one by one.

Invariants: a block holds every record of its range that has bodies, or it is not written; no words of a record are in
the index that was deleted meanwhile.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, func, insert, select, text

from llm_proxy.store import sql_search
from llm_proxy.store.bodies import decompress, searched_text, searched_texts
from llm_proxy.store.search_block import BlockBuilder
from llm_proxy.store.sql import completion_bodies, completions, search_blocks
from llm_proxy.store.sql_heavy import histories_of, pieces_of
from llm_proxy.store.sql_store import SqlStore

#: Records of a block; of fewer, a search reads the newest ones one by one.
RECORDS = 2000
#: Records that are read at once.
_READ_AT_ONCE = 100
#: Compressed bodies of a block, in bytes, from which on it has enough.
_ENOUGH_BYTES = 16 * 2**20
#: The lock of postgres_pieces.py, which who deletes holds alone.
_NOBODY_DELETES = text(f"SELECT pg_advisory_xact_lock_shared({0x6C6C6D70_00000001})")


@dataclass(frozen=True, slots=True)
class _Range:
    first: int
    last: int


class SearchIndexer:
    """Indexes what ``store`` holds. ``records`` are those of a block."""

    def __init__(self, store: SqlStore, *, records: int = RECORDS) -> None:
        self._store = store
        self._records = records

    async def waiting(self) -> int:
        """How many records are in no block."""
        return await self._store.reading(_waiting, otherwise=0)

    async def step(self, *, all_of_it: bool = False) -> int:
        """Index a block of records, or a part of one that is left; how many changes that were, 0 if there are none.

        ``all_of_it``: also the newest ones, which are not enough for a block.
        """
        found = await self._store.reading(lambda one: self._next(one, all_of_it=all_of_it), otherwise=None)
        if found is None:
            return 0
        builder, done = BlockBuilder(), found.first
        size, oldest, newest = 0, None, None
        while done < found.last and builder.records < self._records and size < _ENOUGH_BYTES and not builder.is_full:
            take = _take(builder, done, found.last, limit=min(_READ_AT_ONCE, self._records - builder.records))
            part = await self._store.reading(take, otherwise=None)
            if part is None:
                return 0
            done, size = part.last, size + part.bytes
            times = [one for one in (oldest, newest, *part.times) if one is not None]
            oldest, newest = (min(times), max(times)) if times else (None, None)
        block = await asyncio.to_thread(builder.block)
        row = {
            "first_change": found.first,
            "last_change": done,
            "oldest_us": oldest,
            "newest_us": newest,
            "words": block.words,
            "places": block.places,
        }
        await self._store.writing(lambda connection: _keep(connection, row, builder.records))
        return done - found.first

    async def clear(self) -> None:
        """Remove the index; a search then reads the records one by one."""
        await self._store.writing(lambda connection: connection.execute(search_blocks.delete()))

    def _next(self, connection: Connection, *, all_of_it: bool) -> _Range | None:
        gaps = sql_search.unindexed(connection)
        if not gaps:
            return None
        first, last = gaps[0]
        if len(gaps) == 1 and not all_of_it:
            newest = select(func.max(search_blocks.c.last_change))
            is_the_end = first >= int(connection.execute(newest).scalar_one() or 0)
            if is_the_end and _count(connection, first, last) < self._records:
                return None
        return _Range(first, last)


@dataclass(frozen=True, slots=True)
class _Part:
    """What was taken in: up to which change, how many bytes, and when its calls began."""

    last: int
    bytes: int
    times: Sequence[int]


def _take(builder: BlockBuilder, first: int, last: int, *, limit: int) -> Callable[[Connection], _Part]:
    """Let the builder take in some records behind the first change, at most up to the last one."""
    calls, bodies = completions.c, completion_bodies.c
    rows = select(calls.change, calls.started_at_us, bodies.content, bodies.tip)
    rows = rows.outerjoin_from(completions, completion_bodies, bodies.completion_id == calls.id)
    rows = rows.where(calls.change > first, calls.change <= last).order_by(calls.change).limit(limit)

    def take(connection: Connection) -> _Part:
        found = connection.execute(rows).mappings().all()
        with_bodies = [row for row in found if row["content"] is not None]
        _add(connection, builder, with_bodies)
        end = found[-1]["change"] if len(found) == limit else last
        size = sum(len(row["content"]) for row in with_bodies)
        return _Part(end, size, [row["started_at_us"] for row in with_bodies])

    return take


def _add(connection: Connection, builder: BlockBuilder, rows: Sequence[RowMapping]) -> None:
    histories = histories_of(connection, [row["tip"] for row in rows if row["tip"] is not None])
    unknown = builder.unknown(piece for history in histories.values() for piece in history)
    for piece, compressed in pieces_of(connection, unknown).items():
        builder.learn(piece, searched_text(decompress(compressed)))
    for row in rows:
        own, links_belong = searched_texts(row["content"])
        builder.add(row["change"], own, histories.get(row["tip"], ()) if links_belong else ())


def _keep(connection: Connection, row: Mapping[str, object], records: int) -> None:
    """Write the block, unless a record of it was deleted or replaced meanwhile; then the next step makes another."""
    if connection.dialect.name == "postgresql":
        connection.execute(_NOBODY_DELETES)
    first, last = row["first_change"], row["last_change"]
    still = (
        select(func.count())
        .select_from(completions)
        .join(completion_bodies, completion_bodies.c.completion_id == completions.c.id)
    )
    still = still.where(completions.c.change > first, completions.c.change <= last)
    if connection.execute(still).scalar_one() == records:
        connection.execute(insert(search_blocks).values(row))


def _waiting(connection: Connection) -> int:
    return sum(_count(connection, first, last) for first, last in sql_search.unindexed(connection))


def _count(connection: Connection, first: int, last: int) -> int:
    change = completions.c.change
    rows = select(func.count()).select_from(completions).where(change > first, change <= last)
    return int(connection.execute(rows).scalar_one())
