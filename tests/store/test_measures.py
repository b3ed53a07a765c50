"""Sums of calls, and percentiles that are right within what they promise."""

import random
from decimal import Decimal

import pytest

from llm_proxy.store.measures import Measures, packed, percentiles, unpacked


def measures(durations):
    made = Measures()
    for duration_s in durations:
        made.count(failed=False, cost_usd="0.1", tokens=(1, None, 2))
        made.time(duration_s, None, 10, duration_s / 1000)
    return made


def test_a_percentile_is_right_within_two_percent_however_many_sums_were_added_up():
    chance = random.Random(1)
    durations = [chance.lognormvariate(0, 2) for _ in range(5000)]
    total = Measures()

    for start in range(0, len(durations), 100):
        total.add(measures(durations[start : start + 100]))

    found, ordered = percentiles(total.latency_s), sorted(durations)
    assert (found.p50, found.p95, found.p99) == pytest.approx(
        tuple(ordered[int(5000 * share) - 1] for share in (0.5, 0.95, 0.99)), rel=0.02
    )


def test_what_was_packed_adds_up_to_the_same():
    before = measures([0.1, 0.2, 0.0, 700.0])

    after = unpacked(packed(before))

    assert after == before
    assert after.measured().overhead_s.p50 == pytest.approx(0.0001, rel=0.02)
    assert after.measured().cost_usd == Decimal("0.4")


def test_what_is_unknown_of_all_is_unknown_of_their_sum():
    told = Measures()
    told.count(failed=True, cost_usd=None, tokens=(3, None, None))
    told.time(None, None, None)

    said = told.measured()

    assert (said.calls, said.failed, said.input_tokens, said.calls_without_cost) == (1, 1, 3, 1)
    assert said.output_tokens is said.total_tokens is said.cost_usd is said.latency_s is said.ttft_s is None


def test_tokens_are_counted_from_the_first_one_on_where_that_is_known():
    told = Measures()

    told.time(3.0, 1.0, 100)

    assert told.measured().tokens_per_s.p50 == pytest.approx(50, rel=0.02)
