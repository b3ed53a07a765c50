from llm_proxy.api.log10_json import (
    completion_json,
    feedback_json,
    legacy_completion_json,
    legacy_task_json,
    task_json,
)
from llm_proxy.model.completion import Bodies
from llm_proxy.model.feedback import Feedback, FeedbackTask
from records import NOON, bare, record

TASK = FeedbackTask(id="t", organization_id="o", created_at=NOON, name="n", json_schema={}, tags=("a",))
FEEDBACK = Feedback(id="f", organization_id="o", created_at=NOON, task_id="t", json_values={})


def test_a_completion_has_no_member_that_is_not_known():
    assert completion_json(bare(id="1")) == {"id": "1", "organization_id": "default", "status": "started", "tags": []}


def test_a_completion_of_a_kind_that_log10_does_not_have_has_none():
    assert "kind" not in completion_json(record(kind="embedding"))


def test_a_body_that_is_no_chat_is_left_out():
    completion = record(bodies=Bodies(request="text", response={"error": {}}, stacktrace="none"))

    assert not completion_json(completion).keys() & {"request", "response", "stacktrace"}


def test_the_older_wire_has_objects_where_others_have_nothing():
    answer = legacy_completion_json(bare(id="1"), {})

    assert (answer["kind"], answer["request"], answer["response"], answer["tagResolved"]) == ("completion", {}, {}, [])
    assert answer["created_at"] == "2026-11-24T12:00:00.123456+00:00"


def test_times_are_milliseconds_and_text():
    for answer in (task_json(TASK), feedback_json(FEEDBACK, None)):
        assert answer["created_at_ms"] == 1795521600123
        assert answer["created_at"] == "2026-11-24T12:00:00.123456+00:00"


def test_a_selector_is_an_object_or_a_list_as_the_client_reads_it():
    assert task_json(TASK)["completion_tags_selector"] == {"tags": ["a"]}
    assert legacy_task_json(TASK)["completion_tags_selector"] == ["a"]
    assert legacy_task_json(TASK)["json_schema"] == {"required": []}


def test_what_the_specification_has_as_text_is_never_null():
    answer = feedback_json(FEEDBACK, None)

    assert (answer["comment"], answer["task_name"], "completions_summary" in answer) == ("", "", False)
