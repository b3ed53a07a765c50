"""Sessions, users and traces as groups of calls, from the tables of a SqlStore, be it SQLite or PostgreSQL.

They are found by walking the calls from the newest one and keeping each that nothing newer of its group follows; where
something is asked of a call, those that are so are walked alone (sql_matches.py), and the newest of them makes the
place of its group. Only groups that may be on the page are summed up, by an index. Calls of no group are walked past.
What programs told of that has no calls stands between (sql_told.py). A page that takes too long ends where it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, Select, and_, case, exists, func, or_, select
from sqlalchemy import tuple_ as row_of

from llm_proxy.model.query import CompletionQuery, Cursor, Group, Grouping, GroupPage, GroupQuery, Tally
from llm_proxy.store.rows import from_micros, restored, row_id, storable, to_micros
from llm_proxy.store.sql import completion_tags, completions, matching
from llm_proxy.store.sql_calls import Patience
from llm_proxy.store.sql_conditions import conditions, is_met_by
from llm_proxy.store.sql_matches import GROUP_COLUMNS, Match, Matches
from llm_proxy.store.sql_search import all_found
from llm_proxy.store.sql_spend import tally_of, totals
from llm_proxy.store.sql_told import place_of, told

#: Groups that are summed up at once where what they are together decides.
_SUMMED_AT_ONCE = 50
_NO_CALLS = Tally(calls=0, failed=0, calls_without_cost=0)

_Found = list[tuple[Cursor, Group]]
#: Calls, each the newest of its group, and the place up to which all others are among them, or were before; None if no
#: more will come.
_Chunk = tuple[Sequence[Match], Cursor | None]


def groups(connection: Connection, query: GroupQuery) -> GroupPage:
    """A page of those that match; see ``Overviews.groups``."""
    walk = _Walk(connection, query)
    found = walk.found()
    # What was told of only counts as far back as the page can reach.
    back_to = found[query.limit][0] if len(found) > query.limit else walk.reached
    if query.some is None and is_met_by(_NO_CALLS, query.sums):
        found += [(place_of(group), group) for group in told(connection, query, back_to=back_to)]
        found.sort(key=lambda one: (one[0].started_at, storable(one[0].id)), reverse=True)
    shown = found[: query.limit]
    following = shown[-1][0] if shown and len(found) > query.limit else walk.reached
    return GroupPage(groups=tuple(group for _, group in shown), next=following)


@dataclass
class _Walk:
    """From the place where a page begins to older groups."""

    connection: Connection
    query: GroupQuery
    #: Where to go on, if it had to stop before the page was full.
    reached: Cursor | None = None
    _patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self._patience = Patience(self.query.patience_s)

    def found(self) -> _Found:
        """Those of the page, and one more if there is another page."""
        limit, found = self.query.limit, list[tuple[Cursor, Group]]()
        for newest, place in self._of_all() if self.query.some is None else self._matching(self.query.some):
            found += self._summed_up(newest if self._sums_decide else newest[: limit + 1 - len(found)])
            if len(found) > limit:
                return found
            if self._patience.is_over():
                self.reached = place
                return found
        return found

    @property
    def _sums_decide(self) -> bool:
        return bool(self.query.none or self.query.sums)

    @property
    def _size(self) -> int:
        return _SUMMED_AT_ONCE if self._sums_decide else self.query.limit + 1

    def _of_all(self) -> Iterator[_Chunk]:
        query = self.query
        while True:
            rows = self.connection.execute(_newest(query).limit(self._size))
            newest = [Match(*row) for row in rows]
            if len(newest) < self._size:
                yield newest, None
                return
            place = newest[-1].place(query.organization_id)
            yield newest, place
            query = replace(query, after=place)

    def _matching(self, some: CompletionQuery) -> Iterator[_Chunk]:
        query, seen = self.query, set[str]()
        calls = _calls_of(query, some)
        # A text is looked for by reading, so that there may be nothing to sum up for long.
        is_late = self._patience.is_over if calls.search is not None else lambda: False
        matches = Matches(self.connection, replace(calls, after=query.after), query.by, is_late)
        for batch in filter(None, matches):
            newest = [match for match in batch if match.group is not None and match.group not in seen]
            newest = list({match.group: match for match in reversed(newest)}.values())[::-1]
            seen |= {match.group for match in newest if match.group is not None}
            for start in range(0, max(len(newest), 1), self._size):
                chunk = newest[start : start + self._size]
                last = batch[-1] if start + self._size >= len(newest) else chunk[-1]
                yield self._not_before(calls, chunk), last.place(query.organization_id)
        self.reached = matches.reached

    def _not_before(self, calls: CompletionQuery, newest: Sequence[Match]) -> Sequence[Match]:
        """Those that have no such call where an earlier page was, so that they are on none."""
        after = self.query.after
        if after is None or not newest:
            return newest
        place = to_micros(after.started_at), row_id(after.id, self.query.organization_id)
        if calls.search is not None:
            return [match for match in newest if not self._is_said_behind(calls, match, place)]
        here = row_of(completions.c.started_at_us, completions.c.id)
        earlier = self._having(newest, and_(here >= row_of(*place), *matching(calls)))
        return [match for match in newest if match.group not in earlier]

    def _is_said_behind(self, calls: CompletionQuery, match: Match, place: tuple[int, str]) -> bool:
        since = from_micros(place[0])
        newer = replace(calls, oldest_first=True, since=since if calls.since is None else max(calls.since, since))
        narrower = _of_group(newer, self.query.by, restored(match.group or ""))
        for found in all_found(self.connection, narrower, lambda: False):
            assert not isinstance(found, Cursor)
            if (to_micros(found.started_at), row_id(found.id, found.organization_id)) >= place:
                return True
        return False

    def _having(self, newest: Sequence[Match], is_so: ColumnElement[bool]) -> set[str]:
        """Those of the groups that have a call which is so."""
        column = completions.c[GROUP_COLUMNS[self.query.by]]
        # Not in the WHERE, where it would lead to an index of its own and away from that of the groups.
        some_are = func.max(case((is_so, 1), else_=0)) == 1
        rows = select(column).where(*_within(self.query, completions), column.in_([match.group for match in newest]))
        return set(self.connection.execute(rows.group_by(column).having(some_are)).scalars())

    def _summed_up(self, newest: Sequence[Match]) -> Iterable[tuple[Cursor, Group]]:
        query = self.query
        if query.none and newest:
            met = or_(*conditions(query.none, completions, completion_tags))
            excluded = self._having(newest, met)
            newest = [match for match in newest if match.group not in excluded]
        if not newest:
            return
        rows = self.connection.execute(_summed(query, [match.group for match in newest])).mappings()
        by_name = {row["group"]: row for row in rows}
        for match in newest:
            if match.group not in by_name:  # deleted in this moment
                continue
            matched_at_us = None if query.some is None else match.time_us
            group = _group(by_name[match.group], query.by, matched_at_us)
            if is_met_by(group.tally, query.sums):
                yield match.place(query.organization_id), group


def _calls_of(query: GroupQuery, some: CompletionQuery) -> CompletionQuery:
    return replace(
        some,
        organization_id=query.organization_id,
        project_id=query.project_id,
        since=query.since,
        until=query.until,
        after=None,
        limit=None,
    )


def _of_group(calls: CompletionQuery, by: Grouping, group: str) -> CompletionQuery:
    if by is Grouping.SESSION:
        return replace(calls, session_id=group)
    return replace(calls, trace_id=group) if by is Grouping.TRACE else replace(calls, user_id=group)


def _newest(query: GroupQuery) -> Select[Any]:
    """The newest call of each group, newest first."""
    column, later = completions.c[GROUP_COLUMNS[query.by]], completions.alias()
    order = completions.c.started_at_us, completions.c.id
    rows = select(*order, column).where(*_within(query, completions), column.is_not(None))
    rows = rows.where(
        ~exists().where(
            *_within(query, later),
            later.c[column.name] == column,
            row_of(later.c.started_at_us, later.c.id) > row_of(*order),
        )
    )
    if query.after is not None:
        place = to_micros(query.after.started_at), row_id(query.after.id, query.organization_id)
        rows = rows.where(row_of(*order) < row_of(*place))
    if query.id is not None:
        rows = rows.where(column == storable(query.id))
    return rows.order_by(order[0].desc(), order[1].desc())


def _summed(query: GroupQuery, names: Sequence[str | None]) -> Select[Any]:
    column = completions.c[GROUP_COLUMNS[query.by]]
    return (
        select(
            column.label("group"),
            # Whichever call said it.
            func.max(completions.c.session_name).label("name"),
            func.min(completions.c.started_at_us).label("first_us"),
            func.max(completions.c.started_at_us).label("last_us"),
            *totals(completions),
        )
        .where(*_within(query, completions), column.in_(names))
        .group_by(column)
    )


def _within(query: GroupQuery, calls: FromClause) -> Iterator[ColumnElement[bool]]:
    yield calls.c.organization_id == storable(query.organization_id)
    if query.project_id is not None:
        yield calls.c.project_id == storable(query.project_id)
    if query.since is not None:
        yield calls.c.started_at_us >= to_micros(query.since)
    if query.until is not None:
        yield calls.c.started_at_us < to_micros(query.until)


def _group(row: RowMapping, by: Grouping, matched_at_us: int | None) -> Group:
    named = by is Grouping.SESSION and row["name"] is not None
    return Group(
        id=restored(row["group"]),
        name=restored(row["name"]) if named else None,
        first_at=from_micros(row["first_us"]),
        last_at=from_micros(row["last_us"]),
        matched_at=None if matched_at_us is None else from_micros(matched_at_us),
        tally=tally_of(row),
    )
