import io
import json

import pytest

from llm_proxy.model.completion import Bodies, Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.transfer.finetune import FinetuneWriter, example
from records import BODIES, bare, record

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
ASK = {"role": "user", "content": "Is it cold in Oslo?"}


def chat(*messages, answer=None, finish_reason="stop", **request):
    answer = {"role": "assistant", "content": "Yes."} if answer is None else answer
    return record(
        bodies=Bodies(
            request={"model": "gpt-4o", "messages": list(messages or (ASK,))} | request,
            response={"choices": [{"index": 0, "message": answer, "finish_reason": finish_reason}]},
        )
    )


def test_a_finished_call_is_its_messages_and_then_its_answer():
    made = example(record())

    assert made == {
        "messages": [
            {"role": "user", "content": "What is the capital of France?"},
            {"role": "assistant", "content": "Paris."},
        ]
    }


def test_tools_come_along_with_the_calls_to_them():
    answer = {"role": "assistant", "content": None, "tool_calls": [CALL]}

    made = example(
        chat(ASK, answer=answer, finish_reason="tool_calls", tools=[WEATHER], parallel_tool_calls=False, temperature=1)
    )

    assert made == {
        "messages": [ASK, {"role": "assistant", "tool_calls": [CALL]}],
        "tools": [WEATHER],
        "parallel_tool_calls": False,
    }


def test_earlier_answers_are_not_learned_again():
    earlier = {"role": "assistant", "content": "Hello.", "reasoning_content": "a greeting", "refusal": None}

    made = example(chat({"role": "developer", "content": "Be brief."}, earlier, ASK))

    assert made["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello.", "weight": 0},
        ASK,
        {"role": "assistant", "content": "Yes."},
    ]


def test_members_that_the_format_does_not_have_are_left_out():
    answer = {"role": "assistant", "content": "Yes.", "reasoning_content": "north", "annotations": [], "audio": None}

    made = example(chat(ASK, answer=answer))

    assert made["messages"][-1] == {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (record(endpoint=Endpoint.EMBEDDINGS), "no chat completion"),
        (record(status=Status.FAILED), "not finished, but failed"),
        (record(status=Status.STARTED), "not finished, but started"),
        (record(truncated=True), "not recorded in full"),
        (record(bodies=None), "the request has no messages"),
        (record(bodies=Bodies(request={"messages": []}, response=BODIES.response)), "the request has no messages"),
        (record(bodies=Bodies(request=BODIES.request, response=None)), "no answer"),
        (record(bodies=Bodies(request=BODIES.request, response={"choices": []})), "no answer"),
        (record(bodies=Bodies(request=BODIES.request, response={"choices": [3]})), "no answer"),
        (chat(finish_reason="length"), "the answer was cut off by a limit of tokens"),
        (chat(finish_reason="content_filter"), "the answer was withheld by a content filter"),
        (chat(finish_reason=["?"]), "the answer did not end by itself"),
        (chat(answer={"content": None, "refusal": "No."}), "the answer is a refusal"),
        (chat(answer={"content": ""}), "the answer has neither text nor tool calls"),
        (chat({"content": "x"}), "a message has no role"),
        (chat("hello"), "a message has no role"),
        (chat({"role": "narrator", "content": "x"}), "a message has a role that the format does not have"),
        (
            chat({"role": "user", "content": [{"type": "input_audio"}]}),
            "a message has content other than text and images",
        ),
        (chat(answer={"tool_calls": [{"type": "custom"}]}), "a tool other than a function was called"),
        (chat(tools=[{"type": "custom"}]), "a tool other than a function was offered"),
        (bare(), "not finished, but started"),
    ],
)
def test_what_is_no_example_is_skipped_and_told_why(completion, reason):
    file = io.BytesIO()

    skipped = FinetuneWriter(file).write(completion)

    assert skipped == reason
    assert file.getvalue() == b""


def test_examples_are_lines():
    file = io.BytesIO()
    writer = FinetuneWriter(file)

    assert writer.write(chat()) is None
    assert writer.write(record()) is None

    lines = file.getvalue().splitlines()
    assert [json.loads(line)["messages"][-1]["content"] for line in lines] == ["Yes.", "Paris."]
