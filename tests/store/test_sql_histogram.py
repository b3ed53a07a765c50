"""When the patience ends, what is older is not counted; the rest is in test_sql_findings.py and test_sums_keeper.py."""

from datetime import timedelta

from llm_proxy.model.completion import Bodies
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


async def test_calls_with_a_text_are_counted_as_far_back_as_they_were_read(store):
    texts = ["a" if minute % 2 else "b" for minute in range(300)]
    calls = [
        record(id=f"{minute:03}", started_at=NOON + timedelta(minutes=minute), bodies=Bodies(request={"text": text}))
        for minute, text in enumerate(texts)
    ]
    await store.put(calls)
    times, findings = (NOON, NOON + timedelta(minutes=300)), SqlFindings(store)

    buckets = await findings.histogram(CompletionQuery(search="a"), *times, count=3)
    assert [(bucket.calls, bucket.failed) for bucket in buckets] == [(50, 0)] * 3
    # Fifty are read at once, and the part in which that ends is not counted to its end.
    cut = await findings.histogram(CompletionQuery(search="a"), *times, count=10, patience_s=0.0)
    assert [bucket.calls for bucket in cut] == [*[None] * 9, 15]
