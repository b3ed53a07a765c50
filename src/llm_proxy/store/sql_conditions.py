"""Conditions on calls that no list is kept by, as SQL: each is looked up in the row of a call; and those on sums.

A call of which something is unknown is neither above nor below anything, and is not what is asked for. Pure functions.
"""

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Float, FromClause, and_, cast, exists, func, literal, not_, or_

from llm_proxy.model.query import Attribute, Comparison, CompletionQuery, Condition, Tally
from llm_proxy.store.rows import storable

_COLUMNS = {
    Attribute.STATUS: "status",
    Attribute.USER: "user_id",
    Attribute.SESSION: "session_id",
    Attribute.TRACE: "trace_id",
    Attribute.PROJECT: "project_id",
    Attribute.PROVIDER: "provider",
    Attribute.UPSTREAM: "upstream",
    Attribute.ENDPOINT: "endpoint",
    Attribute.ENDING: "ending",
    Attribute.ERROR: "failure_kind",
    Attribute.HTTP: "http_status",
    Attribute.LATENCY: "duration_s",
    Attribute.TTFT: "ttft_s",
    Attribute.INPUT: "input_tokens",
    Attribute.OUTPUT: "output_tokens",
}
#: What stands beside the time in the index by it, so that who asks for these reads no row that it does not want.
#: None is a text that a caller may make as long as it likes, which PostgreSQL's indexes would not take.
BESIDE_THE_TIME = (
    "status",
    "ending",
    "failure_kind",
    "http_status",
    "provider",
    "upstream",
    "endpoint",
    "key_fingerprint",
    "duration_s",
    "ttft_s",
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cost_usd",
)
_ELSEWHERE = frozenset(
    {Attribute.MODEL, Attribute.TAG, Attribute.USER, Attribute.SESSION, Attribute.TRACE, Attribute.PROJECT}
)
_COMPARE: dict[Comparison, Callable[[Any, Any], Any]] = {
    Comparison.IS: operator.eq,
    Comparison.ABOVE: operator.gt,
    Comparison.AT_LEAST: operator.ge,
    Comparison.BELOW: operator.lt,
    Comparison.AT_MOST: operator.le,
}


def conditions(asked: Sequence[Condition], calls: FromClause, tags: FromClause) -> Iterator[ColumnElement[bool]]:
    """What holds for the rows of ``calls`` that meet all that is asked; ``tags`` is the table of their tags."""
    for condition in asked:
        if condition.comparison is Comparison.IS_NOT:
            met = _met(condition, Comparison.IS, calls, tags)
            # What is unknown compares as unknown, and is not what is asked for.
            yield not_(func.coalesce(met, literal(False, Boolean)))
        else:
            yield _met(condition, condition.comparison, calls, tags)


def are_beside_the_time(query: CompletionQuery) -> bool:
    """Whether the list by time alone can tell which records a page has, and nothing else leads to fewer of them."""
    narrower = (query.session_id, query.user_id, query.trace_id, query.project_id, query.model, query.search)
    if query.tags or query.limit is None or any(one is not None for one in narrower):
        return False
    return bool(query.conditions) and all(condition.of not in _ELSEWHERE for condition in query.conditions)


def is_met_by(tally: Tally, sums: Sequence[Condition]) -> bool:
    """Whether calls together are all that is asked of their sums."""
    return all(_is_met(condition, _summed(condition.of, tally)) for condition in sums)


def _is_met(condition: Condition, number: float | None) -> bool:
    if condition.comparison is Comparison.IS_NOT:
        return number != condition.value
    return number is not None and bool(_COMPARE[condition.comparison](number, condition.value))


def _summed(of: Attribute, tally: Tally) -> float | None:
    if of is Attribute.COST:
        return None if tally.cost_usd is None else float(tally.cost_usd)
    if of is Attribute.TOKENS:
        return tally.tokens
    return {Attribute.CALLS: tally.calls, Attribute.INPUT: tally.input_tokens, Attribute.OUTPUT: tally.output_tokens}[
        of
    ]


def _met(condition: Condition, comparison: Comparison, calls: FromClause, tags: FromClause) -> ColumnElement[bool]:
    of, value = condition.of, condition.value
    if of is Attribute.TAG:
        tagged = tags.alias()
        return exists().where(tagged.c.completion_id == calls.c.id, tagged.c.tag == storable(str(value)))
    if of is Attribute.MODEL:
        name = storable(str(value))
        return or_(calls.c.model == name, calls.c.response_model == name)
    if of is Attribute.KEY:
        text = storable(str(value))
        shown = calls.c.key_fingerprint
        # No LIKE: in SQLite it takes small letters for large ones.
        end = func.substr(shown, func.length(shown) - len(text) + 1)
        return and_(func.length(shown) >= len(text), end == text)
    found: bool | ColumnElement[bool] = _COMPARE[comparison](_column(of, calls), value)
    assert not isinstance(found, bool)
    return found


def _column(of: Attribute, calls: FromClause) -> ColumnElement[Any]:
    if of is Attribute.COST:
        # Exact as text; to be compared with what somebody typed, near enough as a number.
        return cast(calls.c.cost_usd, Float)
    if of is Attribute.TOKENS:
        return func.coalesce(calls.c.total_tokens, calls.c.input_tokens + calls.c.output_tokens)
    return calls.c[_COLUMNS[of]]
