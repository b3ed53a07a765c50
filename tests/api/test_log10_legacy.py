"""What log10-io and log10js use beside the specification."""

import json
import uuid
from datetime import datetime, timedelta

import pytest

from records import NOON, REQUEST, RESPONSE, record, tagged

ROW = {
    "organization_id": "default",
    "status": "started",
    "kind": "chat",
    "orig_module": "openai.api_resources.chat_completion",
    "orig_qualname": "ChatCompletion.create",
    "request": json.dumps(REQUEST),
    "session_id": "s",
    "tags": ["a"],
}
FRAMES = [{"file": "app.py", "line": "call()", "lineno": 7, "name": "main"}]
END = {
    **ROW,
    "status": "finished",
    "duration": 1250,
    "response": json.dumps(RESPONSE),
    "stacktrace": json.dumps(FRAMES),
}


async def data_of(client, path, **params):
    answer = await client.get(path, params={"organization_id": "default", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def test_a_call_is_logged_as_the_synchronous_clients_do(log10):
    new_id = (await log10.post("/api/completions", json={"organization_id": "default"})).json()["completionID"]
    answers = [await log10.post(f"/api/completions/{new_id}", json=row) for row in (ROW, END, END)]

    completion = await data_of(log10, f"/api/completions/{new_id}")

    assert uuid.UUID(new_id).version == 4
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert (completion["status"], completion["kind"], completion["duration"]) == ("finished", "chat", 1250)
    assert completion["request"]["messages"] == REQUEST["messages"]
    assert completion["response"]["choices"][0]["message"]["content"] == "Paris."
    assert completion["stacktrace"] == FRAMES
    assert [tag["name"] for tag in completion["tagResolved"]] == ["a"]
    stored = (await log10.get(f"/api/v1/completions/{new_id}")).json()
    assert (stored["duration"], stored["metadata"]["log10"]["orig_qualname"]) == (1.25, "ChatCompletion.create")


async def test_an_id_of_the_clients_own_and_rows_in_any_order_are_taken(log10):
    new_id = str(uuid.uuid4())

    for row in (END, ROW, END):
        await log10.post(f"/api/completions/{new_id}", json=row, headers={"x-log10-organization-id": "default"})

    assert (await data_of(log10, f"/api/completions/{new_id}"))["status"] == "finished"


async def test_a_row_may_leave_the_organisation_and_all_else_out(log10):
    await log10.post("/api/completions/1", json=ROW)

    await log10.post("/api/completions/1", json={"response": {"choices": []}, "status": "failed", "failure_kind": "X"})

    completion = await data_of(log10, "/api/completions/1")
    assert (completion["status"], completion["failure_kind"], completion["tags"]) == ("failed", "X", ["a"])


@pytest.mark.parametrize(
    ("row", "param", "message"),
    [
        ({"request": "{"}, "request", "request is no JSON"),
        ({"response": "NaN"}, "response", "response is no JSON"),
        ({"response": "[]"}, "response", "response must be an object"),
        ({"stacktrace": "{}"}, "stacktrace", "stacktrace must be a list of frames"),
        ({"request": "[" * 200 + "]" * 200}, "request", "nested deeper"),
        ({"duration": "1"}, "duration", "duration must be a number"),
        ({"kind": "x"}, "kind", "kind must be one of chat, prompt, completion"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused_and_named(log10, row, param, message):
    answer = await log10.post("/api/completions/1", json={**ROW, **row})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert message in answer.json()["error"]["message"]
    assert await data_of(log10, "/api/completions") == []


async def test_completions_are_listed_newest_first_a_page_at_a_time(log10, database):
    await database.put([record(id=str(number), started_at=NOON + timedelta(minutes=number)) for number in range(5)])

    async def listed(**page):
        return [one["id"] for one in await data_of(log10, "/api/completions", **page)]

    assert await listed() == ["4", "3", "2", "1", "0"]
    assert await listed(offset=0, limit=2) == ["4", "3"]
    assert await listed(offset=2, limit=2) == ["2", "1"]
    assert await listed(offset=4, limit=2) == ["0"]
    assert await listed(offset=5, limit=2) == []
    assert await listed(ids="1,none,3") == ["1", "3"]


async def test_completions_are_listed_by_tag_and_time(log10, database):
    await database.put(
        [tagged("a,b", "c", id="1", started_at=NOON), tagged("c", id="2", started_at=NOON + timedelta(days=1))]
    )
    (comma,) = await data_of(log10, "/api/tags/search", query="a,")
    (plain,) = await data_of(log10, "/api/tags/search", query="c")
    words = {"sort": "created_at", "desc": "true", "ids": "", "createdFilter": "{}", "tagFilter": ""}

    async def listed(**filters):
        return [one["id"] for one in await data_of(log10, "/api/completions", **{**words, **filters})]

    assert (comma["name"], plain["name"]) == ("a,b", "c")
    assert await listed(tagFilter=plain["id"]) == ["2", "1"]
    assert await listed(tagFilter=f"{comma['id']},{plain['id']}") == ["1"]
    span = {"from": "2026-11-25T08:00:00.000Z", "to": "2026-11-26T08:00:00.000Z"}
    assert await listed(createdFilter=json.dumps(span)) == ["2"]
    assert await listed(tagFilter=comma["id"], createdFilter=json.dumps(span)) == []


async def test_what_is_listed_is_what_its_commands_can_print(log10, database):
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    request = {"model": "m", "messages": [{"role": "user", "content": parts}]}
    await log10.post("/api/completions/chat", json={**ROW, "request": request})
    await log10.post(
        "/api/completions/text", json={"kind": "completion", "request": {"prompt": "Hi"}, "status": "started"}
    )

    listed = {one["id"]: one for one in await data_of(log10, "/api/completions")}

    assert listed["chat"]["request"]["messages"][0]["content"] == "look"
    assert listed["chat"]["response"] == {}
    assert (listed["text"]["kind"], listed["text"]["request"]["prompt"]) == ("completion", "Hi")
    for one in listed.values():
        assert datetime.fromisoformat(one["created_at"]).tzinfo is not None
    whole = await data_of(log10, "/api/completions/chat")
    assert whole["request"]["messages"][0]["content"] == parts


@pytest.mark.parametrize(
    ("words", "param"),
    [
        ({"offset": "x"}, "offset"),
        ({"limit": "-1"}, "limit"),
        ({"offset": "100001"}, "offset"),
        ({"createdFilter": "x"}, "createdFilter"),
        ({"createdFilter": "[]"}, "createdFilter"),
        ({"createdFilter": '{"from":"yesterday"}'}, "createdFilter"),
        ({"tagFilter": "!"}, "tagFilter"),
    ],
)
async def test_words_that_make_no_sense_are_refused_and_named(log10, words, param):
    answer = await log10.get("/api/completions", params=words)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


async def test_a_session_is_a_new_id(log10):
    answer = await log10.post("/api/sessions", json={"organization_id": "default"})

    assert uuid.UUID(answer.json()["sessionID"])


async def test_errors_are_json_wherever_it_asks(log10):
    for method, path in [("GET", "/api/completions/none"), ("POST", "/api/experimental/autoprompt/report")]:
        answer = await log10.request(method, path)

        assert (answer.status_code, "error" in answer.json()) == (404, True)


async def test_a_base_url_with_a_slash_at_its_end_makes_no_difference(log10):
    assert await data_of(log10, "http://localhost//api/completions") == []
