"""What is told and read back, on SQLite and PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.entity import completion_id
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import EntityQuery, Key, Kind, Upload
from llm_proxy.store.sql_traces import SqlTraces
from tellings import generation, said

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
TRACES = EntityQuery(organization_id="o", repository="r", kind=Kind.TRACE)


@pytest.fixture
def traces(store):
    return SqlTraces(store, completion_of)


def at(minutes):
    return (NOON + timedelta(minutes=minutes)).isoformat()


@pytest.fixture
async def listed(traces):
    """Five traces, a minute apart."""
    tags = [{"env": "prod"}, {"env": "test"}, {"env": "prod", "team": "red"}, {}, {"team": "red"}]
    pieces = [
        said(
            Kind.TRACE,
            f"t{number}",
            startTimestamp=at(number),
            tags=tags[number],
            input=f"Question {number}",
            sessionId="s",
        )
        for number in range(5)
    ]
    await traces.put("o", "r", [*pieces, said(Kind.SESSION, "s"), generation("g", traceId="t1")])
    return traces


async def ids(traces, **conditions):
    page = await traces.find(replace(TRACES, **conditions))
    return [entity.key.id for entity in page.entities], page.total


async def test_traces_are_listed_newest_first(listed):
    assert await ids(listed) == (["t4", "t3", "t2", "t1", "t0"], 5)
    assert await ids(listed, oldest_first=True, offset=1, limit=2) == (["t1", "t2"], 5)
    assert await ids(listed, kind=Kind.SESSION) == (["s"], 1)


async def test_they_are_found_by_time_session_tags_and_text(listed):
    assert await ids(listed, since=NOON + timedelta(minutes=3)) == (["t4", "t3"], 2)
    assert await ids(listed, until=NOON) == (["t0"], 1)
    assert await ids(listed, session_id="s", limit=1) == (["t4"], 5)
    assert await ids(listed, session_id="other") == ([], 0)
    assert await ids(listed, search="QUESTION 3") == (["t3"], 1)
    assert await ids(listed, tags=((("env", "prod"),), (("team", "red"),))) == (["t2"], 1)
    assert await ids(listed, tags=((("env", "test"),), (("team", "red"),)), all_tags=False) == (["t4", "t2", "t1"], 3)
    assert await ids(listed, tags=((("env", "test"), ("env", "prod")),), offset=1, limit=1) == (["t1"], 3)


async def test_a_search_that_has_no_time_left_says_what_it_has_seen(listed, store):
    hurried = SqlTraces(store, completion_of, search_s=-1)

    assert await ids(hurried, search="question") == ([], 0)


async def test_a_generation_is_a_completion_of_the_store(listed, store):
    (found,) = (await store.find(CompletionQuery(organization_id="o", session_id="s", with_bodies=True))).completions

    assert found.id == completion_id("o", Key(repository="r", kind=Kind.GENERATION, id="g"))
    assert (found.context.trace_id, found.model) == ("t1", "gpt-4o")
    assert found.bodies.response["choices"][0]["message"]["content"] == "Paris."
    searched = await store.find(CompletionQuery(organization_id="o", search="capital of france"))
    assert [one.id for one in searched.completions] == [found.id]


async def test_two_organisations_that_use_the_same_ids_do_not_see_each_other(listed, traces, store):
    await traces.put("p", "r", [said(Kind.TRACE, "t1", name="theirs"), generation("g", traceId="t1", name="theirs")])

    ours, theirs = await traces.trace("o", "t1"), await traces.trace("p", "t1")
    assert {entity.name for entity in ours} == {None}
    assert {entity.name for entity in theirs} == {"theirs"}
    assert await traces.trace("q", "t1") is None
    assert await ids(traces, organization_id="p") == (["t1"], 1)
    of_each = [(await store.find(CompletionQuery(organization_id=one))).completions for one in ("o", "p")]
    assert len({completion.id for found in of_each for completion in found}) == 2


async def test_one_trace_id_in_two_repositories_is_two_traces(traces):
    await traces.put("o", "r", [said(Kind.TRACE, "t", name="old", startTimestamp=at(0))])
    await traces.put("o", "q", [said(Kind.TRACE, "t", name="new", startTimestamp=at(1))])

    assert [entity.name for entity in await traces.trace("o", "t")] == ["new"]
    assert [entity.name for entity in await traces.trace("o", "t", repository="r")] == ["old"]
    assert await traces.trace("o", "t", repository="other") is None


async def test_an_upload_is_found_by_its_key_by_its_own_organisation_only(traces):
    upload = Upload(key="r/a", hash="00ff", mime_type="text/plain", size_bytes=3, created_at=NOON)

    await traces.add_upload("o", upload)
    await traces.add_upload("o", replace(upload, size_bytes=4))

    assert await traces.upload("o", "r/a") == replace(upload, size_bytes=4)
    assert await traces.upload("p", "r/a") is None
    assert await traces.upload("o", "r/b") is None


async def test_nothing_told_is_nothing_done(traces):
    await traces.put("o", "r", [])

    assert await traces.trace("o", "t") is None


async def test_what_two_tell_of_one_thing_at_once_is_all_kept(open_store):
    stores = [open_store(), open_store()]
    tellers = [SqlTraces(store, completion_of) for store in stores]
    await stores[0].migrate()

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            piece = said(Kind.TRACE, "t", tags={str(number): "x"})
            group.create_task(tellers[number % 2].put("o", "r", [piece, generation(f"g{number}", traceId="t")]))

    told = await tellers[0].trace("o", "t")
    (trace,) = (entity for entity in told if entity.key.kind is Kind.TRACE)
    assert set(trace.tags) == {str(number) for number in range(20)}
    assert len(told) == 21
    for store in stores:
        await store.close()
