import json

import pytest

from llm_proxy.demo.answers import UNRELIABLE_MODEL, WRONG_KEY, answer

CHAT = {"model": "m", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
TOOL = {"type": "function", "function": {"name": "get_weather"}}


def said(path, body, *, authorization="Bearer sk-demo"):
    return answer(path, body, authorization=authorization)


def events(answered):
    text = b"".join(piece for _, piece in answered.pieces).decode()
    return [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]


def test_the_same_is_said_streamed_and_not():
    (_, whole), *_ = said("/v1/chat/completions", CHAT).pieces
    *streamed, done = events(said("/v1/chat/completions", CHAT | {"stream": True}))

    deltas = [json.loads(event)["choices"][0]["delta"].get("content", "") for event in streamed]
    assert done == "[DONE]"
    assert "".join(deltas) == json.loads(whole)["choices"][0]["message"]["content"] == "The capital of France is Paris."


def test_with_tools_the_first_one_is_called_streamed_and_not():
    asked = CHAT | {"tools": [TOOL]}
    (_, whole), *_ = said("/v1/chat/completions", asked).pieces
    *streamed, _ = events(said("/v1/chat/completions", asked | {"stream": True}))

    (call,) = json.loads(whole)["choices"][0]["message"]["tool_calls"]
    deltas = [json.loads(event)["choices"][0]["delta"].get("tool_calls") for event in streamed]
    pieces = [delta[0]["function"]["arguments"] for delta in deltas if delta]
    assert call["function"] == {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    assert len(pieces) > 2
    assert "".join(pieces) == call["function"]["arguments"]


@pytest.mark.parametrize("wanted", [True, False])
def test_tokens_come_with_a_stream_only_if_they_are_asked_for(wanted):
    streamed = events(
        said("/v1/chat/completions", CHAT | {"stream": True, "stream_options": {"include_usage": wanted}})
    )

    assert any("usage" in event for event in streamed) is wanted


def test_a_stream_of_the_unreliable_model_is_cut_off_before_its_end():
    cut = said("/v1/chat/completions", CHAT | {"stream": True, "model": UNRELIABLE_MODEL})
    whole = said("/v1/chat/completions", CHAT | {"stream": True})

    assert (cut.complete, whole.complete) == (False, True)
    assert events(cut)[-1] != "[DONE]"
    assert 1 < len(cut.pieces) < len(whole.pieces)


def test_a_stream_takes_its_time():
    pauses = [pause_s for pause_s, _ in said("/v1/chat/completions", CHAT | {"stream": True}).pieces]

    assert pauses[0] > pauses[1] > 0


def test_a_wrong_key_is_refused_and_not_repeated():
    refused = said("/v1/chat/completions", CHAT, authorization=f"Bearer {WRONG_KEY}")

    ((_, body),) = refused.pieces
    assert refused.status == 401
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    assert WRONG_KEY not in body.decode()


def test_what_is_not_in_the_script_is_not_found():
    assert said("/v1/moderations", {}).status == 404
