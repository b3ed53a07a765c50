"""Bodies of every provider as chat completions."""

import pytest
from hypothesis import given, settings

from llm_proxy.model.chat_view import chat_request, chat_response, usage_counts
from records import json_values

#: What log10py must find in a request.
NEEDED = {"logit_bias", "top_logprobs", "max_tokens", "seed", "stream_options", "messages", "model"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {}}}


def user(text):
    return {"role": "user", "content": text}


def system(text):
    return {"role": "system", "content": text}


@pytest.mark.parametrize(
    ("request_", "messages"),
    [
        ({"model": "m", "messages": [user("Hi")]}, [user("Hi")]),
        ({"messages": [{"role": "developer", "content": "Be"}, "Hi", 1]}, [system("Be"), user("Hi")]),
        (
            {"messages": [{"role": "assistant", "tool_calls": []}]},
            [{"role": "assistant", "tool_calls": [], "content": None}],
        ),
        ({"system": "Be", "messages": [user("Hi")]}, [system("Be"), user("Hi")]),
        ({"system": [{"type": "text", "text": "Be"}], "messages": []}, [system("Be")]),
        ({"prompt": "Hi"}, [user("Hi")]),
        ({"prompt": ["Hi", "Ho"]}, [user("Hi"), user("Ho")]),
        ({"input": "Hi", "instructions": "Be"}, [system("Be"), user("Hi")]),
        ({"input": [user("Hi")]}, [user("Hi")]),
        (
            {
                "contents": [{"role": "model", "parts": [{"text": "a"}, {"text": "b"}]}],
                "systemInstruction": {"parts": [{"text": "Be"}]},
            },
            [system("Be"), {"role": "assistant", "content": "a\nb"}],
        ),
    ],
)
def test_a_request_of_any_provider_has_messages_and_all_that_is_needed(request_, messages):
    view = chat_request(request_)

    assert view["messages"] == messages
    assert view.keys() >= NEEDED


@pytest.mark.parametrize("request_", [None, [], "x", {}, {"model": "m"}, {"messages": 1}])
def test_what_is_no_request_has_no_view(request_):
    assert chat_request(request_) is None


def test_what_the_shape_allows_stays_and_what_it_does_not_is_left_out():
    request = {
        "model": "m",
        "messages": [],
        "seed": 7,
        "stream_options": {"include_usage": True},
        "tools": [FUNCTION, {"type": "web_search"}, {"name": "of Anthropic"}],
        "tool_choice": "auto",
        "response_format": {"type": "json_schema"},
    }

    view = chat_request(request)

    assert (view["seed"], view["stream_options"], view["tools"], view["tool_choice"]) == (
        7,
        {"include_usage": True},
        [FUNCTION],
        "auto",
    )
    assert "response_format" not in view
    assert "tools" not in chat_request({"messages": [], "tools": [{}], "tool_choice": "auto"})


def message_of(response):
    (choice,) = chat_response(response)["choices"]
    assert choice.keys() >= {"finish_reason", "index", "logprobs", "message"}
    return choice["message"], choice["finish_reason"]


CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}


@pytest.mark.parametrize(
    ("response", "content", "calls", "reason"),
    [
        (
            {"choices": [{"message": {"role": "assistant", "content": "Hi"}, "finish_reason": "length"}]},
            "Hi",
            None,
            "length",
        ),
        (
            {"choices": [{"message": {"content": None, "tool_calls": [CALL]}, "finish_reason": None}]},
            None,
            [CALL],
            "tool_calls",
        ),
        ({"choices": [{"delta": {"content": "Hi"}, "finish_reason": None}]}, "Hi", None, "stop"),
        ({"choices": [{"text": "Hi", "logprobs": {"tokens": []}}]}, "Hi", None, "stop"),
        (
            {"type": "message", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "max_tokens"},
            "Hi",
            None,
            "length",
        ),
        (
            {
                "type": "message",
                "stop_reason": "tool_use",
                "content": [{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}],
            },
            "",
            [CALL],
            "tool_calls",
        ),
        ({"completion": "Hi", "stop_reason": "stop_sequence"}, "Hi", None, "stop"),
        (
            {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "SAFETY"}]},
            "Hi",
            None,
            "content_filter",
        ),
        (
            {"candidates": [{"content": {"parts": [{"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}}]}}]},
            "",
            [CALL],
            "tool_calls",
        ),
        (
            {
                "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
                "status": "completed",
            },
            "Hi",
            None,
            "stop",
        ),
        (
            {
                "output": [{"type": "function_call", "call_id": "1", "name": "f", "arguments": '{"a":1}'}],
                "status": "completed",
            },
            "",
            [CALL],
            None,
        ),
    ],
)
def test_an_answer_of_any_provider_has_choices(response, content, calls, reason):
    message, finish_reason = message_of(response)

    assert (message["role"], message["content"], message.get("tool_calls")) == ("assistant", content, calls)
    assert finish_reason == reason or reason is None


def test_an_answer_has_what_a_client_that_checks_types_needs():
    view = chat_response({"id": None, "created": "x", "object": "list", "choices": [], "system_fingerprint": 1})

    assert view == {"id": "", "created": 0, "model": "", "object": "chat.completion", "choices": []}


def test_members_of_a_message_and_real_logprobs_stay():
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": None, "top_logprobs": []}]}
    message = {"role": "tool", "content": "Hi", "refusal": None, "function_call": {"name": "f", "arguments": "{}"}}

    (choice,) = chat_response({"choices": [{"message": message, "logprobs": logprobs}]})["choices"]

    assert choice["message"] == message
    assert choice["logprobs"] == logprobs


@pytest.mark.parametrize("response", [None, [], {}, {"error": {"message": "no"}}, {"content": "x", "type": "message"}])
def test_what_is_no_answer_has_no_view(response):
    assert chat_response(response) is None


@pytest.mark.parametrize(
    ("response", "counts"),
    [
        ({"usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}}, (3, 2, 5, None)),
        ({"usage": {"input_tokens": 3, "output_tokens": 2}}, (3, 2, 5, None)),
        (
            {
                "usage": {
                    "input_tokens": 3,
                    "output_tokens": 2,
                    "cache_read_input_tokens": 10,
                    "cache_creation_input_tokens": 4,
                }
            },
            (17, 2, 19, 10),
        ),
        (
            {
                "usageMetadata": {
                    "promptTokenCount": 9,
                    "candidatesTokenCount": 2,
                    "thoughtsTokenCount": 4,
                    "totalTokenCount": 15,
                    "cachedContentTokenCount": 8,
                }
            },
            (9, 6, 15, 8),
        ),
        ({"usage": {"prompt_tokens": -1, "completion_tokens": -1}}, None),
        ({"usage": {"prompt_tokens": True, "completion_tokens": 1.5}}, None),
        ({}, None),
    ],
)
def test_tokens_are_read_in_every_spelling(response, counts):
    counted = usage_counts(response)

    if counts is None:
        assert counted is None
    else:
        cached = counted.get("prompt_tokens_details", {}).get("cached_tokens")
        assert (counted["prompt_tokens"], counted["completion_tokens"], counted["total_tokens"], cached) == counts


@settings(max_examples=200)
@given(json_values, json_values, json_values)
def test_whatever_is_in_a_body_does_no_harm(one, two, three):
    for value in (
        one,
        {"messages": one, "tools": two},
        {"contents": [two], "system": one},
        {"input": [{"parts": one}]},
    ):
        chat_request(value)
    for member in ("choices", "candidates", "output", "content"):
        chat_response({member: [one, {"message": two, "content": {"parts": three}}], "usage": one, "type": "message"})
        chat_response({member: [{"message": {"tool_calls": [one, {"function": two}], "content": three}}], "usage": two})
