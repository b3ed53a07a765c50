"""Calls that match a query, newest first, as far back as somebody wants to read: one page of a list after the other.

Or, of a text that is looked for, as its search finds them (sql_search.py).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, select

from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Cursor, Grouping
from llm_proxy.store import sql
from llm_proxy.store.rows import from_micros, original_id, row_id, storable, to_micros
from llm_proxy.store.sql_search import all_found

#: The column that says which group a call is of; the member of its context is called so, too.
GROUP_COLUMNS = {Grouping.SESSION: "session_id", Grouping.USER: "user_id", Grouping.TRACE: "trace_id"}
#: Calls that are read at once: few first, since a page may be full soon.
_FIRST, _MOST = 60, 5000


class Match(NamedTuple):
    """A call, and the group that it is of, as the tables name them."""

    time_us: int
    id: str
    group: str | None

    def place(self, organization_id: str) -> Cursor:
        """Where it stands in the order of all calls."""
        return Cursor(started_at=from_micros(self.time_us), id=original_id(self.id, organization_id))


class Matches:
    """The calls of ``query``, whatever its limit, some at a time, each with its group.

    When ``is_late`` says so they end, but not before there were some; ``reached`` is then where to go on.
    """

    def __init__(
        self, connection: Connection, query: CompletionQuery, by: Grouping, is_late: Callable[[], bool]
    ) -> None:
        self._connection, self._query, self._by, self._is_late = connection, query, by, is_late
        self.reached: Cursor | None = None

    def __iter__(self) -> Iterator[Sequence[Match]]:
        return self._listed() if self._query.search is None else self._searched()

    def _listed(self) -> Iterator[Sequence[Match]]:
        query, size = self._query, _FIRST
        while True:
            rows = [Match(*row) for row in self._connection.execute(self._page(replace(query, limit=size)))]
            yield rows[:size]
            if len(rows) <= size:
                return
            place = rows[size - 1].place(query.organization_id)
            if self._is_late():
                self.reached = place
                return
            query, size = replace(query, after=place), min(size * 4, _MOST)

    def _searched(self) -> Iterator[Sequence[Match]]:
        for found in all_found(self._connection, self._query, self._is_late):
            if isinstance(found, Cursor):
                self.reached = found
            else:
                yield [self._match(found)]

    def _page(self, query: CompletionQuery) -> Select[Any]:
        page = sql.page(query, merges=self._connection.dialect.name == "sqlite").subquery()
        order = page.c.started_at_us.desc(), page.c.id.desc()
        return select(page.c.started_at_us, page.c.id, page.c[GROUP_COLUMNS[self._by]]).order_by(*order)

    def _match(self, found: Completion) -> Match:
        of: str | None = getattr(found.context, GROUP_COLUMNS[self._by])
        group = None if of is None else storable(of)
        return Match(to_micros(found.started_at), row_id(found.id, found.organization_id), group)
