"""Calls of a time, read one by one and summed up by step."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, literal, null, select

from llm_proxy.model.completion import Status
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.measures import Measures
from llm_proxy.store.rows import to_micros
from llm_proxy.store.sql import completion_tags, completions, matching

MICROSECOND = timedelta(microseconds=1)
COLUMNS = {
    SeriesBy.MODEL: "model",
    SeriesBy.PROVIDER: "provider",
    SeriesBy.USER: "user_id",
    SeriesBy.KEY: "key_fingerprint",
}
#: Rows that are fetched at a time.
_ROWS = 5000

#: By the value that lines are told apart by, and by the beginning of the step in microseconds.
Sums = dict[str | None, dict[int, Measures]]


def calls_by_step(connection: Connection, query: SeriesQuery, by: SeriesBy | None) -> Sums:
    """The calls of the query, read one by one."""
    step_us = query.step // MICROSECOND
    sums: Sums = {}
    for of, started_at_us, *call in connection.execution_options(yield_per=_ROWS).execute(_calls(query, by)):
        line = sums.setdefault(of, {})
        at = started_at_us // step_us * step_us
        if at not in line:
            line[at] = Measures()
        _count(line[at], *call)
    return sums


def _count(
    measures: Measures,
    status: str,
    cost_usd: str | None,
    given: int | None,
    answered: int | None,
    total: int | None,
    duration_s: float | None,
    ttft_s: float | None,
) -> None:
    measures.count(failed=status == Status.FAILED, cost_usd=cost_usd, tokens=(given, answered, total))
    measures.time(duration_s, ttft_s, answered)


def _calls(query: SeriesQuery, by: SeriesBy | None) -> Select[Any]:
    calls = completions.c
    of = null() if by is None else completion_tags.c.tag if by is SeriesBy.TAG else calls[COLUMNS[by]]
    rows = select(
        of.label("of"),
        calls.started_at_us,
        calls.status,
        calls.cost_usd,
        calls.input_tokens,
        calls.output_tokens,
        calls.total_tokens,
        calls.duration_s,
        calls.ttft_s,
    )
    if by is SeriesBy.TAG:
        rows = rows.outerjoin_from(completions, completion_tags, completion_tags.c.completion_id == calls.id)
    since, until = literal(to_micros(query.since)), literal(to_micros(query.until))
    return rows.where(*matching(query.calls), calls.started_at_us >= since, calls.started_at_us < until)


def merge(sums: Sums, more: Sums) -> None:
    """Count what is in ``more`` as well."""
    for of, line in more.items():
        into = sums.setdefault(of, {})
        for at, measures in line.items():
            into.setdefault(at, Measures()).add(measures)


def together(parts: Sums) -> Sums:
    """All calls of ``parts``, in which each is once."""
    whole: Sums = {}
    for line in parts.values():
        merge(whole, {None: line})
    return whole
