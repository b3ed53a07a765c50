"""Lists and traces, as Maxim's API documents them."""

from datetime import timedelta

import pytest

from keyring import added_key
from llm_proxy.model.account import Project
from llm_proxy.model.completion import Context
from llm_proxy.store.sql_accounts import SqlAccounts
from maxim_app import maxim_app
from records import NOON, record

SEARCH = "/v1/log-repositories/logs/search"


@pytest.fixture
async def app(tmp_path):
    async with maxim_app(tmp_path) as app:
        yield app


@pytest.fixture
async def listed(app):
    """Three traces, a minute apart, the second of which is in a session."""
    for number in range(3):
        data = {
            "startTimestamp": (NOON + timedelta(minutes=number)).isoformat(),
            "name": f"Turn {number}",
            "tags": {"number": str(number)},
            **({"sessionId": "s"} if number == 1 else {}),
        }
        body = {"repoId": "r", "entity": "trace", "action": "start", "entityId": f"t{number}", "data": data}
        assert (await app.client.post("/v1/logging", json=body)).status_code == 200
    await app.batch({"type": "session", "id": "s", "name": "chat", "feedback": {"score": 1}})
    return app


async def search(app, **conditions):
    return await app.client.post(SEARCH, json={"workspaceId": "w", "id": "r", "type": "trace", **conditions})


async def found(app, **conditions):
    answer = await search(app, **conditions)
    assert answer.status_code == 200, answer.text
    return [log["id"] for log in answer.json()["data"]["logs"]]


async def test_a_list_has_the_shape_that_is_documented(listed):
    answer = (await search(listed, limit=2, page=0)).json()

    assert answer["pagination"] == {"total": 3, "page": 0, "limit": 2}
    assert answer["data"]["uniqueTags"] == ["number"]
    newest = answer["data"]["logs"][0]
    assert (newest["id"], newest["name"], newest["tags"]) == ("t2", "Turn 2", {"number": "2"})
    assert newest["timestamp"] == newest["startTimestamp"] == "2026-11-24T12:02:00.123456Z"


async def test_traces_and_sessions_are_found_by_every_condition(listed):
    assert await found(listed, type="session") == ["s"]
    assert await found(listed, page=1, limit=2) == ["t0"]
    assert await found(listed, sorting={"columnName": "startTimestamp", "desc": False}, limit=1) == ["t0"]
    assert await found(listed, timestamp={"gte": (NOON + timedelta(minutes=1)).isoformat()}) == ["t2", "t1"]
    assert await found(listed, timestamp={"lte": "2026-11-24T12:00:30Z"}) == ["t0"]
    assert await found(listed, sessionId="s") == ["t1"]
    assert await found(listed, searchQuery="turn 2") == ["t2"]
    assert await found(listed, sessionId="", searchQuery="") == ["t2", "t1", "t0"]
    tagged = {"columnName": "tags", "operator": "equal", "value": [{"key": "number", "value": "1"}]}
    assert await found(listed, traceFilters={"combinator": "all", "filters": [tagged]}) == ["t1"]
    assert await found(listed, id="another") == []


@pytest.mark.parametrize(
    ("conditions", "path"),
    [
        ({"type": "span"}, "type"),
        ({"id": None}, "id"),
        ({"limit": 101}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"page": -1}, "page"),
        ({"timestamp": {"gte": "soon"}}, "timestamp.gte"),
        ({"sorting": {"columnName": "name"}}, "sorting.columnName"),
        ({"traceFilters": {"filters": [{"columnName": "cost", "operator": "equal", "value": []}]}}, None),
        ({"evaluatorFilters": {"filters": [{"evaluatorName": "bias"}]}}, "evaluatorFilters.filters"),
    ],
)
async def test_a_condition_that_cannot_be_applied_is_refused(app, conditions, path):
    answer = await search(app, **conditions)

    assert answer.status_code == 400
    told = answer.json()["error"]["details"][0]["path"]
    assert path is None or told == path


async def test_a_call_that_was_relayed_stands_in_the_trace_that_it_names(listed):
    call = record(context=Context(trace_id="t1"))
    await listed.store.put([call])
    await listed.batch({"type": "event", "id": "e", "name": "n", "traceId": "t1"})

    trace = await listed.trace("t1")

    assert (trace["name"], trace["sessionId"]) == ("Turn 1", "s")
    assert {node["id"] for node in trace["timeline"]} == {call.id, "e"}


async def test_a_trace_that_only_calls_name_is_one(app):
    call = record(context=Context(trace_id="only", session_id="s"))
    await app.store.put([call])

    trace = await app.trace("only")

    assert (trace["sessionId"], [node["id"] for node in trace["timeline"]]) == ("s", [call.id])


async def test_a_generation_stands_there_once_though_it_is_a_record_too(app):
    await app.batch(
        {
            "type": "generation",
            "id": "g",
            "traceId": "t",
            "model": "m",
            "provider": "openai",
            "messages": [],
            "modelParameters": {},
        }
    )

    assert [node["id"] for node in (await app.trace("t"))["timeline"]] == ["g"]


async def test_a_trace_has_to_be_named_and_to_be_there(app):
    assert (await app.client.get("/v1/log-repositories/logs/traces")).status_code == 400
    assert (await app.client.get("/v1/log-repositories/logs/traces?id=x")).status_code == 404


async def test_a_key_of_one_project_has_no_other_repository(app):
    key = await added_key(app.store, "acme", "read,write")
    accounts = SqlAccounts(app.store)
    project = await accounts.add_project(
        Project(id="p", organization_id=key.organization_id, name="mine", created_at=NOON)
    )
    bound = await added_key(app.store, "acme", "read,write", project_id=project.id)
    headers = {"x-maxim-api-key": bound.secret}
    trace = {"type": "trace", "id": "t"}
    await app.batch(trace, repository="r", **{"x-maxim-api-key": key.secret})

    assert (await app.batch(trace, repository="r", **headers)).status_code == 404
    assert (await app.client.get("/v1/log-repositories/logs/traces?id=t", headers=headers)).status_code == 404
    assert (await app.client.post(SEARCH, json={"id": "r", "type": "trace"}, headers=headers)).status_code == 404
    assert (await app.batch(trace, repository="p", **headers)).status_code == 200
    assert (await app.trace("t", **headers))["repoId"] == "p"
