"""The store in one SQLite file: no service, no configuration.

Any number of processes may read the file while one writes it; that two write is safe, if slow.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.sql_reader import SEARCH_S
from llm_proxy.store.sql_store import READERS, SqlStore
from llm_proxy.store.sqlite_reader import sqlite_reader
from llm_proxy.store.sqlite_writer import SqliteWriter

_Result = TypeVar("_Result")


class SqliteStore(SqlStore):
    """A Store in the file ``path``, which ``migrate`` makes if there is none.

    ``read_only`` is for looking at what another process writes: nothing is made or changed, and a file that does not
    exist reads as empty. A search with a limit takes about ``search_s`` seconds at most.
    """

    def __init__(self, path: Path, *, read_only: bool = False, search_s: float = SEARCH_S) -> None:
        # One more than there are reading threads: ``changes`` reads in the thread of its caller.
        super().__init__(sqlite_reader(path, connections=READERS + 1, search_s=search_s), SqliteWriter(path))
        self._path = path
        self._read_only = read_only

    async def _write(self, action: Callable[[], _Result]) -> _Result:
        if self._read_only:
            raise StoreUnavailable(f"{self._path}: was opened for reading only")
        return await super()._write(action)
