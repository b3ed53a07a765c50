"""The store in one SQLite file: no service, no configuration.

One thread writes, a few read, and none of them is the event loop's. Any number of processes may read the file while
one writes it; that two write is safe, if slow.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Page
from llm_proxy.store.sqlite_reader import SqliteReader
from llm_proxy.store.sqlite_writer import SqliteWriter

#: Reads at the same time; more would only wait for each other, since Python does most of the work.
_READERS = 4

_Result = TypeVar("_Result")


class SqliteStore:
    """A Store in the file ``path``; see base.py for what each method promises.

    ``read_only`` is for looking at what another process writes: nothing is made or changed, and a file that does not
    exist reads as empty.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        self._read_only = read_only
        self._writer = SqliteWriter(path)
        # One more than there are reading threads: ``changes`` reads in the thread of its caller.
        self._reader = SqliteReader(path, connections=_READERS + 1)
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="store-write")
        self._reading = ThreadPoolExecutor(_READERS, thread_name_prefix="store-read")

    async def migrate(self) -> None:
        """Bring the schema to the newest version, making the file if there is none."""
        await self._write(self._writer.migrate)

    async def put(self, completions: Sequence[Completion]) -> None:
        """Store a batch, all or nothing."""
        if completions:
            await self._write(lambda: self._writer.put(completions))

    async def get(self, completion_id: str) -> Completion | None:
        """The record with its bodies; None if there is none."""
        return await self._read(lambda: self._reader.get(completion_id))

    async def find(self, query: CompletionQuery) -> Page:
        """The records that match, newest first."""
        return await self._read(lambda: self._reader.find(query))

    def changes(self, query: CompletionQuery, *, poll_s: float) -> AsyncIterator[Completion]:
        """Records that match, as they are written from now on; looks every ``poll_s`` seconds.

        A record that is written twice between two looks comes once, as it is then.
        """
        # Read here and now, which takes microseconds: what is written after this call must not be missed.
        return self._follow(query, self._reader.last_change(), poll_s)

    async def close(self) -> None:
        """Release files and connections. Idempotent."""
        await asyncio.to_thread(self._close)

    async def _follow(self, query: CompletionQuery, seen: int, poll_s: float) -> AsyncIterator[Completion]:
        while True:
            newest = await self._read(self._reader.last_change)
            new = partial(self._reader.changed, query, after=seen, until=newest)
            for completion in await self._read(new):
                yield completion
            seen = max(seen, newest)
            await asyncio.sleep(poll_s)

    async def _write(self, action: Callable[[], None]) -> None:
        if self._read_only:
            raise StoreUnavailable(f"{self._path}: was opened for reading only")
        await asyncio.get_running_loop().run_in_executor(self._writing, action)

    async def _read(self, action: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._reading, action)

    def _close(self) -> None:
        self._writing.shutdown()
        self._reading.shutdown()
        # The writer last: the connection that closes the file takes its log in, and readers cannot.
        self._reader.close()
        self._writer.close()
