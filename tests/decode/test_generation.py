from datetime import UTC, datetime

import pytest

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Status, Usage
from llm_proxy.model.entity import entity_of
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.folding import fold
from llm_proxy.model.trace import Key, Kind, Settled
from tellings import ASKED, RESULT, generation, said


def record_of(*statements, trace_id=None, session_id=None, repository="r", organization_id="o"):
    key = Key(repository=repository, kind=Kind.GENERATION, id="g")
    told = entity_of(key, fold(None, statements))
    return completion_of(organization_id, Settled(generation=told, trace_id=trace_id, session_id=session_id))


def test_a_generation_is_a_finished_chat_completion():
    completion = record_of(generation(tags={"env": "test", "ci": ""}), trace_id="t", session_id="s")

    assert (completion.organization_id, completion.status, completion.ending) == (
        "o",
        Status.FINISHED,
        Ending.COMPLETE,
    )
    assert (completion.provider, completion.model) == ("openai", "gpt-4o")
    assert (completion.response_model, completion.kind) == ("gpt-4o-2024-08-06", "chat")
    assert (completion.endpoint, completion.path) == (Endpoint.CHAT, "/v1/chat/completions")
    assert (completion.started_at, completion.duration_s) == (datetime(2026, 11, 24, 12, tzinfo=UTC), 2.0)
    assert completion.usage == Usage(
        input_tokens=5,
        output_tokens=2,
        total_tokens=7,
        raw={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    )
    assert completion.finish_reasons == ("stop",)
    assert completion.preview == "What is the capital of France? → Paris."
    context = completion.context
    assert (context.trace_id, context.session_id, set(context.tags)) == ("t", "s", {"env:test", "ci"})


def test_the_request_is_what_the_provider_was_asked():
    completion = record_of(generation())

    assert completion.bodies.request == {"model": "gpt-4o", "messages": ASKED["messages"], "temperature": 0.5}
    assert completion.bodies.response == RESULT


def test_its_id_is_its_own_and_where_it_comes_from_stays_known():
    completion = record_of(generation(name="n", metadata={"k": 1}, cost={"total": 0.1}, metrics={"m": 2}))

    assert completion.id == record_of(generation(name="another")).id
    others = [record_of(generation(), repository="x").id, record_of(generation(), organization_id="x").id]
    assert len({completion.id, *others}) == 3
    assert completion.context.metadata == {
        "k": 1,
        "maxim": {"id": "g", "repository": "r", "name": "n", "cost": {"total": 0.1}, "metrics": {"m": 2}},
    }


def test_one_without_an_answer_has_only_started():
    completion = record_of(said(Kind.GENERATION, "g", **ASKED))

    assert (completion.status, completion.ending, completion.duration_s) == (Status.STARTED, None, None)


def test_one_with_an_error_has_failed():
    completion = record_of(generation(result=None, errors=[{"message": "no", "code": "429", "type": "rate_limit"}]))

    assert completion.status is Status.FAILED
    assert (completion.failure_kind, completion.failure_reason) == ("rate_limit", "no")


def test_a_text_completion_has_a_prompt():
    result = {"object": "text_completion", "choices": [{"index": 0, "text": "Paris.", "finish_reason": "stop"}]}

    completion = record_of(generation(result=result))

    assert (completion.endpoint, completion.kind) == (Endpoint.TEXT, "prompt")
    assert completion.bodies.request["prompt"] == "What is the capital of France?"
    assert completion.preview.endswith("→ Paris.")


def test_a_response_has_an_input():
    output = [{"type": "message", "content": [{"type": "output_text", "text": "Paris."}]}]

    completion = record_of(generation(result={"object": "response", "output": output}))

    assert completion.endpoint is Endpoint.RESPONSES
    assert completion.bodies.request["input"] == ASKED["messages"]
    assert completion.preview.endswith("→ Paris.")


def test_a_tool_call_is_shown_as_one_would_write_it():
    call = {"id": "c", "type": "function", "function": {"name": "look_up", "arguments": '{"of": "France"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}

    completion = record_of(generation(result={**RESULT, "choices": [{"index": 0, "message": message}]}))

    assert completion.preview.endswith('→ look_up({"of": "France"})')


@pytest.mark.parametrize(
    "members",
    [
        {"result": {"choices": "none", "usage": "none", "model": 5, "object": ["x"]}},
        {"result": {"choices": [5], "output": [5]}},
        {"result": "Paris."},
        {"messages": ["hello", 5], "modelParameters": {"a": "{", "b": "NaN", "c": None}},
        {"provider": "p" * 1000, "model": "m" * 1000},
    ],
)
def test_what_is_not_as_expected_is_a_record_all_the_same(members):
    completion = record_of(generation(**members))

    assert completion.status is Status.FINISHED
    assert len(completion.model) <= 200


def test_parameters_that_are_text_come_out_as_what_they_are():
    parameters = {"n": "2", "stop": '["a"]', "user": "bob", "broken": "[", "empty": ""}

    completion = record_of(generation(modelParameters=parameters))

    asked = {name: completion.bodies.request[name] for name in parameters}
    assert asked == {"n": 2, "stop": ["a"], "user": "bob", "broken": "[", "empty": ""}
