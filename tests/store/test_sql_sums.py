"""Sums of hours say what the calls say, whatever happens to these, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.model.completion import Context, Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store import sql_sums
from llm_proxy.store.rows import to_micros
from llm_proxy.store.sql_calls import calls_by_step
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_sums import SumsKeeper
from records import COST, bare, record

START = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = START + 30 * HOUR


def query(**different):
    asked = SeriesQuery(
        calls=CompletionQuery(), since=START - 20 * timedelta(minutes=1), until=END, step=3 * HOUR, by=SeriesBy.MODEL
    )
    return replace(asked, **different)


def call(number, **different):
    members = {
        "id": f"{number:03}",
        "started_at": START + timedelta(minutes=number * 17),
        "model": f"m{number % 3}",
        "duration_s": 0.5 + number / 10,
        "cost": COST if number % 2 else None,
        "context": Context(tags=(f"t{number % 2}",), user_id=f"u{number % 5}"),
    }
    return record(**(members | different))


def one_by_one(connection, asked):
    parts = {} if asked.by is None else calls_by_step(connection, asked, asked.by)
    return calls_by_step(connection, asked, None), parts


async def keep(store):
    keeper, made = SumsKeeper(store), 0
    while step := await keeper.step(until_us=to_micros(END)):
        made += step
    return made


@pytest.fixture
async def told(store, monkeypatch):
    """What the series is with the sums and, for comparison, without them."""

    async def both(**different):
        asked = query(**different)
        with_sums = await SqlSeries(store).series(asked)
        with monkeypatch.context() as patched:
            patched.setattr("llm_proxy.store.sql_series.summed", one_by_one)
            return with_sums, await SqlSeries(store).series(asked)

    return both


@pytest.mark.parametrize("by", [None, *SeriesBy])
async def test_a_series_is_the_same_with_sums_and_without(store, told, by):
    await store.put([*(call(number) for number in range(100)), bare(id="x", started_at=START + 2 * HOUR)])
    await store.put([call(number, organization_id="other") for number in range(5)])

    assert await keep(store) == 29
    with_sums, without = await told(by=by)

    assert with_sums == without
    assert with_sums.all.total.calls == 101


async def test_what_is_written_again_deleted_or_late_is_right_before_and_after_it_is_summed_up(store, told):
    await store.put([call(number) for number in range(100)])
    await keep(store)

    await store.put([call(7, status=Status.FAILED), call(100, started_at=START + HOUR)])
    await store.delete([f"{number:03}" for number in range(20, 40)])

    before, expected = await told()
    assert before == expected
    assert (before.all.total.calls, before.all.total.failed) == (81, 1)
    assert await keep(store) > 0
    after, expected = await told()
    assert after == before == expected


async def test_hours_that_have_not_changed_are_read_from_their_sums_alone(store, told, monkeypatch):
    await store.put([call(number) for number in range(100)])
    await keep(store)
    expected = (await told())[0]
    read = []

    def watched(connection, asked, by):
        read.append((asked.since, asked.until))
        return calls_by_step(connection, asked, by)

    monkeypatch.setattr(sql_sums, "calls_by_step", watched)

    assert await SqlSeries(store).series(query()) == expected
    assert set(read) == {(query().since, START)}
    assert await keep(store) == 0
