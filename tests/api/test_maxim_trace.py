from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from llm_proxy.api.maxim_trace import MAX_DEPTH, call_json, entity_json, trace_json, unique_tags
from llm_proxy.model.completion import Context, Status
from llm_proxy.model.trace import (
    Attachment,
    Entity,
    Evaluation,
    Failure,
    Feedback,
    Key,
    Kind,
)
from records import record

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def entity(kind, entity_id, minutes=0, **members):
    key = Key(repository="r", kind=kind, id=entity_id)
    return Entity(key=key, started_at=NOON + timedelta(minutes=minutes), **members)


def ids(node):
    return [one["id"] for one in node.get("timeline", [])]


def test_what_is_in_a_trace_stands_in_its_spans_in_the_order_of_time():
    told = [
        entity(Kind.TRACE, "t", name="turn"),
        entity(Kind.GENERATION, "g2", 4, span_id="s"),
        entity(Kind.GENERATION, "g1", 3, span_id="s"),
        entity(Kind.SPAN, "inner", 5, span_id="s"),
        entity(Kind.EVENT, "e", 6, span_id="inner"),
        entity(Kind.SPAN, "s", 2),
        entity(Kind.RETRIEVAL, "r", 1),
    ]

    trace = trace_json("t", told, [])

    assert (trace["name"], ids(trace)) == ("turn", ["r", "s"])
    span = trace["timeline"][1]
    assert ids(span) == ["g1", "g2", "inner"]
    assert ids(span["timeline"][2]) == ["e"]


def test_a_recorded_call_is_a_generation_of_the_trace_that_it_names():
    call = record(context=Context(trace_id="t", session_id="s", tags=("env:prod", "nightly")))

    trace = trace_json("t", [], [call])

    (generation,) = trace["timeline"]
    assert (trace["id"], trace["type"], trace["sessionId"]) == ("t", "trace", "s")
    assert trace["startTimestamp"] == generation["startTimestamp"]
    assert (generation["id"], generation["type"], generation["model"]) == (call.id, "generation", "gpt-4o")
    assert generation["messages"][0]["content"] == "What is the capital of France?"
    assert generation["completionResult"]["choices"][0]["message"]["content"] == "Paris."
    assert generation["tags"] == {"env": "prod", "nightly": ""}


def test_a_call_that_failed_says_why():
    failed = record(status=Status.FAILED, failure_kind="rate_limit", failure_reason="too many")

    assert call_json(failed)["errors"] == [{"errorMessage": "too many", "errorType": "rate_limit"}]


def test_a_call_without_bodies_is_shown_all_the_same():
    assert "completionResult" not in call_json(replace(record(), bodies=None))


def test_spans_that_are_in_each_other_are_shown_at_the_top():
    told = [
        entity(Kind.TRACE, "t"),
        entity(Kind.SPAN, "a", 1, span_id="b"),
        entity(Kind.SPAN, "b", 2, span_id="a"),
        entity(Kind.SPAN, "c", 3, span_id="c"),
        entity(Kind.EVENT, "e", 4, span_id="a"),
    ]

    assert ids(trace_json("t", told, [])) == ["a", "b", "c", "e"]


def test_spans_that_are_too_deep_are_shown_at_the_top():
    spans = [
        entity(Kind.SPAN, f"s{number}", number, span_id=f"s{number - 1}" if number else None)
        for number in range(2 * MAX_DEPTH)
    ]

    top = ids(trace_json("t", spans, []))

    assert top[0] == "s0"
    assert len(top) == MAX_DEPTH


def test_every_member_is_shown_by_the_name_that_it_has_there():
    shown = entity_json(
        entity(
            Kind.GENERATION,
            "g",
            name="n",
            trace_id="t",
            ended_at=NOON + timedelta(seconds=1.5),
            tags={"k": "v"},
            metadata={"m": 1},
            metrics={"x": 1.0},
            feedback=(Feedback(score=0, comment="bad"), Feedback(score=1)),
            evaluations=(Evaluation(evaluators=("bias",), variables={"a": "b"}),),
            failures=(Failure(message="no", code="c", type="t", id="i"),),
            attachments=(Attachment(id="a", key="k", mime_type="text/plain", size_bytes=1),),
            provider="openai",
            model="gpt-4o",
            messages=({"role": "user"},),
            parameters={"n": 1},
            cost={"total": 1.0},
            prompt_id="p",
            prompt_version_id="v",
            result={"id": "r"},
            other={"extra": 1},
        )
    )

    assert shown == {
        "id": "g",
        "type": "generation",
        "repoId": "r",
        "name": "n",
        "traceId": "t",
        "startTimestamp": "2026-11-24T12:00:00.000000Z",
        "endTimestamp": "2026-11-24T12:00:01.500000Z",
        "duration": 1500.0,
        "tags": {"k": "v"},
        "metadata": {"m": 1},
        "metrics": {"x": 1.0},
        "feedback": {"score": 1},
        "feedbacks": [{"score": 0, "comment": "bad"}, {"score": 1}],
        "evaluate": [{"evaluators": ["bias"], "variables": {"a": "b"}}],
        "errors": [{"errorId": "i", "errorMessage": "no", "errorCode": "c", "errorType": "t"}],
        "attachments": [{"id": "a", "key": "k", "mimeType": "text/plain", "size": 1}],
        "provider": "openai",
        "model": "gpt-4o",
        "messages": [{"role": "user"}],
        "modelParameters": {"n": 1},
        "cost": {"total": 1.0},
        "maximPromptId": "p",
        "maximPromptVersionId": "v",
        "completionResult": {"id": "r"},
        "other": {"extra": 1},
    }


def test_what_a_retrieval_found_are_its_documents():
    assert entity_json(entity(Kind.RETRIEVAL, "r", output="one"))["docs"] == ["one"]
    assert entity_json(entity(Kind.RETRIEVAL, "r", output=["a", "b"]))["docs"] == ["a", "b"]


def test_a_tool_call_and_an_event_have_members_of_their_own():
    tool = entity_json(entity(Kind.TOOL_CALL, "c", arguments="{}", description="d", result="ok"))

    assert (tool["args"], tool["description"], tool["result"]) == ("{}", "d", "ok")
    assert entity_json(entity(Kind.EVENT, "e"))["timestamp"] == "2026-11-24T12:00:00.000000Z"


def test_tags_are_told_by_their_keys():
    told = [entity(Kind.TRACE, "a", tags={"y": "1"}), entity(Kind.TRACE, "b", tags={"x": "1", "y": "2"})]

    assert unique_tags(told) == ["x", "y"]
