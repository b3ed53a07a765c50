"""Requests and answers of several APIs, read as conversations."""

import json
from pathlib import Path

import pytest
from hypothesis import given

from llm_proxy.ui.conversation import Kind, Part, Turn, conversation
from records import json_values

SAMPLES = Path(__file__).parents[1] / "samples"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def said(request, response=None):
    """The turns, in short."""
    return [
        (turn.role, [(str(part.kind), part.text) for part in turn.parts]) for turn in conversation(request, response)
    ]


def user(content):
    return {"messages": [{"role": "user", "content": content}]}


def test_a_chat_is_its_messages_and_then_the_answer():
    request = {
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Capital of France?"}]
    }
    response = {"choices": [{"message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}]}

    assert conversation(request, response) == (
        Turn(role="system", parts=(Part(kind=Kind.TEXT, text="Be brief."),)),
        Turn(role="user", parts=(Part(kind=Kind.TEXT, text="Capital of France?"),)),
        Turn(role="assistant", parts=(Part(kind=Kind.TEXT, text="Paris."),), answered=True, note="stop"),
    )


def test_several_choices_are_told_apart():
    response = {"choices": [{"text": "one"}, {"text": "two", "finish_reason": "length"}]}

    assert [turn.note for turn in conversation({"prompt": "Count"}, response)] == [
        None,
        "choice 1 of 2",
        "choice 2 of 2, length",
    ]


CALL_AND_RESULT = {
    "chat": {
        "messages": [
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        ]
    },
    "responses": {
        "input": [
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": '{"city":"Rome"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
        ]
    },
    "messages": {
        "messages": [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "c1", "name": "weather", "input": {"city": "Rome"}}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "sunny"}]}
                ],
            },
        ]
    },
    "converse": {
        "messages": [
            {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "c1", "name": "weather", "input": {"city": "Rome"}}}],
            },
            {"role": "user", "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "sunny"}]}}]},
        ]
    },
}


@pytest.mark.parametrize(
    "response",
    [
        {"data": [{"b64_json": "iVBORw0KGgo="}]},
        {"output": [{"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0KGgo="}]},
        {
            "choices": [
                {"message": {"role": "assistant", "images": [{"type": "image_url", "image_url": {"url": PIXEL}}]}}
            ]
        },
    ],
)
def test_an_image_that_was_made_is_shown(response):
    (turn,) = conversation(None, response)

    assert (turn.answered, [(part.kind, part.text) for part in turn.parts]) == (True, [(Kind.IMAGE, PIXEL)])


def test_an_image_that_is_elsewhere_is_told_and_so_is_what_it_was_made_from():
    (turn,) = conversation(None, {"data": [{"url": "https://a.example/x.png", "revised_prompt": "a black cat"}]})

    assert [part.text for part in turn.parts] == ["image: https://a.example/x.png", "a black cat"]


@pytest.mark.parametrize("api", CALL_AND_RESULT)
def test_a_tool_call_stands_with_its_result(api):
    (turn,) = conversation(CALL_AND_RESULT[api], None)

    (part,) = turn.parts
    assert (turn.role, part.kind, part.name, part.text) == (
        "assistant",
        Kind.TOOL_CALL,
        "weather",
        '{\n  "city": "Rome"\n}',
    )
    assert [result.text for result in part.results] == ["sunny"]


def test_a_result_whose_call_is_not_there_stands_by_itself():
    request = {"messages": [{"role": "tool", "tool_call_id": "c9", "content": "sunny"}]}

    assert said(request) == [("tool", [("tool result", "sunny")])]


@pytest.mark.parametrize(
    ("block", "shown"),
    [
        ({"type": "text", "text": "Hi"}, ("text", "Hi")),
        ({"type": "image_url", "image_url": {"url": PIXEL}}, ("image", PIXEL)),
        ({"type": "input_image", "image_url": PIXEL}, ("image", PIXEL)),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
            ("image", PIXEL),
        ),
        ({"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}, ("image", PIXEL)),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}},
            ("attachment", "image: https://a.example/x.png"),
        ),
        (
            {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zz4="}},
            ("attachment", "image"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ("audio", "data:audio/wav;base64,AAAA"),
        ),
        ({"type": "file", "file": {"filename": "a.pdf", "file_data": "x"}}, ("attachment", "file: a.pdf")),
        ({"type": "thinking", "thinking": "Hm.", "signature": "x"}, ("reasoning", "Hm.")),
        ({"type": "redacted_thinking", "data": "x"}, ("reasoning", "(encrypted by the provider)")),
        ({"type": "refusal", "refusal": "No."}, ("refusal", "No.")),
        ({"text": "Hm.", "thought": True}, ("reasoning", "Hm.")),
        ({"reasoningContent": {"reasoningText": {"text": "Hm."}}}, ("reasoning", "Hm.")),
        ({"type": "novel", "x": 1}, ("json", '{\n  "type": "novel",\n  "x": 1\n}')),
    ],
)
def test_each_part_of_a_message_is_shown_as_what_it_is(block, shown):
    assert said(user([block])) == [("user", [shown])]


def test_reasoning_comes_before_the_answer_and_a_refusal_behind():
    message = {"role": "assistant", "reasoning_content": "Hm.", "content": "Well", "refusal": "No."}

    assert said({}, {"choices": [{"message": message}]}) == [
        ("assistant", [("reasoning", "Hm."), ("text", "Well"), ("refusal", "No.")])
    ]


def test_the_items_of_one_answer_are_one_turn():
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]

    assert said({"instructions": "Be kind.", "input": "Hello"}, {"output": output}) == [
        ("system", [("text", "Be kind.")]),
        ("user", [("text", "Hello")]),
        ("assistant", [("reasoning", "Hm."), ("text", "Hi"), ("tool call", "{}")]),
    ]


def test_googles_contents_are_read():
    request = {"systemInstruction": {"parts": [{"text": "Be kind."}]}, "contents": [{"parts": [{"text": "Hello"}]}]}
    response = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}]}

    assert said(request, response) == [
        ("system", [("text", "Be kind.")]),
        ("user", [("text", "Hello")]),
        ("assistant", [("text", "Hi")]),
    ]


def test_a_prompt_of_tokens_is_one_thing():
    assert said({"prompt": [1, 2]}) == [("user", [("text", "[\n  1,\n  2\n]")])]


@pytest.mark.parametrize("name", ["chat_text.json", "chat_tools.json", "responses.json", "text.json"])
def test_of_every_recorded_answer_something_is_shown(name):
    turns = conversation(None, json.loads((SAMPLES / name).read_text()))

    assert turns
    assert all(turn.answered for turn in turns)
    assert not [part for turn in turns for part in turn.parts if part.kind is Kind.JSON]


@given(json_values, json_values)
def test_json_of_any_shape_is_read(request, response):
    keys = ("messages", "content", "choices", "output", "candidates", "system", "tool_calls", "type", "input")

    for key in keys:
        conversation({key: request}, {key: response})
        conversation({"messages": [{key: request}]}, {"content": [{key: response}], "output": [{key: response}]})


def test_what_was_said_in_a_session_stands_in_its_order_with_its_times_and_sounds():
    said = [
        {"type": "message", "role": "user", "content": [{"type": "text", "text": "Hi"}], "at_s": 0.5},
        {"type": "message", "role": "assistant", "content": [], "audio_bytes": 1200, "at_s": 1.5},
        {"type": "function_call", "call_id": "c", "name": "now", "arguments": "{}", "at_s": 2},
        {"type": "function_call_output", "call_id": "c", "output": "noon", "at_s": 3.0},
    ]

    turns = conversation(None, {"output": said})

    assert [(turn.role, turn.answered, turn.at_s) for turn in turns] == [
        ("user", False, 0.5),
        ("assistant", True, 1.5),
        ("assistant", True, 2.0),
    ]
    assert turns[1].parts[0].text == "audio: 1.2 kB"
    assert turns[2].parts[0].results[0].text == "noon"
