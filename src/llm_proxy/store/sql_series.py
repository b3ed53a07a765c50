"""How calls went over a time, from the tables of a SqlStore, be it SQLite or PostgreSQL."""

from collections.abc import Iterator

from sqlalchemy import Connection

from llm_proxy.model.series import Line, Measured, Point, Series, SeriesQuery
from llm_proxy.store.measures import Measures
from llm_proxy.store.rows import from_micros, restored, to_micros
from llm_proxy.store.sql_calls import MICROSECOND, Sums
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_sums import summed


class SqlSeries:
    """See ``Statistics``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def series(self, query: SeriesQuery) -> Series:
        """How the calls went, all together and told apart."""

        def read(connection: Connection) -> Series:
            return _series(query, *summed(connection, query))

        return await self._store.reading(read, otherwise=_series(query, {}, {}))


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
    step_us = query.step // MICROSECOND
    yield from range(to_micros(query.since) // step_us * step_us, to_micros(query.until), step_us)
