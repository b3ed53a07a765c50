"""Sessions, users and traces that a filter lets through, on SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context, Cost, CostSource, Status, Usage
from llm_proxy.model.filter_words import GROUP_WORDS
from llm_proxy.model.filters import parse
from llm_proxy.model.query import Grouping
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, record
from tellings import said


def called(session, minutes, *tags, usd=None, **different):
    cost = None if usd is None else Cost(usd=Decimal(usd), source=CostSource.LIST)
    context = Context(session_id=session, user_id=f"of {session}", trace_id=session, tags=tags)
    return record(started_at=NOON + timedelta(minutes=minutes), context=context, cost=cost, **different)


async def found(store, written, by=Grouping.SESSION, **different):
    """The ids of every page, each after the other."""
    overviews, query = SqlOverviews(store), parse(written, now=NOON, words=GROUP_WORDS).group_query(by, now=NOON)
    query, ids = replace(query, **different), []
    while query is not None:
        page = await overviews.groups(query)
        ids += [group.id for group in page.groups]
        query = None if page.next is None else replace(query, after=page.next)
    return ids


@pytest.fixture
async def sessions(store):
    await store.put(
        [
            called("a", 0, "x", status=Status.FAILED, usd="0.5", usage=Usage(input_tokens=10, output_tokens=5)),
            called("a", 1, "y", model="other", response_model="other", usd="0.7"),
            called("b", 2, "x", "y", usage=Usage(total_tokens=900)),
            called("c", 3, usd="0.1", organization_id="other"),
            called("c", 4, usd="0.1"),
            called("b", 5, model="other", response_model="other"),
        ]
    )
    return store


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ("", ["b", "c", "a"]),
        ("tag:x", ["b", "a"]),
        ("tag:x tag:y", ["b"]),
        ("tag:x model:other", []),
        ("model:other", ["b", "a"]),
        ("status:failed", ["a"]),
        ("session:b", ["b"]),
        ('user:"of a"', ["a"]),
        ("-status:failed", ["b", "c"]),
        ("-tag:y", ["c"]),
        ("tag:x -model:nobody -status:failed", ["b"]),
        ("cost:>1", ["a"]),
        ("-cost:>1", ["c"]),
        ("calls:1", ["c"]),
        ("calls:>=2 cost:<9", ["a"]),
        ("tokens:>800", ["b"]),
        ("input:>20 calls:2", ["a"]),
        ("text:France -status:failed", ["b", "c"]),
        ("text:nothing-of-the-kind", []),
        ("latency:>1000s", []),
    ],
)
@pytest.mark.parametrize("by", [Grouping.SESSION, Grouping.TRACE])
async def test_one_call_is_what_the_words_say_none_what_is_turned_round_and_sums_are_of_all(sessions, written, ids, by):
    assert await found(sessions, written, by) == ids
    # However small the pages are, and also where there is time for the smallest part alone.
    assert await found(sessions, written, by, limit=1) == ids
    assert await found(sessions, written, by, limit=1, patience_s=0) == ids


async def test_the_place_is_that_of_the_newest_call_that_matches_and_numbers_are_of_all(sessions):
    query = parse("tag:x", now=NOON, words=GROUP_WORDS).group_query(Grouping.SESSION, now=NOON)

    first, second = (await SqlOverviews(sessions).groups(query)).groups

    assert (first.id, first.matched_at, first.last_at) == (
        "b",
        NOON + timedelta(minutes=2),
        NOON + timedelta(minutes=5),
    )
    assert (second.id, second.tally.calls, second.tally.cost_usd) == ("a", 2, Decimal("1.2"))


async def test_calls_beyond_the_times_do_not_count(sessions):
    until = (NOON + timedelta(minutes=1)).isoformat()

    assert await found(sessions, f"until:{until} cost:>0.6") == []
    assert await found(sessions, f"until:{until} -model:other") == ["a"]


@pytest.mark.parametrize(("written", "ids"), [("calls:0", ["told"]), ("calls:<2", ["told", "s"]), ("model:x", [])])
async def test_what_has_no_calls_is_found_by_that_alone(store, written, ids):
    told = said(Kind.SESSION, "told", startTimestamp=(NOON + timedelta(hours=1)).isoformat())
    await SqlTraces(store, completion_of).put("default", "r", [told])
    await store.put([called("s", 0)])

    assert await found(store, written) == ids
