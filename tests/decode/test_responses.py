import json
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import ResponseStreamEvent

from decode.exchanges import chat_stream, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint

REQUEST = {"model": "gpt-4.1", "input": "Say hi", "stream": True}


def decoded(stream: bytes, **members: Any):
    return decode(exchange_of(Endpoint.RESPONSES, stream, request=REQUEST, **members))


def typed(*events: Any) -> bytes:
    return chat_stream(*events, end=b"")


@pytest.mark.parametrize("name", ["responses_text.sse", "responses_tools.sse"])
def test_a_whole_stream_is_the_response_of_its_last_event(name):
    stream = sample(name)
    last = json.loads(parse_events(stream)[-1].data)["response"]

    found = decoded(stream)

    assert found.response == last
    assert (found.kind, found.model, found.response_model) == ("chat", "gpt-4.1", last["model"])
    assert (found.stream_ended, found.finish_reasons, found.problem) == (True, ("completed",), None)
    assert found.usage.input_tokens == last["usage"]["input_tokens"]


def test_a_text_and_a_call_are_shown():
    assert decoded(sample("responses_text.sse")).preview == "Say hi → Hi there! Grüß dich."
    assert decoded(sample("responses_tools.sse")).preview == 'Say hi → get_weather({"city":"Lima"})'


@pytest.mark.parametrize(("name", "deltas"), [("responses_text.sse", 3), ("responses_tools.sse", 2)])
def test_a_stream_cut_off_behind_any_delta_has_the_text_that_the_openai_sdk_has(name, deltas):
    stream = sample(name)
    state = ResponseStreamState(input_tools=omit, text_format=omit)
    compared = 0

    for event in parse_events(stream):
        raw = construct_type_unchecked(value=json.loads(event.data), type_=cast("Any", ResponseStreamEvent))
        for theirs in state.handle_event(raw):
            snapshot = getattr(theirs, "snapshot", None)
            if snapshot is not None:
                item = decoded(stream[: event.end]).response["output"][theirs.output_index]
                assert snapshot == (item["content"][0]["text"] if "content" in item else item["arguments"])
                compared += 1

    assert compared == deltas


def test_a_stream_cut_off_is_the_last_known_response_with_the_output_so_far():
    stream = sample("responses_tools.sse")
    cut = stream[: parse_events(stream)[10].end]

    found = decoded(cut)

    assert found.response["id"] == "resp_68a1c7d0e2f88194a6b0"
    assert found.response["output"] == [
        {
            "id": "rs_68a1c7d1a0c48194",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "**Checking** the weather"}],
        },
        {
            "id": "fc_68a1c7d3b1d08194",
            "type": "function_call",
            "status": "in_progress",
            "arguments": '{"city":"Lima"}',
            "call_id": "call_Yb3TzXq8",
            "name": "get_weather",
        },
    ]
    assert (found.stream_ended, found.finish_reasons, found.usage) == (False, (), None)


@pytest.mark.parametrize("cut_behind", [5, 6])
def test_partial_thoughts_are_kept(cut_behind):
    stream = sample("responses_tools.sse")

    output = decoded(stream[: parse_events(stream)[cut_behind - 1].end]).response["output"]

    assert output[0]["summary"] == [{"type": "summary_text", "text": "**Checking** the weather"}]


@pytest.mark.parametrize(
    ("events", "item"),
    [
        (
            [
                {"type": "response.output_text.delta", "delta": "a"},
                {"type": "response.output_text.delta", "delta": "b"},
            ],
            {"content": [{"type": "output_text", "text": "ab"}]},
        ),
        (
            [{"type": "response.output_text.delta", "delta": "a", "logprobs": [{"token": "a"}]}] * 2,
            {"content": [{"type": "output_text", "text": "aa", "logprobs": [{"token": "a"}, {"token": "a"}]}]},
        ),
        (
            [{"type": "response.refusal.delta", "delta": "a", "content_index": 1}],
            {"content": [{"type": "refusal", "refusal": "a"}]},
        ),
        (
            [{"type": "response.refusal.done", "refusal": "abc"}],
            {"content": [{"type": "refusal", "refusal": "abc"}]},
        ),
        (
            [{"type": "response.reasoning_text.delta", "delta": "a"}],
            {"content": [{"type": "reasoning_text", "text": "a"}]},
        ),
        (
            [
                {
                    "type": "response.reasoning_summary_part.added",
                    "summary_index": 1,
                    "part": {"type": "summary_text", "text": ""},
                },
                {"type": "response.reasoning_summary_text.delta", "summary_index": 1, "delta": "b"},
                {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": "a"},
            ],
            {"summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]},
        ),
        ([{"type": "response.mcp_call_arguments.delta", "delta": "{"}] * 2, {"arguments": "{{"}),
        ([{"type": "response.custom_tool_call_input.delta", "delta": "x"}], {"input": "x"}),
        ([{"type": "response.code_interpreter_call_code.delta", "delta": "x"}], {"code": "x"}),
        ([{"type": "response.code_interpreter_call_code.done", "code": "xy"}], {"code": "xy"}),
        (
            [
                {
                    "type": "response.content_part.added",
                    "part": {"type": "output_text", "text": "a", "annotations": []},
                },
                {"type": "response.output_text.delta", "delta": "b"},
                {"type": "response.output_text.annotation.added", "annotation": {"type": "url_citation"}},
            ],
            {"content": [{"type": "output_text", "text": "ab", "annotations": [{"type": "url_citation"}]}]},
        ),
    ],
)
def test_deltas_build_an_item_even_if_nobody_announced_it(events, item):
    assert decoded(typed(*events)).response == {"output": [item]}


def test_items_come_in_the_order_of_their_index():
    events = [
        {"type": "response.output_item.added", "output_index": index, "item": {"type": "message", "id": f"{index}"}}
        for index in (10**12, 0, 3)
    ]

    assert [item["id"] for item in decoded(typed(*events)).response["output"]] == ["0", "3", "1000000000000"]


def test_a_response_that_failed_tells_why():
    found = decoded(sample("responses_failed.sse"))

    assert found.error == ProviderError(kind="server_error", message="The model failed to generate a response.")
    assert (found.stream_ended, found.finish_reasons) == (True, ("failed",))


def test_a_response_that_is_incomplete_tells_why():
    found = decoded(sample("responses_incomplete.sse"))

    assert (found.error, found.stream_ended, found.finish_reasons) == (None, True, ("max_output_tokens",))
    assert found.preview == "Say hi → Once upon a"
    assert found.usage.output_tokens == 16


@pytest.mark.parametrize("name", [True, False])
def test_an_error_event_is_found_and_the_text_is_kept(name):
    stream = sample("responses_error.sse")

    found = decoded(stream if name else stream.replace(b"event: error\n", b""))

    assert found.error == ProviderError(kind="rate_limit_exceeded", message="Rate limit reached for gpt-4.1")
    assert found.response["output"][0]["content"] == [{"type": "output_text", "text": "Half"}]
    assert found.stream_ended is False


def test_output_that_the_last_event_leaves_empty_is_taken_from_the_items():
    found = decoded(sample("responses_codex.sse"))

    assert found.preview == "Say hi → ok"
    assert (found.stream_ended, found.usage.cached_input_tokens) == (True, 1920)


def test_a_stream_that_is_resumed_begins_with_the_output_so_far():
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hel"}]}
    events = [
        {"type": "response.in_progress", "response": {"id": "r", "status": "in_progress", "output": [message]}},
        {"type": "response.output_text.delta", "delta": "lo"},
    ]

    assert decoded(typed(*events)).response["output"][0]["content"][0]["text"] == "Hello"


@pytest.mark.parametrize(
    ("events", "place"),
    [
        (
            [{"type": "response.output_text.delta", "delta": ""}, {"type": "response.output_text.delta", "delta": "a"}],
            2,
        ),
        ([{"type": "response.reasoning_summary_text.delta", "delta": "a"}], 1),
        (
            [
                {"type": "response.output_item.added", "item": {"type": "message"}},
                {"type": "response.refusal.delta", "delta": "a"},
            ],
            2,
        ),
        ([{"type": "response.output_item.added", "item": {"type": "function_call", "name": "f"}}], 1),
        ([{"type": "response.some_new_thing.delta", "delta": "a"}], 1),
    ],
)
def test_the_first_token_is_the_first_text_thought_refusal_or_call(events, place):
    created = typed({"type": "response.created", "response": {"output": []}})
    pieces = [created, *map(typed, events)]

    assert decode(exchange_of(Endpoint.RESPONSES, pieces)).first_token_s == pytest.approx((place + 1) / 10)


def test_a_response_without_streaming_is_kept_as_it_is():
    found = decode(exchange_of(Endpoint.RESPONSES, sample("responses.json"), request=REQUEST | {"stream": False}))

    assert found.response == json.loads(sample("responses.json"))
    assert found.preview == "Say hi → Forty-two."
    assert (found.usage.cached_input_tokens, found.usage.reasoning_output_tokens) == (12, 64)
    assert (found.stream, found.stream_ended, found.finish_reasons) == (False, None, ("completed",))


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/v1/responses/resp_1"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("GET", "/v1/responses/resp_1?stream=true&starting_after=4"),
    ],
)
def test_a_response_that_is_shown_once_more_has_no_tokens_of_its_own(method, target):
    exchange = exchange_of(Endpoint.RESPONSES, sample("responses.json"), method=method, target=target)

    found = decode(exchange)

    assert found.response["usage"]["input_tokens"] == 36
    assert (found.usage, found.model, found.problem) == (None, None, None)


def test_a_retrieval_may_ask_for_a_stream_in_its_query():
    asked = exchange_of(Endpoint.RESPONSES, b"", method="GET", target="/v1/responses/resp_1?stream=true")
    plain = exchange_of(Endpoint.RESPONSES, b"", method="GET", target="/v1/responses/resp_1")

    assert (decode(asked).stream, decode(plain).stream) == (True, False)


@pytest.mark.parametrize(
    ("asked", "question"),
    [
        ("Hello", "Hello"),
        ([{"role": "user", "content": "Hello"}], "Hello"),
        (
            [
                {
                    "type": "message",
                    "role": "user",
                    "content": [
                        {"type": "input_text", "text": "What is"},
                        {"type": "input_image", "image_url": "data:"},
                    ],
                },
                {"type": "function_call_output", "call_id": "c", "output": "5"},
            ],
            "What is [image]",
        ),
    ],
)
def test_the_input_is_shown(asked, question):
    found = decode(exchange_of(Endpoint.RESPONSES, sample("responses.json"), request={"input": asked}))

    assert found.preview == f"{question} → Forty-two."


@given(
    events=st.lists(
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    [
                        "response.created",
                        "response.completed",
                        "response.output_item.added",
                        "response.output_item.done",
                        "response.content_part.added",
                        "response.output_text.delta",
                        "response.output_text.done",
                        "response.output_text.annotation.added",
                        "response.function_call_arguments.delta",
                        "response.reasoning_summary_text.delta",
                        "error",
                    ]
                )
                | st.integers()
            },
            optional={
                member: st.none()
                | st.integers(-1, 3)
                | st.text(max_size=2)
                | st.lists(
                    st.integers() | st.dictionaries(st.sampled_from(["text", "type"]), st.text(max_size=2)), max_size=2
                )
                | st.dictionaries(
                    st.sampled_from(["output", "content", "text", "name", "type"]),
                    st.none()
                    | st.text(max_size=2)
                    | st.lists(st.dictionaries(st.sampled_from(["text"]), st.integers()), max_size=2),
                )
                for member in ("response", "item", "part", "delta", "output_index", "content_index", "logprobs", "text")
            },
        ),
        max_size=6,
    )
)
def test_events_of_any_shape_are_put_together(events):
    found = decoded(typed(*events))

    assert found.problem is None


def test_events_that_are_no_json_are_counted():
    found = decoded(b"data: ping\n\n" + sample("responses_text.sse") + b"data: [DONE]\n\n")

    assert found.problem == "of the stream, 1 whole events are no JSON objects"
    assert found.stream_ended is True
