"""Text search by the index, block by block (search_block.py), and in what is not in a block yet, one by one.

Blocks are looked at from the newest on, and only as far as the page needs; those without the words are left after one
look at their list of words. What remains is a few records, of which the bodies are read as by a search without an
index (search.py), so that both find the same.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, or_, select, tuple_

from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Cursor, Page
from llm_proxy.store import sql
from llm_proxy.store.rows import from_micros, original_id, row_id, to_micros
from llm_proxy.store.search import Searcher
from llm_proxy.store.search_block import Words
from llm_proxy.store.sql import completions, search_blocks
from llm_proxy.store.sql_heavy import heavy

#: Records of which the bodies are read at once.
_READ_AT_ONCE = 50
#: Values of one statement.
_ASKED_AT_ONCE = 500
#: Changes without a block, from which on the index is of no use yet.
_TOO_MANY_UNINDEXED = 50_000
#: So few records that match but for the search are read one by one.
_FEW = 200
_MICROSECOND = timedelta(microseconds=1)
#: Behind any id.
_LAST_ID = chr(0x10FFFF)

#: Time, id and number of the change.
_Place = tuple[int, str, int]


def can_search(connection: Connection, query: CompletionQuery) -> bool:
    """Whether the index helps: whether it holds most records, and the query leaves many."""
    if query.session_id is not None or query.trace_id is not None:
        return False
    last = connection.execute(sql.last_change()).scalar_one()
    held = func.sum(search_blocks.c.last_change - search_blocks.c.first_change)
    if last - int(connection.execute(select(func.coalesce(held, 0))).scalar_one()) > _TOO_MANY_UNINDEXED:
        return False
    merges = connection.dialect.name == "sqlite"
    few = sql.page(replace(query, search=None, conditions=(), limit=_FEW, with_bodies=False), merges=merges)
    return len(connection.execute(few).all()) > _FEW


def unindexed(connection: Connection) -> list[tuple[int, int]]:
    """The ranges of changes that no block holds, oldest first: behind the first number, up to the second."""
    blocks = select(search_blocks.c.first_change, search_blocks.c.last_change).order_by(search_blocks.c.last_change)
    gaps, done = [], 0
    for first, last in connection.execute(blocks):
        gaps += [(done, first)] if first > done else []
        done = last
    newest = connection.execute(sql.last_change()).scalar_one()
    return [*gaps, (done, newest)] if newest > done else gaps


def of_id(query: CompletionQuery) -> Select[Any]:
    """The record of which the id is searched for, with its bodies, if it matches otherwise and is on the page."""
    which = completions.c.id == row_id((query.search or "").strip(), query.organization_id)
    return sql.with_bodies(_on_the_page(query, which).with_only_columns(completions))


def search(connection: Connection, query: CompletionQuery, is_late: Callable[[], bool]) -> Page:
    """A page of what matches; as far as it came when ``is_late`` says so."""
    found: list[Completion] = []
    walk = _Walk(connection, query)
    for completion in walk.matches(is_late):
        if len(found) == query.limit:
            return Page(completions=tuple(found), next=_behind(found[-1]))
        found.append(completion)
    return Page(completions=tuple(found), next=walk.reached)


def all_found(
    connection: Connection, query: CompletionQuery, is_late: Callable[[], bool]
) -> Iterator[Completion | Cursor]:
    """All records that match, in order; when ``is_late`` says so, the last one is the place where to go on."""
    query = replace(query, limit=None, with_bodies=False)
    named = connection.execute(of_id(query)).mappings().all()
    if named:
        yield from (completion for completion, _ in heavy(connection, named, None, with_bodies=False))
    elif can_search(connection, query):
        walk = _Walk(connection, query)
        yield from walk.matches(is_late)
        if walk.reached is not None:
            yield walk.reached
    else:
        yield from _read_through(connection, query, is_late)


def _read_through(
    connection: Connection, query: CompletionQuery, is_late: Callable[[], bool]
) -> Iterator[Completion | Cursor]:
    """The same without the index."""
    searcher = Searcher(query.search or "")
    statement = sql.page(query, merges=connection.dialect.name == "sqlite")
    with closing(connection.execute(statement, execution_options={"yield_per": _READ_AT_ONCE})) as result:
        for rows in result.mappings().partitions():
            read = list(heavy(connection, rows, searcher, with_bodies=False))
            yield from (completion for completion, matches in read if matches)
            if len(rows) == _READ_AT_ONCE and is_late():
                yield _behind(read[-1][0])
                return


def _on_the_page(query: CompletionQuery, which: ColumnElement[bool]) -> Select[Any]:
    """Change, time and id of those of ``which`` that match, but for the search, and are on the page or behind it."""
    order = completions.c.started_at_us, completions.c.id
    rows = select(completions.c.change, *order).where(which, *sql.matching(query, is_few=True))
    if query.after is not None:
        place = tuple_(to_micros(query.after.started_at), row_id(query.after.id, query.organization_id))
        rows = rows.where(tuple_(*order) > place if query.oldest_first else tuple_(*order) < place)
    return rows


def _of_changes(changes: Sequence[int]) -> Select[Any]:
    return sql.with_bodies(select(completions)).where(completions.c.change.in_(changes))


@dataclass
class _Walk:
    """Through the blocks and what is beside them, in the order of the query."""

    connection: Connection
    query: CompletionQuery
    #: Where it had to stop; None at the end.
    reached: Cursor | None = None
    #: What may match, and the blocks that were not looked at, each from the end on in the order of the query.
    _open: list[_Place] = field(default_factory=list)
    _blocks: list[Row[int, int, int]] = field(default_factory=list)

    def matches(self, is_late: Callable[[], bool]) -> Iterator[Completion]:
        """The records that match, in order, until it is late."""
        query = self.query
        searcher, words = Searcher(query.search or ""), Words(query.search or "")
        self._blocks = self._listed()
        self._add(self._unindexed())
        while self._blocks or self._open:
            ready = self._take()
            if ready:
                yield from self._read(ready, searcher)
            else:
                self._add(self._candidates(words, self._blocks.pop()))
            # A page that is where the one before was would lead to itself.
            if is_late() and (reached := self._place(ready[-1] if ready else None)) != query.after:
                self.reached = reached
                return

    def _take(self) -> list[_Place]:
        """Some of what is open and certainly comes before all that is in the blocks, in order."""
        ready: list[_Place] = []
        while self._open and len(ready) < _READ_AT_ONCE and self._comes_first(self._open[-1][0]):
            ready.append(self._open.pop())
        return ready

    def _comes_first(self, time_us: int) -> bool:
        if not self._blocks:
            return True
        bound = self._bound()
        return time_us < bound if self.query.oldest_first else time_us > bound

    def _bound(self) -> int:
        """When the first record of the blocks began, in the order of the query."""
        block = self._blocks[-1]
        time: int = block.oldest_us if self.query.oldest_first else block.newest_us
        return time

    def _add(self, places: Iterator[_Place]) -> None:
        self._open += places
        self._open.sort(reverse=self.query.oldest_first)

    def _listed(self) -> list[Row[int, int, int]]:
        """Those that may have records of the page, the first one at the end."""
        columns, query = search_blocks.c, self.query
        rows = select(columns.last_change, columns.oldest_us, columns.newest_us).where(columns.newest_us.is_not(None))
        if query.since is not None:
            rows = rows.where(columns.newest_us >= to_micros(query.since))
        if query.until is not None:
            rows = rows.where(columns.oldest_us < to_micros(query.until))
        if query.after is not None:
            place = to_micros(query.after.started_at)
            rows = rows.where(columns.newest_us >= place if query.oldest_first else columns.oldest_us <= place)
        order = columns.oldest_us.desc() if query.oldest_first else columns.newest_us
        return list(self.connection.execute(rows.order_by(order)).all())

    def _candidates(self, words: Words, block: Row[int, int, int]) -> Iterator[_Place]:
        """What of a block may match, if it is still there."""
        key = search_blocks.c.last_change == block.last_change

        def places() -> bytes:
            return bytes(self.connection.execute(select(search_blocks.c.places).where(key)).scalar_one())

        listed = self.connection.execute(select(search_blocks.c.words).where(key)).scalar_one()
        changes = words.candidates(bytes(listed), places)
        for start in range(0, len(changes), _ASKED_AT_ONCE):
            yield from self._found(completions.c.change.in_(changes[start : start + _ASKED_AT_ONCE]))

    def _unindexed(self) -> Iterator[_Place]:
        gaps = unindexed(self.connection)
        for start in range(0, len(gaps), _READ_AT_ONCE):
            change = completions.c.change
            some = (and_(change > first, change <= last) for first, last in gaps[start : start + _READ_AT_ONCE])
            yield from self._found(or_(*some))

    def _found(self, which: ColumnElement[bool]) -> Iterator[_Place]:
        for change, time, record_id in self.connection.execute(_on_the_page(self.query, which)):
            yield time, record_id, change

    def _read(self, places: Sequence[_Place], searcher: Searcher) -> Iterator[Completion]:
        """The records at these places that match."""
        found = self.connection.execute(_of_changes([change for _, _, change in places])).mappings()
        rows = {row["change"]: row for row in found}
        ordered = [rows[change] for _, _, change in places if change in rows]
        for completion, matches in heavy(self.connection, ordered, searcher, with_bodies=self.query.with_bodies):
            if matches:
                yield completion

    def _place(self, last: _Place | None) -> Cursor | None:
        """Where to go on: behind the last one that was read or, if none was, with the first that was not."""
        if not self._open and not self._blocks:
            return None
        if last is not None:
            return Cursor(started_at=from_micros(last[0]), id=original_id(last[1], self.query.organization_id))
        times = [self._open[-1][0]] if self._open else []
        times += [self._bound()] if self._blocks else []
        if self.query.oldest_first:
            return Cursor(started_at=from_micros(min(times)) - _MICROSECOND, id=_LAST_ID)
        return Cursor(started_at=from_micros(max(times)) + _MICROSECOND, id="")


def _behind(completion: Completion) -> Cursor:
    return Cursor(started_at=completion.started_at, id=completion.id)
