"""Reads from the tables of sql.py, over a pool of connections that cannot write. Threads may share it.

One call is one snapshot: a record that is deleted while it is read is there or not, but never half. Tables that are
not there yet read as empty: whoever looks may come before the first record.
"""

import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, closing
from typing import TypeVar

from sqlalchemy import Connection, Engine, Executable, text

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion
from llm_proxy.model.query import CompletionQuery, Cursor, Page
from llm_proxy.store import sql, sql_search, sql_tags
from llm_proxy.store.deletion import Size
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.rows import restored, to_completion
from llm_proxy.store.search import Searcher
from llm_proxy.store.sql_heavy import heavy as heavy_rows
from llm_proxy.store.sql_sizes import size_of

#: Rows that are fetched at a time, so that a list of everything is not in memory twice; with bodies they are big.
_ROWS = 200
_ROWS_WITH_BODIES = 50
#: After that a search with a limit says how far it came, in seconds.
SEARCH_S = 20.0

_Result = TypeVar("_Result")


class SqlReader:
    """Reads over ``engine``.

    ``errors`` translates those of the database, and ``disk_bytes`` is how to ask it what the tables take.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        schema: "Schema",
        errors: Callable[[], AbstractContextManager[None]],
        disk_bytes: str,
        search_s: float = SEARCH_S,
    ) -> None:
        self._engine = engine
        self._schema = schema
        self._errors = errors
        self._disk_bytes = text(disk_bytes)
        self._search_s = search_s

    def get(self, completion_id: str, organization_id: str = DEFAULT_ORGANIZATION) -> Completion | None:
        """See ``Store.get``."""
        with closing(self._read(sql.one(completion_id, organization_id), with_bodies=True)) as found:
            return next((completion for completion, _ in found), None)

    def find(self, query: CompletionQuery) -> Page:
        """See ``Store.find``."""
        if query.limit == 0:
            return Page(completions=())
        deadline = None if query.search is None or query.limit is None else time.monotonic() + self._search_s
        if deadline is not None and (page_found := self._search(query, deadline)) is not None:
            return page_found
        page: list[Completion] = []
        statement = sql.page(query, merges=self._engine.dialect.name == "sqlite")
        with closing(self._read(statement, with_bodies=query.with_bodies, search=query.search)) as read:
            for completion, matches in read:
                if matches and len(page) == query.limit:
                    return Page(completions=tuple(page), next=_place(page[-1]))
                page += [completion] if matches else []
                if deadline is not None and time.monotonic() > deadline:
                    return Page(completions=tuple(page), next=_place(completion))
        return Page(completions=tuple(page))

    def _search(self, query: CompletionQuery, deadline: float) -> Page | None:
        """What the id that is searched for, or the index, finds; None if the records must be read one by one."""

        def search(connection: Connection) -> Page | None:
            named = connection.execute(sql_search.of_id(query)).mappings().all()
            if named:
                found = [one for one, _ in heavy_rows(connection, named, None, with_bodies=query.with_bodies)]
                return Page(completions=tuple(found))
            if not sql_search.can_search(connection, query):
                return None
            return sql_search.search(connection, query, lambda: time.monotonic() > deadline)

        return self.read(search, otherwise=None)

    def last_change(self) -> int:
        """The number of the newest write."""
        return self._one_number(sql.last_change())

    def changed(self, query: CompletionQuery, *, after: int, until: int) -> list[Completion]:
        """What was written behind ``after`` up to ``until`` and matches."""
        if until <= after:
            return []
        statement = sql.changed(query, after=after, until=until)
        read = self._read(statement, with_bodies=query.with_bodies, search=query.search)
        return [completion for completion, matches in read if matches]

    def ids(self, query: CompletionQuery, *, with_bodies: bool, limit: int) -> list[str]:
        """Row ids of some of the records that match, but for a search; ``with_bodies`` only those that have any."""
        return self._ids(sql.ids(query, with_bodies=with_bodies, limit=limit))

    def oldest(self, *, with_bodies: bool, limit: int) -> list[str]:
        """Row ids of the records that were written first, of all organisations; see ``ids``."""
        return self._ids(sql.oldest(with_bodies=with_bodies, limit=limit))

    def oldest_of(
        self, organization_id: str, *, after: tuple[int, str], with_bodies: bool, limit: int
    ) -> list[tuple[int, str]]:
        """Time and row id of the oldest records of one of them behind such a place; see ``ids``."""
        statement = sql.oldest_of(organization_id, after=after, with_bodies=with_bodies, limit=limit)
        return self.read(lambda connection: [(row[0], row[1]) for row in connection.execute(statement)], otherwise=[])

    def size(self, organization_id: str) -> Size:
        """See ``Store.size``."""

        def read(connection: Connection) -> Size:
            row = connection.execute(size_of(organization_id)).one_or_none()
            return Size() if row is None else Size(records=row[0], record_bytes=row[1], body_bytes=row[2])

        return self.read(read, otherwise=Size())

    def tags(self, organization_id: str, containing: str, *, project_id: str | None, limit: int) -> list[str]:
        """See ``Store.tags``."""
        found = sql_tags.tags(organization_id, containing, project_id=project_id, limit=limit)
        return [restored(tag) for tag in self._ids(found)]

    def disk_bytes(self) -> int:
        """See ``Store.disk_bytes``."""
        return self._one_number(self._disk_bytes)

    def schema_step(self) -> str | None:
        """The step of the migrations that the schema is at; None if there are no tables."""
        return self._schema.step()

    def read(self, action: Callable[[Connection], _Result], *, otherwise: _Result) -> _Result:
        """What ``action`` reads in a transaction; ``otherwise`` if there are no tables."""
        if not self._schema.is_there():
            return otherwise
        with self._errors(), self._engine.connect() as connection:
            return action(connection)

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        self._engine.dispose()

    def _one_number(self, statement: Executable) -> int:
        return self.read(lambda connection: int(connection.execute(statement).scalar_one()), otherwise=0)

    def _ids(self, statement: sql.Statement) -> list[str]:
        return self.read(lambda connection: list(connection.execute(statement).scalars()), otherwise=[])

    def _read(
        self, statement: sql.Statement, *, with_bodies: bool, search: str | None = None
    ) -> Generator[tuple[Completion, bool], None, None]:
        """Each record, and whether what is searched for is in it."""
        if not self._schema.is_there():
            return
        searcher = None if search is None else Searcher(search)
        heavy = with_bodies or searcher is not None
        options = {"yield_per": _ROWS_WITH_BODIES if heavy else _ROWS}
        with (
            self._errors(),
            self._engine.connect() as connection,
            # Closed, since it may be left before its end, and the server keeps its place in it.
            connection.execute(statement, execution_options=options) as result,
        ):
            for rows in result.mappings().partitions():
                if heavy:
                    yield from heavy_rows(connection, rows, searcher, with_bodies=with_bodies)
                else:
                    yield from ((to_completion(row), True) for row in rows)


class Schema:
    """Whether there is one to read: asks until it is there, and then no more."""

    def __init__(self, place: str, step: Callable[[], str | None]) -> None:
        self._place = place
        self.step = step
        self._is_there = False

    def is_there(self) -> bool:
        """Whether there are tables to read. Raises StoreUnavailable if they are those of another version."""
        if not self._is_there:
            step = self.step()
            if step not in (None, HEAD):
                raise StoreUnavailable(
                    f"{self._place}: its schema is at step {step}, and this llm-proxy reads step {HEAD};"
                    " start `llm-proxy serve` of the newer one of both"
                )
            self._is_there = step == HEAD
        return self._is_there


def _place(completion: Completion) -> Cursor:
    return Cursor(started_at=completion.started_at, id=completion.id)
