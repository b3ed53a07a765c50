"""Sums and histograms of calls that can be added up: what percentiles are read from.

A histogram counts values in bins that grow by 4 % each, so that a percentile, which is told as the middle of its bin,
is right within 2 %, however many histograms were added up, and however far the values lie apart.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from itertools import accumulate

import msgspec

from llm_proxy.model.series import Measured, Percentiles

_RATIO = 1.04
_LOG_RATIO = math.log(_RATIO)
#: Below that, values are not told apart; of seconds, a microsecond.
_LEAST = 1e-6
#: More digits than a sum of amounts can have; see sql_amounts.py.
_EXACT = Context(prec=1000)
_NOTHING = Decimal(0)

Bins = dict[int, int]


@dataclass(slots=True, kw_only=True)
class Measures:
    """What calls were and took together, as far as known."""

    calls: int = 0
    failed: int = 0
    with_cost: int = 0
    cost_usd: Decimal = _NOTHING
    #: Input, output and total: the sum, and of how many calls it is known.
    tokens: list[int] = field(default_factory=lambda: [0] * 6)
    latency_s: Bins = field(default_factory=dict)
    ttft_s: Bins = field(default_factory=dict)
    tokens_per_s: Bins = field(default_factory=dict)
    overhead_s: Bins = field(default_factory=dict)

    def add(self, other: "Measures") -> None:
        """Count the calls of ``other`` as well."""
        self.calls += other.calls
        self.failed += other.failed
        self.with_cost += other.with_cost
        if other.with_cost:
            self.cost_usd = _EXACT.add(self.cost_usd, other.cost_usd)
        for place, number in enumerate(other.tokens):
            self.tokens[place] += number
        _add_bins(self.latency_s, other.latency_s)
        _add_bins(self.ttft_s, other.ttft_s)
        _add_bins(self.tokens_per_s, other.tokens_per_s)
        _add_bins(self.overhead_s, other.overhead_s)

    def count(self, *, failed: bool, cost_usd: str | None, tokens: tuple[int | None, int | None, int | None]) -> None:
        """Count one call."""
        self.calls += 1
        self.failed += failed
        if cost_usd is not None:
            self.with_cost += 1
            self.cost_usd = _EXACT.add(self.cost_usd, Decimal(cost_usd))
        for place, number in enumerate(tokens):
            if number is not None:
                self.tokens[place] += number
                self.tokens[place + 3] += 1

    def time(
        self,
        duration_s: float | None,
        ttft_s: float | None,
        output_tokens: int | None,
        overhead_s: float | None = None,
    ) -> None:
        """Count how long the call took, as far as it is known."""
        if overhead_s is not None:
            _count(self.overhead_s, overhead_s)
        if ttft_s is not None:
            _count(self.ttft_s, ttft_s)
        if duration_s is None:
            return
        _count(self.latency_s, duration_s)
        writing_s = duration_s if ttft_s is None or ttft_s >= duration_s else duration_s - ttft_s
        if output_tokens and writing_s > 0:
            _count(self.tokens_per_s, output_tokens / writing_s)

    def measured(self) -> Measured:
        """What they say."""
        given, answered, total = (
            self.tokens[place] if self.tokens[place + 3] else None for place in range(len(self.tokens) // 2)
        )
        return Measured(
            calls=self.calls,
            failed=self.failed,
            input_tokens=given,
            output_tokens=answered,
            total_tokens=total,
            cost_usd=self.cost_usd if self.with_cost else None,
            calls_without_cost=self.calls - self.with_cost,
            latency_s=percentiles(self.latency_s),
            ttft_s=percentiles(self.ttft_s),
            tokens_per_s=percentiles(self.tokens_per_s),
            overhead_s=percentiles(self.overhead_s),
        )


def percentiles(bins: Mapping[int, int]) -> Percentiles | None:
    """Those of what was counted; None if nothing was."""
    if not bins:
        return None
    ordered = sorted(bins.items())
    total = sum(bins.values())
    p50, p95, p99 = (_at(ordered, math.ceil(total * share)) for share in (0.5, 0.95, 0.99))
    return Percentiles(p50=p50, p95=p95, p99=p99)


def packed(measures: Measures) -> bytes:
    """``measures`` as a row of a table keeps them."""
    bins = measures.latency_s, measures.ttft_s, measures.tokens_per_s, measures.overhead_s
    numbers = measures.calls, measures.failed, measures.with_cost, str(measures.cost_usd), measures.tokens
    return _encode((*numbers, *([*one, *one.values()] for one in bins)))


def unpacked(kept: bytes) -> Measures:
    """What ``packed`` made bytes of."""
    calls, failed, with_cost, cost, tokens, *bins = _decode(kept)
    latency, ttft, speed, overhead = (
        dict(zip(one[: len(one) // 2], one[len(one) // 2 :], strict=True)) for one in bins
    )
    return Measures(
        calls=calls,
        failed=failed,
        with_cost=with_cost,
        cost_usd=Decimal(cost),
        tokens=tokens,
        latency_s=latency,
        ttft_s=ttft,
        tokens_per_s=speed,
        overhead_s=overhead,
    )


_encode = msgspec.msgpack.Encoder().encode
_Packed = tuple[int, int, int, str, list[int], list[int], list[int], list[int], list[int]]
_decode = msgspec.msgpack.Decoder(_Packed).decode


def _count(bins: Bins, value: float) -> None:
    place = math.floor(math.log(max(value, _LEAST)) / _LOG_RATIO)
    bins[place] = bins.get(place, 0) + 1


def _add_bins(to: Bins, more: Bins) -> None:
    for place, number in more.items():
        to[place] = to.get(place, 0) + number


def _at(ordered: list[tuple[int, int]], rank: int) -> float:
    """The middle of the bin in which the value of this rank is."""
    ranks = list(accumulate(number for _, number in ordered))
    place, _ = ordered[bisect_left(ranks, rank)]
    return float(_RATIO ** (place + 0.5))
