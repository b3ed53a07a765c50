"""Sums of hours and days say what the calls say, whatever happens to these, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from llm_proxy.model.completion import Context, Status
from llm_proxy.model.query import Attribute, Comparison, CompletionQuery, Condition
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store import sql_series
from llm_proxy.store.rows import to_micros
from llm_proxy.store.sql_calls import calls_by_step
from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_sums import day_sums, hour_sums
from llm_proxy.store.sums_keeper import SumsKeeper
from records import COST, bare, record

START = datetime(2026, 11, 24, tzinfo=UTC)
HOUR = timedelta(hours=1)
END = START + 30 * HOUR


def is_(of, value):
    return CompletionQuery(conditions=(Condition(of=of, comparison=Comparison.IS, value=value),))


#: What sums are kept of, and what they are not.
FILTERS = {
    "all": CompletionQuery(),
    "model": CompletionQuery(model="m1"),
    "user": CompletionQuery(user_id="u\x00"),
    "tag": CompletionQuery(tags=("t1",)),
    "provider": is_(Attribute.PROVIDER, "openai"),
    "end of a key": is_(Attribute.KEY, "cdef"),
    "status": CompletionQuery(status=Status.FAILED),
    "since": CompletionQuery(since=START + 90 * timedelta(minutes=1)),
}


def query(**different):
    asked = SeriesQuery(
        calls=CompletionQuery(), since=START - 20 * timedelta(minutes=1), until=END, step=3 * HOUR, by=SeriesBy.MODEL
    )
    return replace(asked, **different)


def call(number, **different):
    members = {
        "id": f"{number:03}",
        "started_at": START + timedelta(minutes=number * 17),
        "status": Status.FINISHED if number % 9 else Status.FAILED,
        "model": f"m{number % 3}",
        "response_model": "m1" if number % 7 == 0 else f"m{number % 3}-of-today",
        "duration_s": 0.5 + number / 10,
        "cost": COST if number % 2 else None,
        "context": Context(tags=(f"t{number % 2}",), user_id="u\x00" if number % 5 else None),
    }
    return record(**(members | different))


async def keep(store, *, until=END):
    keeper, made = SumsKeeper(store), 0
    while step := await keeper.step(until_us=to_micros(until)):
        made += step
    return made


@pytest.fixture
async def told(store, monkeypatch):
    """What the series is with the sums and, for comparison, without them."""

    async def both(**different):
        asked = query(**different)
        with_sums = await SqlSeries(store).series(asked)
        with monkeypatch.context() as patched:
            patched.setattr(sql_series, "kept_as", lambda calls: None)
            return with_sums, await SqlSeries(store).series(asked)

    return both


async def test_a_series_is_the_same_with_sums_and_without(store, told):
    await store.put([*(call(number) for number in range(100)), bare(id="x", started_at=START + 2 * HOUR)])
    await store.put([call(number, organization_id="other") for number in range(5)])

    assert await keep(store) == 33
    assert await keep(store) == 0

    for calls in FILTERS.values():
        for by in (None, *SeriesBy):
            with_sums, without = await told(calls=calls, by=by)
            assert with_sums == without
            assert with_sums.total.calls > 0
    assert (await told())[0].total.calls == 101


async def test_a_histogram_is_the_same_with_sums_and_without(store, monkeypatch):
    await store.put(
        [call(number, status=Status.FAILED if number % 9 == 0 else Status.FINISHED) for number in range(99)]
    )
    findings, times = SqlFindings(store), (START, START + 32 * HOUR)
    without = [await findings.histogram(calls, *times, count=16) for calls in FILTERS.values()]

    await keep(store)

    assert [await findings.histogram(calls, *times, count=16) for calls in FILTERS.values()] == without
    assert all(sum(bucket.calls for bucket in buckets) for buckets in without)


async def test_what_is_written_again_deleted_or_late_is_right_before_and_after_it_is_summed_up(store, told):
    await store.put([call(number) for number in range(100)])
    await keep(store)

    await store.put([call(7, status=Status.FAILED), call(100, started_at=START + HOUR)])
    await store.put([call(9, started_at=START + 20 * HOUR)])
    await store.delete([f"{number:03}" for number in range(20, 40)])

    before, expected = await told()
    assert before == expected
    assert (before.total.calls, before.total.failed) == (81, 11)
    assert await keep(store) > 0
    after, expected = await told()
    assert after == before == expected


async def test_hours_that_have_not_changed_are_read_from_their_sums_alone(store, told, monkeypatch):
    await store.put([call(number) for number in range(100)])
    await keep(store)
    expected = (await told())[0]
    read = []

    def watched(connection, asked, by, stretch, patience):
        read.append((stretch.since_us, stretch.until_us))
        return calls_by_step(connection, asked, by, stretch, patience)

    monkeypatch.setattr(sql_series, "calls_by_step", watched)

    assert await SqlSeries(store).series(query()) == expected
    assert set(read) == {(to_micros(query().since), to_micros(START))}


async def test_only_what_has_come_since_is_read_of_an_hour_that_is_running(store, told, monkeypatch):
    await store.put([call(number) for number in range(3)])
    await keep(store)
    await store.put([call(3, started_at=START + timedelta(minutes=5))])
    expected = (await told(until=START + HOUR))[0]
    read = []

    def watched(connection, asked, by, stretch, patience):
        sums = calls_by_step(connection, asked, by, stretch, patience)
        read.extend(measures.calls for line in sums.values() for measures in line.values())
        return sums

    monkeypatch.setattr(sql_series, "calls_by_step", watched)
    running = await SqlSeries(store).series(query(until=START + timedelta(minutes=58)))

    assert read == [1]
    assert running.total == expected.total
    assert await keep(store) == 2
    assert (await told(until=START + HOUR))[0] == expected


async def test_what_is_removed_while_it_is_summed_up_is_not_in_the_sums(store, told):
    await store.put([call(number) for number in range(8)])
    whole, keeper = store.writing, SumsKeeper(store)

    async def later(action):
        await store.delete(["003"])
        store.writing = whole
        return await whole(action)

    store.writing = later
    await keeper.step(until_us=to_micros(END))

    between, expected = await told()
    assert between == expected
    assert between.total.calls == 7
    assert await keep(store) > 0
    assert (await told())[0] == expected


async def test_a_day_is_summed_up_once_it_is_over_and_goes_with_any_of_its_hours(store, told):
    async def days():
        count = select(func.count()).select_from(day_sums)
        return await store.reading(lambda connection: connection.execute(count).scalar_one(), otherwise=0)

    await store.put([call(number) for number in range(100)])
    await keep(store, until=START + 24 * HOUR)
    assert await days() > 0

    await store.put([call(100, started_at=START + HOUR)])
    with_news, expected = await told(since=START, by=SeriesBy.USER)
    assert with_news == expected
    await SumsKeeper(store).step(until_us=to_micros(END))

    assert await days() == 0
    assert await keep(store) > 0
    assert (await told(since=START, by=SeriesBy.USER))[0] == expected


async def test_an_hour_of_which_all_calls_are_gone_leaves_no_sums(store):
    await store.put([call(0)])
    await keep(store)

    await store.delete(["000"])
    await keep(store)

    count = select(func.count()).select_from(hour_sums)
    assert await store.reading(lambda connection: connection.execute(count).scalar_one(), otherwise=None) == 0
    assert await keep(store) == 0
