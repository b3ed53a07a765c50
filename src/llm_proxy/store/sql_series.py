"""How calls went over a time, from the tables of a SqlStore, be it SQLite or PostgreSQL."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, literal, null, select

from llm_proxy.model.completion import Status
from llm_proxy.model.series import Line, Measured, Point, Series, SeriesBy, SeriesQuery
from llm_proxy.store.measures import Measures
from llm_proxy.store.rows import from_micros, restored, to_micros
from llm_proxy.store.sql import completion_tags, completions, matching
from llm_proxy.store.sql_store import SqlStore

COLUMNS = {
    SeriesBy.MODEL: "model",
    SeriesBy.PROVIDER: "provider",
    SeriesBy.USER: "user_id",
    SeriesBy.KEY: "key_fingerprint",
}
#: Rows that are fetched at a time.
_ROWS = 5000
_MICROSECOND = timedelta(microseconds=1)

#: By the value that lines are told apart by, and by the beginning of the step in microseconds.
Sums = dict[str | None, dict[int, Measures]]


class SqlSeries:
    """See ``Statistics``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def series(self, query: SeriesQuery) -> Series:
        """How the calls went, all together and told apart."""

        def read(connection: Connection) -> Series:
            whole = summed(connection, query, None)
            parts = None if query.by is None else summed(connection, query, query.by)
            return _series(query, whole, parts or {})

        return await self._store.reading(read, otherwise=_series(query, {}, {}))


def summed(connection: Connection, query: SeriesQuery, by: SeriesBy | None) -> Sums:
    """The calls of the query, read one by one."""
    step_us = query.step // _MICROSECOND
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


def _series(query: SeriesQuery, whole: Sums, parts: Sums) -> Series:
    chosen = sorted(parts.items(), key=lambda part: (-sum(one.calls for one in part[1].values()), part[0] or ""))
    lines = (_line(query, None if of is None else restored(of), sums) for of, sums in chosen[: query.limit])
    return Series(all=_line(query, None, whole.get(None, {})), lines=tuple(lines))


def _line(query: SeriesQuery, of: str | None, sums: dict[int, Measures]) -> Line:
    total, nothing = Measures(), Measured()
    for measures in sums.values():
        total.add(measures)
    points = (
        Point(since=from_micros(at), measured=sums[at].measured() if at in sums else nothing) for at in _steps(query)
    )
    return Line(of=of, total=total.measured(), points=tuple(points))


def _steps(query: SeriesQuery) -> Iterator[int]:
    """The beginning of each point."""
    step_us = query.step // _MICROSECOND
    yield from range(to_micros(query.since) // step_us * step_us, to_micros(query.until), step_us)
