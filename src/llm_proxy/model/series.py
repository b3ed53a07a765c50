"""How calls went over a time: what can be asked, and what the answer is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from llm_proxy.model.query import CompletionQuery


class SeriesBy(StrEnum):
    """What calls are told apart by."""

    #: The one asked for.
    MODEL = "model"
    PROVIDER = "provider"
    #: A call counts for each of its tags.
    TAG = "tag"
    USER = "user"
    #: By its fingerprint.
    KEY = "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesQuery:
    """The calls that began from ``since`` until before ``until``, one point for each ``step``.

    A point begins at a multiple of the step since 1970, in UTC; the first and the last one may be cut short.
    """

    #: Which calls, but for a search, a limit and a place; its own times hold as well.
    calls: CompletionQuery
    since: datetime
    until: datetime
    step: timedelta
    by: SeriesBy | None = None
    #: Lines that are told apart, those of the most calls; the rest is in the sum alone.
    limit: int = 10
    #: How long to read what no sum tells, in seconds; None is as long as it takes.
    patience_s: float | None = None

    @property
    def previous(self) -> "SeriesQuery":
        """The same of the time before, which is as long."""
        return replace(self, since=self.since - (self.until - self.since), until=self.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Of so many calls, the half, 95 and 99 of a hundred are at most that; right within 2 %."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What calls were and took together; None where of no call it is known."""

    calls: int = 0
    failed: int = 0
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    #: Of those calls of which it is known, exactly.
    cost_usd: Decimal | None = None
    #: Of how many it is not.
    calls_without_cost: int = 0
    #: From the first byte of the request to the end of the answer, in seconds.
    latency_s: Percentiles | None = None
    #: To the first token of a streamed answer, in seconds.
    ttft_s: Percentiles | None = None
    #: Output tokens over the seconds from the first token, or from the beginning where that is not known.
    tokens_per_s: Percentiles | None = None
    #: What the proxy needed for itself, in seconds.
    overhead_s: Percentiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One step of the time."""

    since: datetime
    #: None if some of its calls are not counted.
    measured: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Calls that have something in common."""

    #: None if it is unknown, or there is none.
    of: str | None = None
    total: Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """All calls together, as a whole and by step, and what they are told apart in, that of the most calls first.

    Where the patience was over before all were read, the oldest are missing.
    """

    total: Measured
    points: tuple[Point, ...]
    #: From when on calls are counted; None if all are.
    counted_since: datetime | None = None
    lines: tuple[Line, ...] = ()
    #: The same of the lines.
    lines_since: datetime | None = None
