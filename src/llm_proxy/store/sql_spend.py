"""What calls took, by what they have in common; the statement that sums them up, and its rows.

It reads every call that matches, by the index of their times: whoever asks should say since when.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, FromClause, RowMapping, Select, case, func, literal, select, tuple_

from llm_proxy.model.completion import Status
from llm_proxy.model.query import SpendBy, SpendQuery, SpendRow, Tally
from llm_proxy.store.rows import restored, storable
from llm_proxy.store.sql import completion_tags, completions, matching
from llm_proxy.store.sql_amounts import sum_of_amounts

_TOKENS = ("input_tokens", "output_tokens", "total_tokens", "cached_input_tokens", "reasoning_output_tokens")
_DAY_US = 86_400_000_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
#: Stands for what is unknown, so that rows can be compared; no text in the tables is that, since it is escaped.
_UNKNOWN = "\x1a"


def spent(query: SpendQuery) -> Select[Any]:
    """The rows of a page, in the order of what it is told by."""
    calls = _calls(query)
    keys = [calls.c[f"of_{by}"] for by in query.by]
    rows = select(*keys, *totals(calls)).group_by(*keys)
    if query.after is not None:
        rows = rows.where(tuple_(*keys) > tuple_(*map(_written, query.by, query.after)))
    return rows.order_by(*keys).limit(query.limit)


def spend_row(query: SpendQuery, row: RowMapping) -> SpendRow:
    """What a row of the page says."""
    return SpendRow(of=tuple(_read(by, row[f"of_{by}"]) for by in query.by), tally=tally_of(row))


def totals(calls: FromClause) -> Iterator[ColumnElement[Any]]:
    """The sums of these calls, for ``tally_of``."""
    yield func.count().label("calls")
    yield func.sum(case((calls.c.status == Status.FAILED.value, 1), else_=0)).label("failed")
    for name in _TOKENS:
        yield func.sum(calls.c[name]).label(name)
    yield sum_of_amounts(calls.c.cost_usd).label("cost_usd")
    yield func.count(calls.c.cost_usd).label("with_cost")


def tally_of(row: RowMapping) -> Tally:
    """The sums that ``totals`` asked for."""
    # To PostgreSQL, a sum is of another type than what it is of.
    tokens = (None if row[name] is None else int(row[name]) for name in _TOKENS)
    given, answered, total, cached, reasoning = tokens
    return Tally(
        calls=row["calls"],
        failed=int(row["failed"]),
        input_tokens=given,
        output_tokens=answered,
        total_tokens=total,
        cached_input_tokens=cached,
        reasoning_output_tokens=reasoning,
        cost_usd=None if row["cost_usd"] is None else Decimal(row["cost_usd"]),
        calls_without_cost=row["calls"] - row["with_cost"],
    )


def _calls(query: SpendQuery) -> FromClause:
    # What they are told by is a column of an inner statement, since an outer one can compare and group by columns.
    keys = [_key(by).label(f"of_{by}") for by in query.by]
    calls = select(*keys, completions.c.status, completions.c.cost_usd, *(completions.c[name] for name in _TOKENS))
    if SpendBy.TAG in query.by:
        tagged = completion_tags.c.completion_id == completions.c.id
        calls = calls.outerjoin_from(completions, completion_tags, tagged)
    return calls.where(*matching(query.calls)).subquery()


def _key(by: SpendBy) -> ColumnElement[Any]:
    if by is SpendBy.DAY:
        return completions.c.started_at_us // _DAY_US
    column = {
        SpendBy.MODEL: completions.c.model,
        SpendBy.PROVIDER: completions.c.provider,
        SpendBy.TAG: completion_tags.c.tag,
        SpendBy.USER: completions.c.user_id,
        SpendBy.SESSION: completions.c.session_id,
    }[by]
    return func.coalesce(column, literal(_UNKNOWN))


def _written(by: SpendBy, value: date | str | None) -> ColumnElement[Any]:
    if isinstance(value, date):
        return literal(value.toordinal() - _EPOCH_DAY)
    return literal(_UNKNOWN if value is None else storable(value))


def _read(by: SpendBy, value: Any) -> date | str | None:
    if by is SpendBy.DAY:
        return date.fromordinal(value + _EPOCH_DAY)
    return None if value == _UNKNOWN else restored(value)
