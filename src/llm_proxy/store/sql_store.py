"""A Store over a reader and a writer that block, each in threads of its own; what SQLite and PostgreSQL share.

One thread writes, a few read, and none of them is the event loop's.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion
from llm_proxy.model.query import CompletionQuery, Page
from llm_proxy.store.deletion import Receipt, Size
from llm_proxy.store.rows import row_id
from llm_proxy.store.sql_reader import SqlReader

#: Reads at the same time; more would only wait for each other, since Python does most of the work.
READERS = 4
#: Records that are deleted in one transaction: others write and read in between. That takes 11 ms of the processor in
#: SQLite, which others wait for who are to write; with more at once it takes no less for each.
_DELETED_AT_ONCE = 200
#: Fewer where each is one too many once the store is small enough.
_SHRUNK_AT_ONCE = 50
#: A time and an id before all others.
_BEGINNING = (-(2**63), "")

_Result = TypeVar("_Result")


class Writer(Protocol):
    """What writes; called from one thread, except for ``close``."""

    def migrate(self) -> None: ...

    def put(self, records: Sequence[Completion]) -> None: ...

    def delete(self, row_ids: Sequence[str], *, bodies_only: bool) -> Receipt:
        """Remove at most a few hundred records, in one transaction."""

    def alone(self, row_id: str) -> AbstractContextManager[None]:
        """Keep all others who want to be alone with this record away, in whichever process they are."""

    def run(self, action: Callable[[Connection], _Result]) -> _Result:
        """Do something to tables that are not those of records, all of it or nothing."""

    def reclaim(self, removed: Receipt) -> None:
        """Give the space back that deletions have freed."""

    def close(self) -> None: ...


class SqlStore:
    """See base.py for what each method promises."""

    def __init__(self, reader: SqlReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reading = ThreadPoolExecutor(READERS, thread_name_prefix="store-read")

    async def migrate(self) -> None:
        """Bring the schema to the newest version."""
        await self._write(self._writer.migrate)

    async def schema_step(self) -> str | None:
        """The step of the migrations that the schema is at; None if there are no tables. Changes nothing."""
        return await self._read(self._reader.schema_step)

    async def put(self, completions: Sequence[Completion]) -> None:
        """Store a batch, all or nothing."""
        if completions:
            await self._write(lambda: self._writer.put(completions))

    async def get(self, completion_id: str, organization_id: str = DEFAULT_ORGANIZATION) -> Completion | None:
        """The record with its bodies; None if the organisation has none of this id."""
        return await self._read(lambda: self._reader.get(completion_id, organization_id))

    async def find(self, query: CompletionQuery) -> Page:
        """The records that match, newest first."""
        return await self._read(lambda: self._reader.find(query))

    def changes(self, query: CompletionQuery, *, poll_s: float) -> AsyncIterator[Completion]:
        """Records that match, as they are written from now on; looks every ``poll_s`` seconds.

        A record that is written twice between two looks comes once, as it is then.
        """
        # Read here and now, which takes little: what is written after this call must not be missed.
        return self._follow(query, self._reader.last_change(), poll_s)

    async def delete(
        self, ids: Sequence[str], organization_id: str = DEFAULT_ORGANIZATION, *, bodies_only: bool = False
    ) -> Receipt:
        """Remove these records of an organisation, or their bodies alone."""
        receipt = Receipt()
        for start in range(0, len(ids), _DELETED_AT_ONCE):
            some = [row_id(one, organization_id) for one in ids[start : start + _DELETED_AT_ONCE]]
            receipt += await self._write(partial(self._writer.delete, some, bodies_only=bodies_only))
        await self._reclaim(receipt)
        return receipt

    async def delete_matching(self, query: CompletionQuery, *, bodies_only: bool = False) -> Receipt:
        """Remove all records that match, or their bodies alone."""
        if query.search is None:
            find = partial(self._reader.ids, query, with_bodies=bodies_only, limit=_DELETED_AT_ONCE)
            return await self._delete_while(find, bodies_only=bodies_only)
        found = await self.find(replace(query, limit=None, after=None, with_bodies=False))
        ids = [completion.id for completion in found.completions]
        return await self.delete(ids, query.organization_id, bodies_only=bodies_only)

    async def disk_bytes(self) -> int:
        """What the records take on the disk."""
        return await self._read(self._reader.disk_bytes)

    async def shrink(self, max_bytes: int, *, bodies_only: bool = False) -> Receipt:
        """Remove the oldest records, or their bodies, until the store takes at most so much on the disk."""
        find = partial(self._reader.oldest, with_bodies=bodies_only, limit=_SHRUNK_AT_ONCE)
        removed = Receipt()
        while (excess := await self.disk_bytes() - max_bytes) > 0:
            more = await self._delete_while(find, bodies_only=bodies_only, enough=excess)
            if more == Receipt():
                break
            removed += more
        return removed

    async def size(self, organization_id: str) -> Size:
        """How much an organisation has."""
        return await self._read(partial(self._reader.size, organization_id))

    async def shrink_organization(self, organization_id: str, max_bytes: int, *, bodies_only: bool = False) -> Receipt:
        """Remove the oldest records of an organisation, or their bodies, until it has at most so many bytes."""
        removed, place = Receipt(), _BEGINNING
        while True:
            size = await self.size(organization_id)
            if size.body_bytes + (0 if bodies_only else size.record_bytes) <= max_bytes:
                break
            # From where the last ones were: before that are none but those that have no bodies any more.
            find = partial(self._reader.oldest_of, organization_id, after=place, with_bodies=bodies_only)
            oldest = await self._read(partial(find, limit=_SHRUNK_AT_ONCE))
            if not oldest:
                break
            place = oldest[-1]
            ids = [id_of_row for _, id_of_row in oldest]
            removed += await self._write(partial(self._writer.delete, ids, bodies_only=bodies_only))
        await self._reclaim(removed)
        return removed

    async def amend(
        self, completion_id: str, organization_id: str, change: Callable[[Completion | None], Completion]
    ) -> Completion:
        """Put what ``change`` makes of the record, or of None; nobody else does the same to it at the same time."""

        def swap() -> Completion:
            with self._writer.alone(row_id(completion_id, organization_id)):
                changed = change(self._reader.get(completion_id, organization_id))
                self._writer.put([changed])
                return changed

        return await self._write(swap)

    async def tags(
        self, organization_id: str, containing: str = "", *, project_id: str | None = None, limit: int = 100
    ) -> Sequence[str]:
        """Tags that hold this text."""
        return await self._read(
            lambda: self._reader.tags(organization_id, containing, project_id=project_id, limit=limit)
        )

    async def reading(self, action: Callable[[Connection], _Result], *, otherwise: _Result) -> _Result:
        """What ``action`` reads in one snapshot; ``otherwise`` if there are no tables yet."""
        return await self._read(lambda: self._reader.read(action, otherwise=otherwise))

    async def writing(self, action: Callable[[Connection], _Result]) -> _Result:
        """Do something to tables that are not those of records, in one transaction."""
        return await self._write(lambda: self._writer.run(action))

    async def close(self) -> None:
        """Release files and connections. Idempotent."""
        await asyncio.to_thread(self._close)

    async def _delete_while(
        self, find: Callable[[], list[str]], *, bodies_only: bool, enough: int | None = None
    ) -> Receipt:
        """Delete what ``find`` finds until it finds nothing, or ``enough`` bytes are gone."""
        removed = Receipt()
        while enough is None or removed.bytes < enough:
            ids = await self._read(find)
            if not ids:
                break
            removed += await self._write(partial(self._writer.delete, ids, bodies_only=bodies_only))
        await self._reclaim(removed)
        return removed

    async def _reclaim(self, removed: Receipt) -> None:
        if removed != Receipt():
            # What is deleted is deleted, whether or not this succeeds; if not, the next deletion gives this back, too.
            with contextlib.suppress(StoreUnavailable):
                await self._write(partial(self._writer.reclaim, removed))

    async def _follow(self, query: CompletionQuery, seen: int, poll_s: float) -> AsyncIterator[Completion]:
        while True:
            newest = await self._read(self._reader.last_change)
            new = partial(self._reader.changed, query, after=seen, until=newest)
            for completion in await self._read(new):
                yield completion
            seen = max(seen, newest)
            await asyncio.sleep(poll_s)

    async def _write(self, action: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._writing, action)

    async def _read(self, action: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._reading, action)

    def _close(self) -> None:
        self._writing.shutdown()
        self._reading.shutdown()
        # The writer last: of SQLite, the connection that closes the file takes its log in, and readers cannot.
        self._reader.close()
        self._writer.close()
