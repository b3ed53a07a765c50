"""Feedback and its tasks as the Log10 specification has them, and as log10-io asks for them."""

import pytest

from keyring import added_key
from records import record, tagged

TASKS, FEEDBACK = "/api/v1/feedback_task", "/api/v1/feedback"
SCHEMA = {
    "type": "object",
    "properties": {"stars": {"type": "integer", "minimum": 1, "maximum": 5}, "why": {"type": "string"}},
    "required": ["stars"],
}
TASK = {"name": "stars", "instruction": "How good?", "json_schema": SCHEMA, "completion_tags_selector": {}}


async def made_task(client, **different):
    answer = await client.post(TASKS, json={**TASK, **different})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def given(client, task, **members):
    body = {
        "task_id": task["id"],
        "json_values": {"stars": 5},
        "matched_completion_ids": [],
        "comment": "fine",
        **members,
    }
    return await client.post(FEEDBACK, json=body)


async def test_a_task_is_made_listed_and_shown(log10):
    task = await made_task(log10)

    assert {name: task[name] for name in TASK} == TASK
    assert (await log10.get(f"{TASKS}/{task['id']}")).json() == task
    assert (await log10.get(TASKS)).json() == [task]


@pytest.mark.parametrize(
    ("selector", "object_", "list_"),
    [
        (None, {}, []),
        ({}, {}, []),
        ([], {}, []),
        (["a", "b", "a"], {"tags": ["a", "b"]}, ["a", "b"]),
        ({"tags": ["a"]}, {"tags": ["a"]}, ["a"]),
        ({"0": "a", "1": "b"}, {"tags": ["a", "b"]}, ["a", "b"]),
    ],
)
async def test_a_selector_is_taken_in_every_form_and_given_in_that_of_the_client(log10, selector, object_, list_):
    task = await made_task(log10, completion_tags_selector=selector)

    (listed,) = (await log10.get(TASKS, params={"offset": 0, "limit": 10})).json()["data"]

    assert (task["completion_tags_selector"], listed["completion_tags_selector"]) == (object_, list_)


async def test_log10_io_gets_an_envelope_a_page_and_a_schema_that_names_what_is_required(log10):
    for name in ("a", "b", "c"):
        await made_task(log10, name=name, json_schema={"type": "object"}, instruction=None)

    page = (await log10.get(TASKS, params={"organization_id": "x", "offset": 1, "limit": 1})).json()

    assert [task["name"] for task in page["data"]] == ["b"]
    assert page["data"][0]["json_schema"] == {"required": [], "type": "object"}
    assert page["data"][0]["created_at"].endswith("+00:00")


@pytest.mark.parametrize(
    ("different", "param", "message"),
    [
        ({"name": None}, "name", "name is required and must be a string"),
        ({"instruction": 1}, "instruction", "instruction must be a string"),
        ({"json_schema": None}, "json_schema", "json_schema is required and must be an object"),
        ({"json_schema": "{}"}, "json_schema", "json_schema must be an object"),
        ({"json_schema": {"type": "nope"}}, "json_schema", "json_schema"),
        ({"json_schema": {"$ref": "http://127.0.0.1/x"}}, "json_schema", "may only refer to its own parts"),
        ({"completion_tags_selector": "a"}, "completion_tags_selector", "must be a list of strings"),
        ({"completion_tags_selector": {"a": 1}}, "completion_tags_selector[0]", "must be a string"),
    ],
)
async def test_a_task_that_makes_no_sense_is_refused_and_named(log10, different, param, message):
    answer = await log10.post(TASKS, json={**TASK, **different})

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert message in answer.json()["error"]["message"]
    assert (await log10.get(TASKS)).json() == []


async def test_feedback_by_ids_is_stored_and_shown(log10, database):
    task, one, two = await made_task(log10), record(), record()
    await database.put([one, two])

    answer = await given(log10, task, completion_ids=[two.id, one.id], completions_summary="two calls")

    feedback = answer.json()
    assert answer.status_code == 200
    assert (feedback["matched_completion_ids"], feedback["json_values"]) == ([two.id, one.id], {"stars": 5})
    assert (feedback["comment"], feedback["completions_summary"]) == ("fine", "two calls")
    assert (feedback["task_name"], feedback["organization_id"]) == ("stars", "default")
    assert (await log10.get(f"{FEEDBACK}/{feedback['id']}")).json() == feedback


async def test_feedback_by_tags_is_about_all_that_have_them(log10, database):
    task = await made_task(log10)
    both, one = tagged("a", "b"), tagged("a")
    await database.put([both, one, tagged("b")])

    # As log10-io sends it: without what the specification requires, and without a comment.
    body = {"task_id": task["id"], "json_values": {"stars": 1}, "completion_tags_selector": ["a"], "comment": None}
    answer = await log10.post(FEEDBACK, json={**body, "organization_id": "x"})
    narrow = await given(log10, task, completion_tags_selector=["b", "a"], allow_unmatched_feedback=False)

    assert set(answer.json()["matched_completion_ids"]) == {both.id, one.id}
    assert answer.json()["comment"] == ""
    assert narrow.json()["matched_completion_ids"] == [both.id]


async def test_feedback_that_matches_nothing_is_taken_only_if_that_is_allowed(log10):
    task = await made_task(log10)

    refused = await given(log10, task, completion_tags_selector=["none"])
    allowed = await given(log10, task, completion_tags_selector=["none"], allow_unmatched_feedback=True)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "no_match")
    assert (allowed.status_code, allowed.json()["matched_completion_ids"]) == (200, [])


async def test_feedback_that_matches_too_many_is_refused(log10, database):
    task = await made_task(log10)
    await database.put([tagged("a") for _ in range(3)])
    many = {"completion_tags_selector": ["a"], "allow_unmatched_feedback": True}

    refused = await given(log10, task, **many, max_matched_completions=2)
    just = await given(log10, task, **many, max_matched_completions=3)
    await database.put([tagged("a") for _ in range(98)])
    by_default = await given(log10, task, **many)

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "too_many_matches")
    assert len(just.json()["matched_completion_ids"]) == 3
    assert by_default.json()["error"]["message"].startswith(
        "completion_tags_selector matches more than 100 completions"
    )


async def test_values_are_checked_against_the_schema_of_their_task(log10, database):
    task, call = await made_task(log10), record()
    await database.put([call])

    answer = await given(log10, task, completion_ids=[call.id], json_values={"stars": 6, "why": 1})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (400, "invalid_values")
    assert error["param"] in ("json_values.stars", "json_values.why")
    assert "(by the schema of its task; and 1 more)" in error["message"]
    assert (await log10.get(FEEDBACK)).json()["total"] == 0


@pytest.mark.parametrize(
    ("members", "param", "message"),
    [
        ({}, "completion_tags_selector", "completion_tags_selector or completion_ids is required"),
        ({"completion_ids": ["1"], "completion_tags_selector": ["a"]}, "completion_ids", "do not go together"),
        ({"completion_ids": []}, "completion_ids", "must not be empty"),
        ({"completion_ids": ["1", "1"]}, "completion_ids", "must not name a completion twice"),
        ({"completion_ids": ["1", "none"]}, "completion_ids[1]", "there is no completion 'none'"),
        ({"completion_ids": [1]}, "completion_ids[0]", "must be a string"),
        ({"completion_ids": "1"}, "completion_ids", "must be a list of strings"),
        ({"completion_tags_selector": []}, "completion_tags_selector", "must have a tag"),
        ({"completion_tags_selector": [1]}, "completion_tags_selector[0]", "must be a string"),
        ({"completion_ids": ["1"], "task_id": "none"}, "task_id", "there is no feedback task 'none'"),
        ({"completion_ids": ["1"], "task_id": None}, "task_id", "task_id is required"),
        ({"completion_ids": ["1"], "json_values": None}, "json_values", "json_values is required"),
        ({"completion_ids": ["1"], "json_values": []}, "json_values", "json_values must be an object"),
        ({"completion_ids": ["1"], "comment": 1}, "comment", "comment must be a string"),
        (
            {"completion_tags_selector": ["a"], "max_matched_completions": 0},
            "max_matched_completions",
            "from 1 to 1000",
        ),
        (
            {"completion_tags_selector": ["a"], "allow_unmatched_feedback": "x"},
            "allow_unmatched_feedback",
            "true or false",
        ),
    ],
)
async def test_feedback_that_makes_no_sense_is_refused_and_named(log10, database, members, param, message):
    await database.put([record(id="1")])
    task = await made_task(log10)

    answer = await given(log10, task, **members)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)
    assert message in answer.json()["error"]["message"]
    assert (await log10.get(FEEDBACK)).json()["total"] == 0


async def test_a_list_takes_its_conditions_from_the_body_or_from_the_query(log10, database):
    tasks = [await made_task(log10, name=name) for name in ("t", "u")]
    await database.put([record(id="1"), record(id="2")])
    for task, completion_id in ((tasks[0], "1"), (tasks[1], "1"), (tasks[0], "2")):
        assert (await given(log10, task, completion_ids=[completion_id])).status_code == 200

    async def listed(**conditions):
        in_body = await log10.request("GET", FEEDBACK, json=conditions)
        in_query = await log10.get(FEEDBACK, params={**conditions, "organization_id": "x"})
        assert in_body.json() == in_query.json()
        return [(one["task_name"], one["matched_completion_ids"][0]) for one in in_body.json()["feedback"]]

    assert await listed() == [("t", "2"), ("u", "1"), ("t", "1")]
    assert await listed(task_id=tasks[0]["id"]) == [("t", "2"), ("t", "1")]
    assert await listed(completion_id="1") == [("u", "1"), ("t", "1")]
    assert await listed(offset=1, limit=1) == [("u", "1")]
    assert (await log10.get(FEEDBACK, params={"task_id": "", "offset": 2})).json()["total"] == 1


@pytest.mark.parametrize(
    "body", [{"offset": -1}, {"limit": "1"}, {"limit": 1.5}, {"task_id": 1}, {"completion_id": []}]
)
async def test_a_condition_of_the_wrong_type_is_refused_and_named(log10, body):
    answer = await log10.request("GET", FEEDBACK, json=body)

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, next(iter(body)))


@pytest.mark.parametrize(("path", "param"), [(f"{TASKS}/none", "taskId"), (f"{FEEDBACK}/none", "feedbackId")])
async def test_what_is_not_there_is_not_found(log10, path, param):
    answer = await log10.get(path)

    assert (answer.status_code, answer.json()["error"]["param"]) == (404, param)


async def test_ungraded_is_what_a_task_asks_for_until_somebody_has_given_it(log10, database):
    task, call = await made_task(log10, completion_tags_selector=["a"]), tagged("a")
    await database.put([call, tagged("b")])
    before = (await log10.get("/api/v1/completions/ungraded")).json()["completions"]

    await given(log10, task, completion_ids=[call.id])

    assert [one["id"] for one in before] == [call.id]
    assert (await log10.get("/api/v1/completions/ungraded")).json() == {"completions": []}


async def test_a_key_of_a_project_has_the_tasks_and_the_feedback_of_it(log10, database):
    keys = [await added_key(database, "acme", "read,write", project_id=project) for project in ("p", "q", None)]
    mine, theirs, whole = [key.bearer for key in keys]
    owner = keys[0].organization_id
    calls = [tagged("a", organization_id=owner, project_id=project) for project in ("p", "q")]
    await database.put(calls)

    async def sent(path, body, headers, status=200):
        answer = await log10.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json()

    tasks = [await sent(TASKS, {**TASK, "completion_tags_selector": ["a"]}, one) for one in (mine, theirs, whole)]
    ungraded = (await log10.get("/api/v1/completions/ungraded", headers=mine)).json()["completions"]
    answer = {"task_id": tasks[0]["id"], "json_values": {"stars": 5}, "completion_tags_selector": ["a"]}
    made = [await sent(FEEDBACK, answer, one) for one in (mine, whole)]
    other = await sent(FEEDBACK, {**answer, "task_id": tasks[1]["id"]}, theirs)
    by_id = {**answer, "completion_ids": [calls[1].id]}
    del by_id["completion_tags_selector"]
    for headers in (mine, whole):
        await sent(FEEDBACK, by_id, headers, status=400)
    await sent(FEEDBACK, {**answer, "task_id": tasks[1]["id"]}, mine, status=400)

    assert [one["id"] for one in ungraded] == [calls[0].id]
    assert [one["matched_completion_ids"] for one in made] == [[calls[0].id]] * 2
    assert [one["id"] for one in (await log10.get(TASKS, headers=mine)).json()] == [tasks[0]["id"]]
    assert len((await log10.get(TASKS, headers=whole)).json()) == 3
    found = (await log10.get(FEEDBACK, headers=mine)).json()
    assert ({one["id"] for one in found["data"]}, found["total"]) == ({one["id"] for one in made}, 2)
    for path in (f"{TASKS}/{tasks[1]['id']}", f"{TASKS}/{tasks[2]['id']}", f"{FEEDBACK}/{other['id']}"):
        assert (await log10.get(path, headers=mine)).status_code == 404
        assert (await log10.get(path, headers=whole)).status_code == 200
