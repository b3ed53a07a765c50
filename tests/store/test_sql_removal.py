"""Records go with what was told of them, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import Kind
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.sql_removal import SqlRemoval
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, record
from tellings import generation, said

ORGANIZATIONS = ["o", "default"]


@pytest.fixture
def traces(store):
    return SqlTraces(store, completion_of)


@pytest.fixture
def removal(store):
    return SqlRemoval(store)


async def left(store, traces, owner):
    """Sessions of the calls that are there, and what is there of two traces."""
    calls = (await store.find(CompletionQuery(organization_id=owner))).completions
    told = [entity for trace in ("t1", "t2") for entity in await traces.trace(owner, trace) or ()]
    return sorted(call.context.session_id for call in calls), sorted(entity.key.id for entity in told)


@pytest.fixture(params=ORGANIZATIONS)
async def owner(request, store, traces):
    """An organisation that has two sessions, each of a trace with a generation and an event, and a proxied call."""
    for owner in ("other", request.param):
        for number in (1, 2):
            parts = {"traceId": f"t{number}", "startTimestamp": (NOON + timedelta(hours=number)).isoformat()}
            times = {"startTimestamp": parts["startTimestamp"]}
            await traces.put(
                owner,
                "r",
                [
                    said(Kind.SESSION, f"s{number}", **times),
                    said(Kind.TRACE, f"t{number}", sessionId=f"s{number}", **times),
                    generation(f"g{number}", **parts),
                    said(Kind.EVENT, f"e{number}", **parts),
                ],
            )
            context, when = Context(session_id=f"s{number}", user_id="u"), NOON + timedelta(hours=number)
            call_id = f"{owner} {number}"
            await store.put([record(id=call_id, organization_id=owner, context=context, started_at=when)])
    return request.param


ALL = ["s1", "s1", "s2", "s2"], ["e1", "e2", "g1", "g2", "t1", "t2"]


async def test_a_session_goes_with_its_traces_and_everything_in_them(store, traces, removal, owner):
    receipt = await removal.remove(CompletionQuery(organization_id=owner, session_id="s1"))

    assert (receipt.rows, receipt.entities) == (2, 4)
    assert await left(store, traces, owner) == (["s2", "s2"], ["e2", "g2", "t2"])
    assert await left(store, traces, "other") == ALL


async def test_what_is_older_than_a_time_goes(store, traces, removal, owner):
    until = NOON + timedelta(hours=1.5)

    receipt = await removal.remove(CompletionQuery(organization_id=owner, until=until))

    assert (receipt.rows, receipt.entities) == (2, 4)
    assert await left(store, traces, owner) == (["s2", "s2"], ["e2", "g2", "t2"])
    assert await left(store, traces, "other") == ALL


async def test_other_conditions_take_only_what_is_of_a_call(store, traces, removal, owner):
    receipt = await removal.remove(CompletionQuery(organization_id=owner, model="gpt-4o", session_id="s1"))

    assert (receipt.rows, receipt.entities) == (2, 1)
    assert await left(store, traces, owner) == (["s2", "s2"], ["e1", "e2", "g2", "t1", "t2"])
    user = await removal.remove(CompletionQuery(organization_id=owner, user_id="u"))
    assert (user.rows, user.entities) == (1, 0)
    assert await left(store, traces, "other") == ALL


async def test_one_record_goes_with_what_was_told_of_it_and_does_not_come_back(store, traces, removal, owner):
    calls = (await store.find(CompletionQuery(organization_id=owner, trace_id="t1"))).completions

    receipt = await removal.remove_one(calls[0].id, owner)

    assert (receipt.rows, receipt.entities) == (1, 1)
    await traces.put(owner, "r", [said(Kind.TRACE, "t1", sessionId="s3")])
    assert await left(store, traces, owner) == (["s1", "s2", "s2"], ["e1", "e2", "g2", "t1", "t2"])
    assert await removal.remove_one(calls[0].id, owner) == Receipt()
    assert await left(store, traces, "other") == ALL
