import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from decode.exchanges import chat_stream, delta_stream, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.completion import ProviderError, Usage
from llm_proxy.model.exchange import Endpoint

REQUEST = {"model": "gpt-4.1", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
#: What the SDK can put together: the streams of OpenAI itself.
FOR_THE_SDK = [
    "chat_text.sse",
    "chat_two_choices.sse",
    "chat_parallel_tools.sse",
    "chat_refusal.sse",
    "chat_logprobs.sse",
    "chat_function_call.sse",
    "chat_audio.sse",
]


def decoded(stream: bytes, **members: Any):
    return decode(exchange_of(Endpoint.CHAT, stream, request=REQUEST, **members))


def message_of(stream: bytes) -> Any:
    return decoded(stream).response["choices"][0]["message"]


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value


def as_the_sdk_sees_it(chunks: list[Any]) -> Any:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    completion = without_nulls(state.current_completion_snapshot.to_dict())
    for choice in completion["choices"]:
        choice["message"].pop("parsed", None)
        for call in choice["message"].get("tool_calls", []):
            call.pop("index")
            call["function"].pop("parsed_arguments", None)
    completion.pop("obfuscation", None)
    return completion


@pytest.mark.parametrize("name", FOR_THE_SDK)
def test_a_stream_cut_off_behind_any_chunk_is_what_the_openai_sdk_makes_of_it(name):
    stream = sample(name)
    events = [event for event in parse_events(stream) if event.data != b"[DONE]"]

    for number in range(1, len(events) + 1):
        ours = decoded(stream[: events[number - 1].end])
        theirs = as_the_sdk_sees_it([json.loads(event.data) for event in events[:number]])
        assert without_nulls(ours.response) == theirs


@pytest.mark.parametrize("name", FOR_THE_SDK)
def test_a_stream_has_the_shape_of_an_answer_without_streaming(name):
    response = decoded(sample(name)).response

    assert response["object"] == "chat.completion"
    assert {"id", "created", "model", "choices"} <= response.keys()
    assert all({"index", "message", "finish_reason"} <= choice.keys() for choice in response["choices"])
    assert "obfuscation" not in response


def test_a_text_is_read_with_its_tokens():
    found = decoded(sample("chat_text.sse"))

    assert found.kind == "chat"
    assert (found.model, found.response_model) == ("gpt-4.1", "gpt-4.1-mini-2025-04-14")
    assert found.response["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Die Hauptstadt Österreichs ist Wien 🇦🇹.\n",
        "refusal": None,
    }
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (15, 9, 24)
    assert (found.usage.cached_input_tokens, found.usage.reasoning_output_tokens) == (0, 0)
    assert found.finish_reasons == ("stop",)
    assert found.preview == "Hi → Die Hauptstadt Österreichs ist Wien 🇦🇹."
    assert (found.stream, found.stream_ended, found.problem, found.error) == (True, True, None, None)


def test_the_first_token_is_the_first_content_and_not_the_role():
    stream = sample("chat_text.sse")
    pieces = [event + b"\n\n" for event in stream.split(b"\n\n")[:-1]]

    assert decode(exchange_of(Endpoint.CHAT, pieces, request=REQUEST)).first_token_s == 0.2


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"refusal": "a"},
        {"reasoning_content": "a"},
        {"reasoning": "a"},
        {"content": [{"type": "thinking", "thinking": []}]},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f", "arguments": ""}},
        {"audio": {"id": "audio_1"}},
    ],
)
def test_text_thoughts_refusals_and_tool_calls_are_content(delta):
    empty = {"role": "assistant", "content": "", "refusal": None, "tool_calls": [], "reasoning": ""}
    pieces = [
        delta_stream(empty, end=b""),
        b": comment\n\n",
        delta_stream(delta, end=b""),
        delta_stream({"content": "b"}),
    ]

    assert decode(exchange_of(Endpoint.CHAT, pieces)).first_token_s == 0.3


def test_choices_come_in_the_order_of_their_index():
    found = decoded(
        chat_stream(
            *({"choices": [{"index": n, "delta": {"content": f"{n}"}, "finish_reason": f"r{n}"}]} for n in (2, 0, 1))
        )
    )

    assert [choice["index"] for choice in found.response["choices"]] == [0, 1, 2]
    assert found.finish_reasons == ("r0", "r1", "r2")


def test_parallel_tool_calls_are_read_without_the_index_of_the_chunks():
    found = decoded(sample("chat_parallel_tools.sse"))

    assert found.response["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_9Vq2nXb7LwTzKc4HdYmRs1Pf",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            },
            {
                "id": "call_Jt5eRk8QoUa0Xi3GpZvMb6Wy",
                "type": "function",
                "function": {"name": "get_time", "arguments": '{"zone": "Europe/Paris"}'},
            },
        ],
    }
    assert found.usage.cached_input_tokens == 1024
    assert found.preview == 'Hi → get_weather({"city": "Paris"}), get_time({"zone": "Europe/Paris"})'


def test_a_legacy_function_call_is_shown_as_a_call():
    assert decoded(sample("chat_function_call.sse")).preview == 'Hi → get_current_weather({ "location": "Boston, MA" })'


def test_a_refusal_is_shown_as_the_answer():
    assert decoded(sample("chat_refusal.sse")).preview == "Hi → I'm sorry, I can't help with that."


def test_the_first_chunk_of_azure_brings_its_filter_results_and_no_names():
    found = decoded(sample("chat_azure.sse"))

    assert found.response["id"] == "chatcmpl-C06nVgL3qZ8rTyXk1WdHsJ5pBmNeU"
    assert found.response_model == "gpt-4o-2024-11-20"
    assert found.response["created"] == 1754130277
    assert found.response["prompt_filter_results"][0]["prompt_index"] == 0
    assert found.response["choices"][0]["content_filter_results"]["violence"]["severity"] == "low"
    assert found.response["choices"][0]["message"]["content"] == "Hello there"


def test_thoughts_of_openrouter_are_joined_by_their_index_and_only_once():
    found = decoded(sample("chat_openrouter.sse"))

    assert found.response["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Good day.",
        "reasoning": "The user greets.",
        "reasoning_details": [
            {
                "type": "reasoning.text",
                "text": "The user greets.",
                "format": "anthropic-claude-v1",
                "index": 0,
                "signature": "EqQBCkYIBRgCKkDq",
            }
        ],
    }
    assert found.finish_reasons == ("stop",)
    assert found.response["choices"][0]["native_finish_reason"] == "end_turn"
    assert found.usage.raw["cost"] == 0.000591
    assert found.response["provider"] == "Anthropic"


def test_thoughts_and_usage_in_the_last_chunk_of_deepseek_are_read():
    found = decoded(sample("chat_deepseek.sse"))

    assert found.response["choices"][0]["message"]["reasoning_content"] == "2 and 2 make 4."
    assert found.response["choices"][0]["message"]["content"] == "4"
    assert (found.usage.output_tokens, found.usage.reasoning_output_tokens) == (13, 10)


def test_content_of_mistral_may_turn_from_thoughts_in_parts_to_text():
    found = decoded(sample("chat_mistral.sse"))

    assert found.response["choices"][0]["message"]["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Short answer."}]},
        {"type": "text", "text": "It is Magistral."},
    ]
    assert found.preview == "Hi → It is Magistral."


@pytest.mark.parametrize(
    ("name", "arguments"), [("chat_gemini.sse", ["Oslo", "Rome"]), ("chat_ollama.sse", ["a.py", "b.py"])]
)
def test_calls_without_an_index_of_their_own_are_told_apart_by_id(name, arguments):
    calls = message_of(sample(name))["tool_calls"]

    assert [list(json.loads(call["function"]["arguments"]).values()) for call in calls] == [[it] for it in arguments]


def test_a_name_that_is_repeated_in_every_chunk_is_the_name():
    calls = message_of(sample("chat_minimax.sse"))["tool_calls"]

    assert calls == [
        {
            "id": "chatcmpl-tool-7d1c",
            "type": "function",
            "function": {"name": "read_file", "arguments": '{"path":"x"}'},
        }
    ]


def test_a_call_whose_id_changes_on_the_way_is_one_call():
    calls = message_of(
        delta_stream(
            {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]},
            {"tool_calls": [{"index": 0, "id": "b", "function": {"arguments": "{}"}}]},
        )
    )["tool_calls"]

    assert [call["function"] for call in calls] == [{"name": "f", "arguments": "{}"}]


def test_perplexity_repeats_the_whole_and_counts_tokens_in_every_chunk():
    found = decoded(sample("chat_perplexity.sse"))

    assert found.response["choices"][0]["message"] == {"role": "assistant", "content": "Bern [1]"}
    assert (found.usage.output_tokens, found.usage.total_tokens) == (3, 9)
    assert found.response["citations"] == ["https://example.org/a", "https://example.org/b"]
    assert found.stream_ended is False


def test_usage_that_groq_puts_aside_is_found():
    found = decoded(sample("chat_groq.sse"))

    assert (found.usage.input_tokens, found.usage.output_tokens) == (36, 2)
    assert found.usage.raw["queue_time"] == 0.018


def test_usage_in_several_chunks_is_never_summed():
    chunks = [{"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": n}} for n in (1, 2, 3)]

    found = decoded(chat_stream(*chunks, {"choices": [], "usage": None}, {"choices": [], "usage": {}}))

    assert found.usage == Usage(input_tokens=5, output_tokens=3, raw={"prompt_tokens": 5, "completion_tokens": 3})


def test_a_stream_without_usage_has_unknown_usage():
    assert decoded(sample("chat_two_choices.sse")).usage is None


def test_an_error_in_a_chunk_is_found_and_the_text_is_kept():
    found = decoded(sample("chat_error_in_chunk.sse"))

    assert found.error == ProviderError(kind="502", message="Provider disconnected unexpectedly")
    assert found.response["choices"][0]["message"]["content"] == "Once upon"
    assert found.finish_reasons == ("error",)
    assert found.stream_ended is False


def test_an_error_event_is_found_and_the_text_is_kept():
    found = decoded(sample("chat_error_event.sse"))

    assert found.error == ProviderError(
        kind="server_error", message="The server had an error while processing your request"
    )
    assert found.response["choices"][0]["message"]["content"] == "The"


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (b'event: error\ndata: {"message": "m", "code": 7}\n\n', ProviderError(kind="7", message="m")),
        (b"event: error\ndata: went wrong\n\n", ProviderError(kind=None, message="went wrong")),
        (b'data: {"error": "went wrong"}\n\n', ProviderError(kind=None, message="went wrong")),
        (b'data: {"error": {"message": "m", "type": "t"}}\n\n', ProviderError(kind="t", message="m")),
    ],
)
def test_a_stream_that_is_only_an_error_is_that_error(event, error):
    found = decoded(event)

    assert found.error == error
    assert found.response.keys() == {"error"}


def test_the_partial_text_of_a_stream_cut_inside_an_event_is_kept():
    stream = delta_stream({"role": "assistant", "content": "Hel"}, {"content": "lo"}, end=b'data: {"choices":[{"del')

    found = decoded(stream)

    assert found.response["choices"][0]["message"]["content"] == "Hello"
    assert (found.stream_ended, found.problem) == (False, None)


def test_a_last_event_without_its_blank_line_counts():
    assert decoded(delta_stream({"content": "a"}, end=b"data: [DONE]")).stream_ended is True


def test_nothing_behind_the_end_mark_is_read():
    found = decoded(delta_stream({"content": "a"}) + delta_stream({"content": "b"}))

    assert found.response["choices"][0]["message"]["content"] == "a"


def test_events_that_are_no_json_are_counted_and_cost_nothing_else():
    found = decoded(b"data: ping\n\n" + delta_stream({"content": "a"}, end=b"data: [1]\n\ndata: [DONE]\n\n"))

    assert found.response["choices"][0]["message"]["content"] == "a"
    assert found.problem == "of the stream, 2 whole events are no JSON objects"


def test_a_stream_without_any_event_has_no_response():
    found = decoded(b": nothing\n\n")

    assert (found.response, found.stream_ended, found.first_token_s) == (None, False, None)


def test_an_answer_without_streaming_is_kept_as_it_is():
    found = decode(exchange_of(Endpoint.CHAT, sample("chat_text.json"), request=REQUEST | {"stream": False}))

    assert found.response == json.loads(sample("chat_text.json"))
    assert found.preview == "Hi → Hello! How can I help you today?"
    assert (found.usage.input_tokens, found.usage.output_tokens) == (8, 10)
    assert (found.stream, found.stream_ended, found.first_token_s) == (False, None, None)
    assert found.finish_reasons == ("stop",)


def test_the_preview_shows_calls_instead_of_a_text_that_is_not_there():
    found = decode(exchange_of(Endpoint.CHAT, sample("chat_tools.json"), request=REQUEST))

    assert found.preview == 'Hi → get_weather({"city":"Paris"})'


def test_a_custom_tool_call_is_shown_with_its_input():
    message = {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "sql", "input": "select 1"}}]}
    body = json.dumps({"choices": [{"message": message}]}).encode()

    assert decode(exchange_of(Endpoint.CHAT, body, request=REQUEST)).preview == "Hi → sql(select 1)"


def test_an_answer_cut_off_without_streaming_is_a_problem():
    found = decode(exchange_of(Endpoint.CHAT, sample("chat_text.json")[:200], request=REQUEST))

    assert found.response is None
    assert found.problem.startswith("the response body is no JSON: ")
    assert found.model == "gpt-4.1"


def test_a_stored_completion_that_is_only_looked_at_has_no_tokens_of_its_own():
    stored = {"target": "/v1/chat/completions/chatcmpl-1", "method": "GET"}

    assert decode(exchange_of(Endpoint.CHAT, sample("chat_text.json"), **stored)).usage is None
    assert decode(exchange_of(Endpoint.CHAT, sample("chat_text.json"), **stored | {"method": "POST"})).usage is None


WRONG = [None, 5, "x", True, [], {}, [5], [None], ["x"], [[]], {"a": 1}]


@pytest.mark.parametrize("member", ["model", "messages", "stream"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_request_member_of_a_wrong_type_costs_only_itself(member, wrong):
    found = decode(exchange_of(Endpoint.CHAT, sample("chat_text.json"), request=REQUEST | {member: wrong}))

    assert found.request == REQUEST | {member: wrong}
    assert found.preview.endswith("Hello! How can I help you today?")
    assert (found.problem, found.usage.input_tokens) == (None, 8)


@pytest.mark.parametrize("member", ["id", "model", "choices", "usage", "error", "created", "x_groq"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_response_member_of_a_wrong_type_costs_only_itself(member, wrong):
    response = json.loads(sample("chat_text.json")) | {member: wrong}

    found = decode(exchange_of(Endpoint.CHAT, json.dumps(response).encode(), request=REQUEST))

    assert found.response == response
    assert found.problem is None
    assert found.model == "gpt-4.1"
    assert member == "usage" or found.usage.input_tokens == 8


@pytest.mark.parametrize("member", ["role", "content", "tool_calls", "function_call", "refusal", "audio", "unknown"])
@pytest.mark.parametrize("first", WRONG)
@pytest.mark.parametrize("second", WRONG)
def test_a_delta_member_of_a_wrong_type_costs_only_itself(member, first, second):
    found = decoded(delta_stream({"said": "a", member: first}, {"said": "b", member: second}))

    assert found.response["choices"][0]["message"]["said"] == "ab"
    assert found.problem is None


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("member", ["index", "id", "type", "function", "name", "arguments", "text", "signature"])
def test_a_part_or_call_member_of_a_wrong_type_costs_only_itself(member, wrong):
    part = {"type": "text", "text": "a"} | {member: wrong}
    call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": ""} | {member: wrong}} | {member: wrong}
    delta = {"said": "a", "content": [part, part], "tool_calls": [call, call]}

    found = decoded(delta_stream(delta, delta))

    assert found.response["choices"][0]["message"]["said"] == "aa"
    assert found.problem is None


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("member", ["index", "delta", "message", "logprobs", "finish_reason"])
def test_a_choice_member_of_a_wrong_type_costs_only_itself(member, wrong):
    found = decoded(
        chat_stream({"choices": [{member: wrong, "kept": 1}, 5]}, {"choices": [{"delta": {"content": "a"}}]})
    )

    assert found.problem is None
    assert any("kept" in choice for choice in found.response["choices"])
    assert found.response["choices"][0]["message"]["content"] == "a"


@given(
    chunks=st.lists(
        st.recursive(
            st.none() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "choices",
                            "delta",
                            "index",
                            "content",
                            "tool_calls",
                            "function",
                            "name",
                            "id",
                            "type",
                            "text",
                            "message",
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=25,
        ),
        max_size=5,
    )
)
def test_chunks_of_any_shape_are_put_together(chunks):
    found = decoded(chat_stream(*chunks))

    assert found.problem is None or found.problem.endswith("whole events are no JSON objects")
    assert found.stream_ended is True
