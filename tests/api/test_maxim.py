"""What is told over HTTP, and what is read back of it."""

import json

import pytest

from keyring import added_key
from llm_proxy.model.query import CompletionQuery
from maxim_app import maxim_app
from tellings import ASKED, END, RESULT, START

GENERATION = {
    "type": "generation",
    "id": "g",
    "traceId": "t",
    "model": "gpt-4o",
    "provider": "openai",
    "messages": ASKED["messages"],
    "modelParameters": {"temperature": 0.5},
    "result": RESULT,
}


@pytest.fixture
async def app(tmp_path):
    async with maxim_app(tmp_path) as app:
        yield app


def line(entity, entity_id, action, data):
    return f"{entity}{{id={entity_id},action={action},data={json.dumps(data)}}}"


async def push(app, *lines, repository="r", **headers):
    body = "\n".join(lines).encode()
    return await app.client.post(f"/api/sdk/v3/log?id={repository}", content=body, headers=headers)


async def stored(app):
    return (await app.store.find(CompletionQuery())).completions


async def test_a_batch_is_taken_and_read_back(app):
    trace = {"type": "trace", "id": "t", "name": "turn", "sessionId": "s", "tags": {"k": "v"}, "input": "q"}

    answer = await app.batch(GENERATION, trace)

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    told = await app.trace("t")
    assert (told["name"], told["sessionId"], told["tags"], told["input"]) == ("turn", "s", {"k": "v"}, "q")
    assert told["timeline"][0]["completionResult"] == RESULT
    (completion,) = await stored(app)
    assert (completion.context.session_id, completion.context.trace_id) == ("s", "t")


async def test_a_batch_with_a_fault_is_refused_as_a_whole_and_told_of_each(app):
    answer = await app.batch(GENERATION, {"type": "trace", "id": 5}, {"type": "thing", "id": "x"})

    assert answer.status_code == 400
    error = answer.json()["error"]
    assert [detail["path"] for detail in error["details"]] == ["logs[1].id", "logs[2].type"]
    assert error["message"] == "logs[1].id must be a string (and 1 more)"
    assert await stored(app) == ()
    assert (await app.client.get("/v1/log-repositories/logs/traces?id=t")).status_code == 404


@pytest.mark.parametrize(
    "body", [b" ", b"{", b'{"repoId":"r","logs":[NaN]}', b'"\xff"', b"[" * 5000 + b"]" * 5000, b"null"]
)
async def test_what_is_no_json_is_refused(app, body):
    answer = await app.client.post("/v1/logs/batch", content=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_no_body_tells_nothing(app):
    assert (await app.client.post("/v1/logs/batch")).json() == {"success": True}


async def test_a_body_that_is_too_long_is_refused(app):
    answer = await app.client.post("/v1/logs/batch", content=b" " * (33 * 2**20))

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")


async def test_ten_thousand_tags_are_refused_by_their_path(app):
    answer = await app.batch({"type": "trace", "id": "t", "tags": {str(number): "" for number in range(10_000)}})

    assert answer.json()["error"]["details"][0]["path"] == "logs[0].tags"


async def test_lines_are_taken_and_read_back(app):
    answer = await push(
        app,
        line("trace", "t", "create", {"name": "turn", "sessionId": "s", "startTimestamp": START}),
        line("trace", "t", "add-generation", {"id": "g", **ASKED}),
        "",
        line("generation", "g", "result", {"result": RESULT}),
        line("trace", "t", "end", {"endTimestamp": END}),
    )

    assert (answer.status_code, answer.json()) == (200, {"success": True})
    told = await app.trace("t")
    assert (told["name"], told["duration"]) == ("turn", 2000)
    assert told["timeline"][0]["completionResult"] == RESULT


async def test_a_line_that_is_wrong_is_named_by_its_number_and_none_is_taken(app):
    answer = await push(
        app,
        line("trace", "t", "create", {}),
        "hello",
        line("trace", "t", "update", {"tags": []}),
        "trace{id=t,action=update,data={NaN}}",
        line("thing", "t", "update", {}),
    )

    assert answer.status_code == 400
    assert [detail["path"] for detail in answer.json()["error"]["details"]] == [
        "line 2",
        "line 3: data.tags",
        "line 4: data",
        "line 5: entity",
    ]
    assert (await app.client.get("/v1/log-repositories/logs/traces?id=t")).status_code == 404


async def test_an_empty_log_is_taken(app):
    assert (await push(app, "")).json() == {"success": True}


async def test_a_repository_is_there_for_whoever_asks(app):
    answer = await app.client.get("/api/sdk/v3/log-repositories?loggerId=r")

    assert answer.json() == {"data": {"id": "r", "name": "r"}}


@pytest.mark.parametrize("path", ["/api/sdk/v3/log-repositories", "/api/sdk/v3/log-repositories?loggerId="])
async def test_a_repository_has_to_be_named(app, path):
    assert (await app.client.get(path)).status_code == 400
    assert (await app.client.post("/api/sdk/v3/log", content=b"")).status_code == 400


async def test_evaluators_can_be_attached(app):
    body = {"repoId": "r", "evaluatorNames": ["bias"]}

    answer = await app.client.post("/api/sdk/v1/log-repositories/check-attach-evaluators", json=body)

    assert answer.json() == {"data": {"canAttach": True, "evaluatorsToIgnore": []}}


@pytest.mark.parametrize(
    ("action", "data", "member", "value"),
    [
        ("start", {"name": "turn"}, "name", "turn"),
        ("addInput", {"input": "q"}, "input", "q"),
        ("add-output", {"output": "a"}, "output", "a"),
        ("add-tag", {"key": "k", "value": "v"}, "tags", {"k": "v"}),
        ("add-tag", {"k": "v"}, "tags", {"k": "v"}),
        ("add_metadata", {"m": 1}, "metadata", {"m": 1}),
        ("addMetadata", {"metadata": {"m": 1}}, "metadata", {"m": 1}),
        ("add-feedback", {"score": 1}, "feedback", {"score": 1}),
        ("end", {"endTimestamp": END}, "endTimestamp", "2026-11-24T12:00:02.000000Z"),
    ],
)
async def test_one_thing_may_be_pushed_at_a_time(app, action, data, member, value):
    body = {"repoId": "r", "entity": "trace", "action": action, "entityId": "t", "data": data}

    answer = await app.client.post("/v1/logging", json=body)

    assert answer.json() == {"success": True, "entity": "trace", "action": action, "entityId": "t"}
    assert (await app.trace("t"))[member] == value


async def test_a_child_may_be_pushed_by_its_parent(app):
    for kind in ("Generation", "Span", "Retrieval", "ToolCall", "Event"):
        body = {"repoId": "r", "entity": "trace", "action": f"add{kind}", "entityId": "t", "data": {"id": kind}}
        assert (await app.client.post("/v1/logging", json=body)).status_code == 200

    kinds = {node["type"] for node in (await app.trace("t"))["timeline"]}
    assert kinds == {"generation", "span", "retrieval", "toolCall", "event"}


@pytest.mark.parametrize(
    ("change", "path"),
    [({"entity": "thing"}, "entity"), ({"data": {"tags": 1}}, "data.tags"), ({"entityId": 1}, "entityId")],
)
async def test_one_thing_that_is_wrong_is_named(app, change, path):
    body = {"repoId": "r", "entity": "trace", "action": "start", "entityId": "t", "data": {}, **change}

    answer = await app.client.post("/v1/logging", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["details"][0]["path"] == path


async def test_without_a_key_there_is_nothing_to_be_told_once_there_are_keys(app):
    await added_key(app.store, "acme", "write")

    answer = await app.batch(GENERATION)

    assert answer.status_code == 401
    assert answer.json()["error"]["message"]


async def test_a_key_for_reading_does_not_write_and_the_other_way_round(app):
    reader, writer = await added_key(app.store, "acme", "read"), await added_key(app.store, "acme", "write")

    assert (await app.batch(GENERATION, **{"x-maxim-api-key": reader.secret})).status_code == 403
    assert (await app.batch(GENERATION, **{"x-maxim-api-key": writer.secret})).status_code == 200
    answer = await app.client.get("/v1/log-repositories/logs/traces?id=t", headers={"x-maxim-api-key": writer.secret})
    assert answer.status_code == 403


async def test_what_another_organisation_was_told_is_unknown(app):
    ours, theirs = (
        await added_key(app.store, "acme", "read,write"),
        await added_key(app.store, "umbrella", "read,write"),
    )
    await app.batch(GENERATION, **{"x-maxim-api-key": ours.secret})

    async def read(key, trace_id):
        params, headers = {"id": trace_id}, {"x-maxim-api-key": key.secret}
        answer = await app.client.get("/v1/log-repositories/logs/traces", params=params, headers=headers)
        return answer.status_code, answer.text.replace(f"'{trace_id}'", "…")

    assert (await read(ours, "t"))[0] == 200
    assert await read(theirs, "t") == await read(theirs, "unknown")
    await app.batch({**GENERATION, "name": "theirs"}, **{"x-maxim-api-key": theirs.secret})
    assert "name" not in (await app.trace("t", **{"x-maxim-api-key": ours.secret}))["timeline"][0]
