"""How calls went over a time, on both databases."""

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from llm_proxy.model.completion import Context, Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sqlite import SqliteStore
from records import COST, bare, record

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def statistics(store):
    return SqlSeries(store)


def query(**different):
    asked = SeriesQuery(calls=CompletionQuery(), since=START, until=START + 3 * HOUR, step=HOUR)
    return dataclasses.replace(asked, **different)


async def test_each_step_of_the_time_has_a_point_that_sums_its_calls_up(store, statistics):
    await store.put(
        [
            record(id="1", started_at=START, duration_s=1.0, ttft_s=0.5, cost=COST),
            record(id="2", started_at=START + HOUR - timedelta(microseconds=1), duration_s=2.0, ttft_s=None),
            record(id="3", started_at=START + 2 * HOUR, status=Status.FAILED, duration_s=None),
            record(id="4", started_at=START + 3 * HOUR),
            record(id="5", started_at=START - timedelta(microseconds=1)),
            record(id="6", started_at=START, organization_id="other"),
        ]
    )

    series = await statistics.series(query())

    first, second, third = (point.measured for point in series.points)
    assert [point.since for point in series.points] == [START, START + HOUR, START + 2 * HOUR]
    assert (first.calls, first.failed, first.input_tokens, first.cost_usd) == (2, 0, 28, COST.usd)
    assert first.latency_s.p50 == pytest.approx(1.0, rel=0.02)
    assert first.latency_s.p99 == pytest.approx(2.0, rel=0.02)
    assert first.ttft_s.p99 == pytest.approx(0.5, rel=0.02)
    assert (second.calls, second.input_tokens, second.latency_s) == (0, None, None)
    assert (third.calls, third.failed, third.cost_usd, third.calls_without_cost) == (1, 1, None, 1)
    assert (series.total.calls, series.total.cost_usd) == (3, Decimal("0.000065"))


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (SeriesBy.MODEL, [("gpt-4o", 3), (None, 1)]),
        (SeriesBy.PROVIDER, [("openai", 3), (None, 1)]),
        (SeriesBy.TAG, [("a", 2), ("b", 2), (None, 1)]),
        (SeriesBy.USER, [("u\x00", 2), (None, 1), ("v", 1)]),
        (SeriesBy.KEY, [("5f1c…cdef", 3), (None, 1)]),
    ],
)
async def test_calls_are_told_apart_by_what_they_have_in_common(store, statistics, by, expected):
    contexts = Context(tags=("a", "b"), user_id="u\x00"), Context(tags=("b",), user_id="u\x00"), Context(tags=("a",))
    await store.put(
        [
            *(record(id=str(number), started_at=START, context=context) for number, context in enumerate(contexts[:2])),
            record(id="2", started_at=START, context=replace(contexts[2], user_id="v")),
            bare(id="3", started_at=START),
        ]
    )

    series = await statistics.series(query(by=by))

    assert [(line.of, line.total.calls) for line in series.lines] == expected
    assert series.total.calls == 4


async def test_only_the_largest_lines_are_told_apart_and_the_sum_holds_all(store, statistics):
    await store.put([record(started_at=START, model=f"m{number // 2}") for number in range(9)])

    series = await statistics.series(query(by=SeriesBy.MODEL, limit=2))

    assert [line.of for line in series.lines] == ["m0", "m1"]
    assert series.total.calls == 9


async def test_only_what_matches_is_counted(store, statistics):
    await store.put([record(id="1", started_at=START, model="x"), record(id="2", started_at=START)])

    series = await statistics.series(query(calls=CompletionQuery(model="x")))

    assert series.total.calls == 1


async def test_the_time_before_is_as_long(store, statistics):
    await store.put([record(started_at=START - 3 * HOUR), record(started_at=START - timedelta(seconds=1))])

    series = await statistics.series(query().previous)

    assert [point.measured.calls for point in series.points] == [1, 0, 1]


async def test_a_store_without_tables_has_points_without_calls(tmp_path):
    store = SqliteStore(tmp_path / "none.sqlite3")

    series = await SqlSeries(store).series(query())

    assert [point.measured.calls for point in series.points] == [0, 0, 0]
    await store.close()
