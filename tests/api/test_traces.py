"""Traces over HTTP, from what was told of and recorded in a real store."""

from datetime import timedelta

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context
from llm_proxy.model.record import record_json
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, record
from tellings import END, START, generation, said

PATH = "/api/v1/traces"


@pytest.fixture
def traces(database):
    return SqlTraces(database, completion_of)


async def test_a_trace_is_a_tree_of_what_was_told_and_what_was_recorded(api, database, traces):
    await traces.put(
        "default",
        "r",
        [
            said(Kind.TRACE, "t", name="question", sessionId="s", startTimestamp=START, tags={"env": "prod"}),
            said(Kind.SPAN, "span", traceId="t", startTimestamp=START, endTimestamp=END, metadata={"a": 1}),
            generation("g", spanId="span"),
            said(Kind.EVENT, "e", spanId="span", startTimestamp=END, errors=[{"message": "late"}]),
        ],
    )
    proxied = record(id="p", started_at=NOON, duration_s=1.5, context=Context(trace_id="t", tags=("k:v",)))
    await database.put([proxied])

    trace = (await api.get(f"{PATH}/t")).json()

    assert (trace["id"], trace["session_id"], trace["more_calls"]) == ("t", "s", False)
    assert (trace["trace"]["name"], trace["trace"]["tags"]) == ("question", {"env": "prod"})
    span, call = trace["children"]
    assert (span["type"], span["id"], span["metadata"], span["completion"]) == ("span", "span", {"a": 1}, None)
    assert [(child["type"], child["id"]) for child in span["children"]] == [("generation", "g"), ("event", "e")]
    made = span["children"][0]
    assert (made["completion"]["model"], made["details"]["provider"]) == ("gpt-4o", "openai")
    assert [one["message"] for one in span["children"][1]["details"]["failures"]] == ["late"]
    assert (call["type"], call["id"], call["tags"]) == ("completion", "p", {"k": "v"})
    assert call["completion"] == record_json(proxied, with_bodies=False)
    assert call["ended_at"] == (NOON + timedelta(seconds=1.5)).isoformat()


async def test_traces_are_listed_by_their_calls(api, database, traces):
    await traces.put("default", "r", [generation("g", traceId="told")])
    await database.put([record(context=Context(trace_id="recorded"), started_at=NOON - timedelta(days=1))])

    answer = (await api.get(PATH)).json()

    assert [(trace["id"], trace["calls"]) for trace in answer["traces"]] == [("told", 1), ("recorded", 1)]


async def test_a_trace_without_calls_and_one_that_nobody_told_of_are_shown(api, database, traces):
    await traces.put("default", "r", [said(Kind.EVENT, "e", traceId="a/1")])
    await database.put([record(context=Context(trace_id="b"), duration_s=1e300)])

    told, recorded = (await api.get(f"{PATH}/a%2F1")).json(), (await api.get(f"{PATH}/b")).json()

    assert (told["trace"], [child["id"] for child in told["children"]]) == (None, ["e"])
    assert (recorded["trace"], recorded["children"][0]["ended_at"]) == (None, None)


async def test_a_trace_of_which_nothing_is_known_is_not_found(api):
    answer = await api.get(f"{PATH}/none")

    assert (answer.status_code, answer.json()["error"]["message"]) == (404, "there is no trace 'none'")
