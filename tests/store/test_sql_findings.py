"""What there is to filter by, and how calls lie in time, on both databases."""

from datetime import timedelta

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context, Status
from llm_proxy.model.query import Attribute, CompletionQuery
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, bare, record
from tellings import said


@pytest.fixture
def findings(store):
    return SqlFindings(store)


@pytest.mark.parametrize(
    ("of", "containing", "expected"),
    [
        (Attribute.MODEL, "", ["gpt-4o", "Claude"]),
        (Attribute.MODEL, "clau", ["Claude"]),
        (Attribute.TAG, "", ["b", "a"]),
        (Attribute.USER, "", ["u\x00"]),
        (Attribute.PROVIDER, "open", ["openai"]),
        (Attribute.HTTP, "", ["200"]),
        (Attribute.ERROR, "", []),
    ],
)
async def test_what_most_of_the_newest_calls_have_comes_first(store, findings, of, containing, expected):
    await store.put(
        [
            record(id="1", context=Context(tags=("b",), user_id="u\x00")),
            record(id="2", context=Context(tags=("a", "b"))),
            record(id="3", model="Claude", context=Context()),
            record(id="4", organization_id="other", model="theirs", context=Context(tags=("c",))),
            bare(id="5"),
        ]
    )

    assert await findings.values("default", of, containing) == expected


async def test_no_more_values_than_wanted_come(store, findings):
    await store.put([record(model=f"m{number}") for number in range(20)])

    assert len(await findings.values("default", Attribute.MODEL, limit=7)) == 7


async def test_a_histogram_counts_what_matches_in_each_part_of_the_time(store, findings):
    at = {"1": 0, "2": 59, "3": 60, "4": 179, "5": 180, "6": -1}
    await store.put(
        [
            record(
                id=name,
                started_at=NOON + timedelta(seconds=second),
                status=Status.FAILED if name == "3" else Status.FINISHED,
            )
            for name, second in at.items()
        ]
    )
    await store.put([record(id="7", model="other"), record(id="8", organization_id="other")])

    query = CompletionQuery(model="gpt-4o")
    buckets = await findings.histogram(query, NOON, NOON + timedelta(minutes=3), count=3)

    assert [(bucket.calls, bucket.failed) for bucket in buckets] == [(2, 0), (1, 1), (1, 0)]
    assert [bucket.since for bucket in buckets] == [NOON + timedelta(minutes=minute) for minute in range(3)]


async def test_the_oldest_call_says_since_when_there_are_any(store, findings):
    before = await findings.first_at("default")
    await store.put([record(), record(started_at=NOON - timedelta(days=1)), record(organization_id="x")])

    assert (before, await findings.first_at("default")) == (None, NOON - timedelta(days=1))


async def test_of_a_project_only_its_calls_count(store, findings):
    later = record(project_id="p", model="ours", context=Context(tags=("t",)), started_at=NOON + timedelta(seconds=1))
    await store.put([record(project_id="q", model="theirs", context=Context(tags=("u",))), later])

    assert await findings.values("default", Attribute.MODEL, project_id="p") == ["ours"]
    assert await findings.values("default", Attribute.TAG, project_id="p") == ["t"]
    assert await findings.first_at("default", project_id="p") == later.started_at


async def test_what_was_told_of_in_one_repository_is_found_without_that_of_others(store, findings):
    traces = SqlTraces(store, completion_of)
    for repository in ("p", "q"):
        await traces.put("default", repository, [said(Kind.SESSION, "s"), said(Kind.TRACE, "t", sessionId="s")])

    (session,) = await findings.told("default", Kind.SESSION, repository="p", its_id="s")
    (trace,) = await findings.told("default", Kind.TRACE, repository="q", session_id="s")

    assert (session.key.repository, trace.key.repository) == ("p", "q")
    assert len(await findings.told("default", Kind.SESSION, its_id="s")) == 2
