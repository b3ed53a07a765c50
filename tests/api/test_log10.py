"""Completions and sessions as the Log10 specification has them."""

import asyncio
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyring import added_key
from llm_proxy.model.json_text import encode_json
from records import REQUEST, RESPONSE, json_values, record

CREATE = "/api/v1/completions"
FRAME = {"file": "app.py", "line": "call()", "lineno": 7, "name": "main"}
CALL = {
    "organization_id": "default",
    "kind": "chat",
    "status": "finished",
    "tags": ["a", "b"],
    "request": REQUEST,
    "response": RESPONSE,
    "stacktrace": [FRAME],
    "session_id": "s",
    "duration": 1.25,
}


async def created(client, **different):
    answer = await client.post(CREATE, json={**CALL, **different})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_completion_is_created_with_an_id_and_is_a_record_like_any_other(log10):
    completion = await created(log10)

    told = {name: completion[name] for name in CALL if name not in ("request", "response")}
    assert told == {name: CALL[name] for name in told}
    stored = (await log10.get(f"{CREATE}/{completion['id']}")).json()
    assert (stored["request"], stored["response"], stored["stacktrace"]) == (REQUEST, RESPONSE, [FRAME])
    assert (stored["model"], stored["preview"]) == ("gpt-4o", "What is the capital of France? → Paris.")
    assert [one["id"] for one in (await log10.get(CREATE, params={"tag": "a"})).json()["completions"]] == [
        completion["id"]
    ]


async def test_a_client_may_choose_the_id_and_creating_twice_is_creating_once(log10):
    first, second = await created(log10, id="mine"), await created(log10, id="mine")

    assert first == second
    assert len((await log10.get(CREATE)).json()["completions"]) == 1


async def test_an_answer_has_what_the_generated_clients_need(log10):
    completion = await created(log10, response={"choices": [{"message": {"content": "Hi"}}]})

    assert completion["request"].keys() >= {"logit_bias", "top_logprobs", "max_tokens", "seed", "stream_options"}
    assert completion["response"]["choices"] == [
        {"index": 0, "finish_reason": "stop", "logprobs": None, "message": {"role": "assistant", "content": "Hi"}}
    ]


async def test_updates_are_merged(log10):
    completion = await created(log10, status="started", response=None, duration=None)

    answer = await log10.post(
        f"{CREATE}/{completion['id']}",
        json={"organization_id": "default", "status": "finished", "response": RESPONSE, "duration": 2},
    )

    assert answer.status_code == 200
    assert answer.json() == {**completion, "status": "finished", "duration": 2.0, "response": answer.json()["response"]}


async def test_started_never_overwrites_finished(log10):
    completion = await created(log10)

    late = {"organization_id": "default", "status": "started", "tags": ["late"]}
    answer = await log10.post(f"{CREATE}/{completion['id']}", json=late)

    assert answer.json() == completion


async def test_an_update_of_an_id_that_is_not_known_makes_it(log10):
    new_id = str(uuid.uuid4())

    # The mock of log10-io, which misspells the stack trace.
    mock = {**CALL, "id": new_id, "stack_trace": [FRAME], "stacktrace": None, "duration": 0}
    answer = await log10.post(f"{CREATE}/{new_id}", json=mock)

    assert (answer.status_code, answer.json()["id"]) == (200, new_id)
    assert (answer.json()["stacktrace"], answer.json()["duration"]) == ([FRAME], 0.0)


async def test_many_updates_at_once_are_all_kept(log10):
    completion = await created(log10)
    pieces = [
        {"status": "finished"},
        {"tags": ["x"]},
        {"session_id": "t"},
        {"duration": 9},
        {"failure_kind": "k"},
        {"failure_reason": "r"},
    ]

    await asyncio.gather(
        *(
            log10.post(f"{CREATE}/{completion['id']}", json={"organization_id": "default", **piece})
            for piece in pieces * 3
        )
    )

    final = (await log10.post(f"{CREATE}/{completion['id']}", json={"organization_id": "default"})).json()
    assert {name: final[name] for piece in pieces for name in piece} == {
        name: value for piece in pieces for name, value in piece.items()
    }


async def test_a_call_of_the_proxy_takes_what_only_the_program_knows(log10, database):
    seen = record()
    await database.put([seen])

    answer = await log10.post(f"{CREATE}/{seen.id}", json={**CALL, "tags": ["mine"], "status": "failed"})

    assert answer.json()["status"] == "finished"
    assert answer.json()["tags"] == ["nightly", "ci", "mine"]
    assert (await database.get(seen.id)).bodies.stacktrace == [FRAME]


async def test_a_session_is_a_new_id_every_time(log10):
    answers = [await log10.post("/api/v1/sessions") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert len({uuid.UUID(answer.json()["session"]["id"]) for answer in answers}) == 2


async def test_what_no_task_asks_for_is_not_ungraded(log10):
    await created(log10)

    answer = await log10.get(f"{CREATE}/ungraded")

    assert (answer.status_code, answer.json()) == (200, {"completions": []})


async def test_ungraded_completions_come_whole_newest_first_a_page_at_a_time(log10):
    task = {"name": "n", "instruction": "", "json_schema": {}, "completion_tags_selector": ["a"]}
    await log10.post("/api/v1/feedback_task", json=task)
    completions = [await created(log10, id=str(number)) for number in range(3)]

    whole = (await log10.get(f"{CREATE}/ungraded")).json()["completions"]
    page = (await log10.get(f"{CREATE}/ungraded", params={"offset": 1, "limit": 1})).json()["completions"]

    assert whole == completions[::-1]
    assert page == [completions[1]]


@pytest.mark.parametrize(
    ("different", "param", "message"),
    [
        ({"organization_id": None}, "organization_id", "organization_id is required and must be a string"),
        ({"organization_id": 1}, "organization_id", "organization_id must be a string"),
        ({"kind": "embedding"}, "kind", "kind must be one of chat, prompt"),
        ({"status": "done"}, "status", "status must be one of started, finished, failed"),
        ({"status": 1}, "status", "status must be a string"),
        ({"tags": "a"}, "tags", "tags must be a list of strings"),
        ({"tags": ["a", 1]}, "tags[1]", "tags[1] must be a string"),
        ({"tags": ["a"] * 10_000}, "tags", "tags must not have more than 1000 members"),
        ({"tags": ["a" * 1001]}, "tags[0]", "tags[0] must not be longer than 1000"),
        ({"request": "{}"}, "request", "request must be an object"),
        ({"response": []}, "response", "response must be an object"),
        ({"stacktrace": {}}, "stacktrace", "stacktrace must be a list of frames"),
        ({"stacktrace": [1]}, "stacktrace[0]", "stacktrace[0] must be an object"),
        ({"stacktrace": [FRAME, {**FRAME, "lineno": "7"}]}, "stacktrace[1].lineno", "must be a number"),
        ({"stacktrace": [FRAME] * 1001}, "stacktrace", "stacktrace must not have more than 1000"),
        ({"duration": "1"}, "duration", "duration must be a number"),
        ({"duration": -1}, "duration", "duration must be a number from 0 on"),
        ({"duration": True}, "duration", "duration must be a number"),
        ({"session_id": 1}, "session_id", "session_id must be a string"),
        ({"failure_kind": {}}, "failure_kind", "failure_kind must be a string"),
        ({"id": 1}, "id", "id must be a string"),
        ({"id": ""}, "id", "id must be visible text"),
        ({"id": "a\nb"}, "id", "id must be visible text"),
        ({"id": "x" * 201}, "id", "id must not be longer than 200"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_named_and_nothing_is_stored(log10, different, param, message):
    answer = await log10.post(CREATE, json={**CALL, **different})

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert message in answer.json()["error"]["message"]
    assert (await log10.get(CREATE)).json()["completions"] == []


async def test_the_id_in_the_body_of_an_update_is_the_one_in_its_path(log10):
    answer = await log10.post(f"{CREATE}/1", json={**CALL, "id": "2"})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "id")


async def test_json_that_no_store_takes_is_the_callers_fault(log10):
    answer = await log10.post(CREATE, content=b'{"organization_id":"default","request":{"a":NaN}}')

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_json")


async def test_the_organisation_in_the_body_must_be_that_of_the_key(log10, database):
    key, other = await added_key(database, "acme", "write"), await added_key(database, "other", "write")

    answers = [
        await log10.post(CREATE, json={**CALL, "organization_id": organization}, headers={"x-log10-token": key.secret})
        for organization in (key.organization_id, "acme", other.organization_id, "default", "none")
    ]

    assert [answer.status_code for answer in answers] == [201, 201, 403, 403, 403]
    assert {answer.json()["organization_id"] for answer in answers[:2]} == {key.organization_id}


MEMBERS = [*CALL, "id", "completion_ids", "completion_tags_selector", "json_schema", "json_values", "name", "task_id"]
PATHS = [
    "/api/v1/completions",
    "/api/v1/completions/1",
    "/api/v1/feedback",
    "/api/v1/feedback_task",
    "/api/completions",
    "/api/completions/1",
    "/api/sessions",
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(path=st.sampled_from(PATHS), changed=st.dictionaries(st.sampled_from(MEMBERS), json_values, max_size=4))
async def test_whatever_is_sent_is_taken_or_the_callers_fault(log10, path, changed):
    body = encode_json({**CALL, "name": "n", "json_schema": {}, **changed})

    answer = await log10.post(path, content=body)

    assert answer.status_code < 500, answer.text
    assert "error" in answer.json() or answer.status_code in (200, 201)
