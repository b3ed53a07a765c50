"""What each condition lets through, on both databases, and that a call at hand meets just the same ones."""

from decimal import Decimal

import pytest

from llm_proxy.model.completion import Context, Cost, Status, Usage
from llm_proxy.model.conditions import holds
from llm_proxy.model.filters import parse
from llm_proxy.model.query import CompletionQuery
from records import NOON, bare, record

CALLS = [
    record(
        id="1",
        model="m1",
        response_model="m1-2024",
        provider="openai",
        key_fingerprint="5f1c…cdef",
        duration_s=2.5,
        ttft_s=0.5,
        usage=Usage(input_tokens=900, output_tokens=200),
        cost=Cost(usd=Decimal("0.010000")),
        context=Context(tags=("a", "b"), user_id="u", session_id="s", trace_id="t"),
    ),
    record(
        id="2",
        model="m2",
        response_model=None,
        provider="anthropic",
        upstream="other",
        key_fingerprint="77aa…CDEF",
        status=Status.FAILED,
        failure_kind="overloaded",
        http_status=529,
        duration_s=0.5,
        ttft_s=None,
        usage=Usage(input_tokens=1, output_tokens=2, total_tokens=5000),
        cost=Cost(usd=Decimal("1.25")),
        context=Context(tags=("b",)),
    ),
    bare(id="3"),
]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("-model:m1", "23"),
        ("-model:m1-2024", "23"),
        ("-model:m1 -model:m2", "3"),
        ("-tag:a", "23"),
        ("-tag:a -tag:b", "3"),
        ("tag:b -tag:a", "2"),
        ("-status:failed", "13"),
        ("-status:running", "12"),
        ("-user:u", "23"),
        ("-session:s", "23"),
        ("-trace:t", "23"),
        ("provider:openai", "1"),
        ("-provider:openai", "23"),
        ("upstream:other", "2"),
        ("key:cdef", "1"),
        ("key:5f1c…cdef", "1"),
        ("key:cde", ""),
        ("key:%", ""),
        ("-key:cdef", "23"),
        ("endpoint:chat.completions", "123"),
        ("-endpoint:chat.completions", ""),
        ("ending:complete", "12"),
        ("error:overloaded", "2"),
        ("-error:overloaded", "13"),
        ("http:529", "2"),
        ("-http:200", "23"),
        ("http:>=500", "2"),
        ("-http:>=500", "1"),
        ("latency:>2s", "1"),
        ("latency:<=500ms", "2"),
        ("latency:>100ms latency:<1s", "2"),
        ("ttft:>0s", "1"),
        ("tokens:>1000", "12"),
        ("tokens:<1101", "1"),
        ("input:<10", "2"),
        ("output:200", "1"),
        ("cost:>0.01", "2"),
        ("cost:>=0.01", "12"),
        ("cost:<10", "12"),
    ],
)
async def test_a_condition_lets_the_same_calls_through_in_the_store_and_at_hand(store, written, expected):
    await store.put(CALLS)
    query = parse(written, now=NOON).query(now=NOON, after=None, limit=None)

    found = {completion.id for completion in (await store.find(query)).completions}

    assert found == set(expected)
    listed = (await store.find(CompletionQuery(tags=query.tags))).completions
    assert {call.id for call in listed if all(holds(one, call) for one in query.conditions)} == found
