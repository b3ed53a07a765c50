"""What hours are told with each write and deletion, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.store.rows import to_micros
from llm_proxy.store.sql_hours import HOUR_US, hours
from records import record

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("start", [datetime(2026, 11, 24, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)])
async def test_each_hour_knows_its_newest_change_and_how_often_something_went(store, start):
    async def told():
        since = to_micros(start)
        found = await store.reading(lambda it: hours(it, "default", since, since + 24 * HOUR_US), otherwise=None)
        return [((hour.at_us - since) // HOUR_US, hour.newest, hour.removals) for hour in found]

    await store.put([record(id="a", started_at=start + HOUR / 2), record(id="b", started_at=start + 3 * HOUR)])
    first = await told()
    await store.put([record(id="c", started_at=start + HOUR / 3), record(id="o", organization_id="other")])
    await store.put([record(id="b", started_at=start + 4 * HOUR)])
    await store.delete(["a", "c", "nobody"])

    assert [(hour, removals) for hour, _, removals in first] == [(0, 0), (3, 0)]
    second = await told()
    assert [(hour, removals) for hour, _, removals in second] == [(0, 1), (3, 1), (4, 0)]
    assert first[0][1] < second[0][1] < second[2][1]
    assert first[1][1] == second[1][1]
