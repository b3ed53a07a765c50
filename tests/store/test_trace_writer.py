"""Where everything belongs, whatever comes first; on SQLite and PostgreSQL."""

import itertools

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.errors import StoreRejected
from llm_proxy.model.entity import completion_id
from llm_proxy.model.trace import Key, Kind, Stage
from llm_proxy.store.sql_traces import SqlTraces
from tellings import generation, said


@pytest.fixture
def traces(store):
    return SqlTraces(store, completion_of)


def record_id(generation_id="g"):
    return completion_id("o", Key(repository="r", kind=Kind.GENERATION, id=generation_id))


async def where(store, generation_id="g"):
    context = (await store.get(record_id(generation_id), "o")).context
    return context.trace_id, context.session_id


PIECES = (
    said(Kind.TRACE, "t", stage=Stage.BEGUN, sessionId="s"),
    said(Kind.SPAN, "outer", stage=Stage.BEGUN, traceId="t"),
    said(Kind.SPAN, "inner", stage=Stage.BEGUN, spanId="outer"),
    generation("g", spanId="inner"),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
async def test_children_find_their_trace_and_session_whatever_comes_first(order, store, traces):
    for place in order:
        await traces.put("o", "r", [PIECES[place]])

    assert await where(store) == ("t", "s")
    told = await traces.trace("o", "t")
    assert {entity.key.id for entity in told} == {"t", "outer", "inner", "g"}
    assert {entity.trace_id for entity in told} == {"t"}


async def test_a_whole_tree_may_come_at_once(store, traces):
    await traces.put("o", "r", PIECES[::-1])

    assert await where(store) == ("t", "s")
    assert len(await traces.trace("o", "t")) == 4


async def test_a_trace_that_moves_to_another_session_takes_its_generations_along(store, traces):
    await traces.put("o", "r", PIECES)

    await traces.put("o", "r", [said(Kind.TRACE, "t", sessionId="another")])

    assert await where(store) == ("t", "another")


async def test_what_is_told_twice_is_there_once(store, traces):
    await traces.put("o", "r", PIECES)
    before = await traces.trace("o", "t"), await store.get(record_id(), "o")

    await traces.put("o", "r", PIECES)

    assert (await traces.trace("o", "t"), await store.get(record_id(), "o")) == before


async def test_one_id_may_be_a_trace_and_a_generation(store, traces):
    await traces.put("o", "r", [said(Kind.TRACE, "x", name="turn"), generation("x", traceId="x")])

    assert {(entity.key.kind, entity.name) for entity in await traces.trace("o", "x")} == {
        (Kind.TRACE, "turn"),
        (Kind.GENERATION, None),
    }


async def test_spans_within_each_other_end_nowhere_and_wait_for_ever(store, traces):
    await traces.put("o", "r", [said(Kind.SPAN, "a", spanId="b"), said(Kind.SPAN, "b", spanId="a")])

    await traces.put("o", "r", [generation("g", spanId="a")])

    assert await where(store) == (None, None)


async def test_any_text_can_be_an_id(store, traces):
    odd = ["", "\x00", "\ud800", "a'b", "ü\x1a"]

    await traces.put("o", "\x00", [generation(one, traceId="\ud800") for one in odd])

    told = await traces.trace("o", "\ud800")
    assert sorted(entity.key.id for entity in told) == sorted(odd)


async def test_what_is_nested_too_deep_is_refused_and_nothing_is_stored(store, traces):
    deep = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(StoreRejected):
        await traces.put("o", "r", [said(Kind.TRACE, "t"), generation("g", traceId="t", result=deep)])

    assert await traces.trace("o", "t") is None


async def test_a_thousand_entities_at_once_are_taken(store, traces):
    await traces.put("o", "r", [said(Kind.EVENT, f"e{number}", traceId="t") for number in range(1200)])

    assert len(await traces.trace("o", "t")) == 1200
