"""Calls of a time, read one by one and summed up by step, the newest first, until it takes too long."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, null, select

from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.measures import Measures
from llm_proxy.store.sql import completion_tags, completions, matching, of_model

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


#: So long is what is read first, in microseconds, and so long the reading of the next part should take, in seconds.
_FIRST_US = 60_000_000
_PART_S = 0.03
#: So many changes are read by their number, and more by the time of their calls.
_FEW_CHANGES = 20_000


@dataclass(frozen=True, slots=True)
class Which:
    """Calls of a time that are to be read."""

    #: Those behind this change.
    after: int = 0
    #: There is no newer change among them; 0 if that is not known.
    newest: int = 0
    #: Only those that the model that is asked for has answered without being asked for.
    only_answered: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of which calls are to be read."""

    since_us: int
    until_us: int
    which: tuple[Which, ...] = (Which(),)
    #: What is shorter is read at once.
    grain_us: int = 1

    def where(self, calls: CompletionQuery) -> Iterator[tuple[ColumnElement[bool], ...]]:
        """What holds for the calls of each of some lists, none of which has a call of another."""
        at, change = completions.c.started_at_us, completions.c.change
        for one in self.which:
            few = one.after > 0 and 0 < one.newest - one.after < _FEW_CHANGES
            always = [*matching(replace(calls, model=None), is_few=few), at >= self.since_us, at < self.until_us]
            if one.after and not one.only_answered:
                always += [change > one.after, *([change <= one.newest] if few else [])]
            # No OR, of which databases make little; see sql.page.
            for condition in () if calls.model is None else of_model(calls.model)[one.only_answered :]:
                yield (*always, condition)
            if calls.model is None:
                yield tuple(always)


class Patience:
    """How long to read on, in seconds; None is as long as it takes."""

    def __init__(self, patience_s: float | None) -> None:
        self.is_endless = patience_s is None
        self._until_s = math.inf if patience_s is None else time.monotonic() + patience_s

    def is_over(self) -> bool:
        """Whether it is."""
        return time.monotonic() > self._until_s


def newest_first(
    stretches: Iterable[Stretch], read: Callable[[Stretch, Patience], bool], patience: Patience
) -> int | None:
    """Let ``read`` read them part by part until the patience is over: how far back it came; None if it has read all.

    A part of which ``read`` says that it was not read to its end does not count. The first one is read in any case.
    """
    width_us, limit = _FIRST_US, Patience(None)
    for stretch in sorted(stretches, key=lambda stretch: stretch.until_us, reverse=True):
        stop, grain_us = stretch.until_us, stretch.grain_us
        while stop > stretch.since_us:
            width_of_part_us = -(-width_us // grain_us) * grain_us
            start = stretch.since_us if patience.is_endless else max(stretch.since_us, stop - width_of_part_us)
            started_s = time.monotonic()
            if limit.is_over() or not read(replace(stretch, since_us=start, until_us=stop), limit):
                return stop
            width_us = max(_FIRST_US, width_us * 2 if time.monotonic() - started_s < _PART_S else width_us // 2)
            stop, limit = start, patience
    return None


def calls_by_step(
    connection: Connection, query: SeriesQuery, by: SeriesBy | None, stretch: Stretch, patience: Patience | None = None
) -> Sums | None:
    """The calls of the query within the stretch, read one by one; None if the patience ends before."""
    step_us = query.step // MICROSECOND
    sums: Sums = {}
    for where in stretch.where(query.calls):
        with connection.execute(_calls(by).where(*where), execution_options={"yield_per": _ROWS}) as result:
            for rows in result.partitions():
                if patience is not None and patience.is_over():
                    return None
                for of, started_at_us, *call in rows:
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
    *times_s: float | None,
) -> None:
    measures.count(failed=status == Status.FAILED, cost_usd=cost_usd, tokens=(given, answered, total))
    duration_s, ttft_s, overhead_s = times_s
    measures.time(duration_s, ttft_s, answered, overhead_s)


def _calls(by: SeriesBy | None) -> Select[Any]:
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
        calls.overhead_s,
    )
    if by is SeriesBy.TAG:
        rows = rows.outerjoin_from(completions, completion_tags, completion_tags.c.completion_id == calls.id)
    return rows


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
