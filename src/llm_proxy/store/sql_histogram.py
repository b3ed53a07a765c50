"""How many calls lie in each part of a time: from the sums of hours where parts are hours, and else counted.

Calls with a text that is looked for are counted as their search finds them (sql_search.py), the newest first.
"""

from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, case, func, select

from llm_proxy.model.completion import Status
from llm_proxy.model.query import Bucket, CompletionQuery, Cursor
from llm_proxy.store.rows import from_micros, storable, to_micros
from llm_proxy.store.sql import completions
from llm_proxy.store.sql_calls import Patience, Stretch, newest_first
from llm_proxy.store.sql_hours import HOUR_US
from llm_proxy.store.sql_search import all_found
from llm_proxy.store.sql_series import covered, narrowed
from llm_proxy.store.sql_sums import kept_as, sums_by_hour


def histogram(
    connection: Connection, query: CompletionQuery, start: int, width: int, *, count: int, patience: Patience
) -> list[Bucket]:
    """Buckets of ``width`` microseconds each from ``start`` on; see ``Findings.histogram``."""
    calls, since, until = narrowed(query, start, start + width * count)
    if calls.search is not None:
        calls = replace(calls, since=from_micros(since), until=from_micros(until))
        return _searched(connection, calls, start, width, count=count, patience=patience)
    kept = None if width % HOUR_US or start % HOUR_US else kept_as(calls)
    known = covered(connection, calls, kept, since, until)
    found: dict[int, tuple[int, int]] = {}

    def add(place: int, number: int, failed: int) -> None:
        before = found.get(place, (0, 0))
        found[place] = before[0] + number, before[1] + failed

    def read(stretch: Stretch, limit: Patience) -> bool:
        counted = [row for where in stretch.where(calls) for row in connection.execute(_counted(start, width, where))]
        if limit.is_over():
            return False
        for place, number, failed in counted:
            add(int(place), number, int(failed))
        return True

    reached = newest_first(known.stretches, read, patience)
    if kept is not None:
        owner, summed = storable(calls.organization_id), known.since(reached).summed
        for at, measures in sums_by_hour(connection, owner, kept, summed).items():
            add((at - start) // width, measures.calls, measures.failed)
    return [_bucket(start + width * place, found.get(place, (0, 0)), reached) for place in range(count)]


def _searched(
    connection: Connection, calls: CompletionQuery, start: int, width: int, *, count: int, patience: Patience
) -> list[Bucket]:
    found: dict[int, tuple[int, int]] = {}
    reached = None
    for one in all_found(connection, calls, patience.is_over):
        if isinstance(one, Cursor):
            # A call of the same moment may not have been read: its part is not counted to its end.
            reached = to_micros(one.started_at) + 1
            break
        place = (to_micros(one.started_at) - start) // width
        number, failed = found.get(place, (0, 0))
        found[place] = number + 1, failed + (one.status is Status.FAILED)
    return [_bucket(start + width * place, found.get(place, (0, 0)), reached) for place in range(count)]


def _counted(start: int, width: int, where: tuple[ColumnElement[bool], ...]) -> Select[Any]:
    part = ((completions.c.started_at_us - start) // width).label("part")
    failed = func.sum(case((completions.c.status == Status.FAILED.value, 1), else_=0))
    return select(part, func.count(), failed).where(*where).group_by(part)


def _bucket(since: int, counted: tuple[int, int], reached: int | None) -> Bucket:
    if reached is not None and since < reached:
        return Bucket(since=from_micros(since), calls=None, failed=None)
    return Bucket(since=from_micros(since), calls=counted[0], failed=counted[1])
