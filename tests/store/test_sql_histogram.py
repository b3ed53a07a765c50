"""When the patience ends, what is older is not counted; the rest is in test_sql_findings.py and test_sums_keeper.py."""

from datetime import timedelta

from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.sql_findings import SqlFindings
from records import NOON, record


async def test_parts_that_were_not_reached_have_no_number(store):
    await store.put([record(started_at=NOON + timedelta(minutes=minute)) for minute in range(10)])
    times = NOON, NOON + timedelta(minutes=10)

    buckets = await SqlFindings(store).histogram(CompletionQuery(), *times, count=5, patience_s=0.0)

    assert [bucket.calls for bucket in buckets] == [None] * 5
    whole = await SqlFindings(store).histogram(CompletionQuery(), *times, count=10, patience_s=0.0)
    assert [bucket.calls for bucket in whole] == [*[None] * 9, 1]
