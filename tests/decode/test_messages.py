"""The samples have the shapes of https://platform.claude.com/docs/en/build-with-claude/streaming ("Full HTTP stream
response") and of .../tool-use/web-search-tool; the oracle is what the anthropic SDK puts together itself."""

import json
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import assert_cuts_change_nothing, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint
from records import json_values

REQUEST = {"model": "claude-sonnet-4-5", "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
STREAMS = ["messages_text.sse", "messages_tools.sse", "messages_thinking.sse", "messages_web_search.sse"]


def decoded(stream: bytes, request: Any = REQUEST, **members: Any):
    return decode(exchange_of(Endpoint.MESSAGES, stream, request=request, **members))


def typed(*events: Any) -> bytes:
    return b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in events)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(member) for key, member in value.items() if member is not None}
    return [without_nulls(member) for member in value] if isinstance(value, list) else value


def as_the_sdk_sees_it(events: list[Any]) -> Any:
    snapshot, buffers = None, {}
    for event in events:
        if event["type"] not in ("ping", "content_block_stop", "message_stop"):
            snapshot = accumulate_event(event=event, current_snapshot=snapshot, json_bufs=buffers)
    return without_nulls(json.loads(snapshot.to_json(warnings=False)))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_cut_off_behind_any_event_is_what_the_anthropic_sdk_makes_of_it(name):
    stream = sample(name)
    events = parse_events(stream)

    for number in range(1, len(events) + 1):
        ours = without_nulls(decoded(stream[: events[number - 1].end]).response)
        theirs = as_the_sdk_sees_it([json.loads(event.data) for event in events[:number]])
        for mine, other in zip(ours["content"], theirs["content"], strict=True):
            if isinstance(mine.get("input"), str):
                mine["input"] = other["input"]  # the SDK guesses how JSON that was cut off goes on
        assert ours == theirs


@pytest.mark.parametrize("name", [*STREAMS, "messages_error.sse"])
def test_where_a_stream_is_split_changes_nothing(name):
    assert_cuts_change_nothing(Endpoint.MESSAGES, sample(name), request=REQUEST)


def test_a_text_is_read_with_its_tokens():
    found = decoded(sample("messages_text.sse"))

    assert (found.kind, found.model, found.response_model) == (
        "chat",
        "claude-sonnet-4-5",
        "claude-sonnet-4-5-20250929",
    )
    assert found.response["content"] == [{"type": "text", "text": "Grüß dich! 👋"}]
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (25, 15, 40)
    assert found.finish_reasons == ("end_turn",)
    assert found.preview == "Hi → Grüß dich! 👋"
    assert (found.stream, found.stream_ended, found.problem, found.error) == (True, True, None, None)


def test_the_input_of_a_tool_is_put_together_from_its_pieces():
    found = decoded(sample("messages_tools.sse"))

    assert [block.get("input") for block in found.response["content"]] == [
        None,
        {"location": "San Francisco, CA", "unit": "fahrenheit"},
        {},
    ]
    assert found.finish_reasons == ("tool_use",)


def test_an_input_that_was_cut_off_stays_the_text_that_it_was():
    stream = sample("messages_tools.sse")
    cut = stream.index(b"event: content_block_delta", stream.index(b"Francisco"))

    found = decoded(stream[:cut])

    assert found.response["content"][1]["input"] == '{"location": "San Francisco, CA"'


def test_tokens_of_caches_are_part_of_the_input_and_those_of_thinking_of_the_output():
    found = decoded(sample("messages_thinking.sse"))

    usage = found.usage
    assert (usage.input_tokens, usage.cached_input_tokens, usage.cache_write_input_tokens) == (7100, 5000, 2000)
    assert (usage.output_tokens, usage.reasoning_output_tokens, usage.total_tokens) == (300, 210, 7400)
    assert usage.raw["cache_creation"] == {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 1500}
    assert usage.raw["input_tokens"] == 100
    assert found.preview == "Hi → The greatest common divisor is **21**."


def test_counts_at_the_end_of_a_stream_are_those_of_the_whole():
    usage = decoded(sample("messages_web_search.sse")).usage

    assert (usage.input_tokens, usage.output_tokens) == (10682, 510)
    assert usage.raw["server_tool_use"] == {"web_search_requests": 1}


def test_citations_stand_beside_their_text():
    block = decoded(sample("messages_web_search.sse")).response["content"][3]

    assert block["text"] == "It is 63°F in New York."
    assert [citation["cited_text"] for citation in block["citations"]] == ["63°F", "New York"]


def test_the_output_of_a_stream_that_broke_off_was_not_counted():
    stream = sample("messages_text.sse")

    found = decoded(stream[: stream.index(b"event: message_delta")])

    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (25, None, None)
    assert (found.stream_ended, found.response["content"][0]["text"]) == (False, "Grüß dich! 👋")


def test_an_error_event_is_found_and_the_text_is_kept():
    found = decoded(sample("messages_error.sse"))

    assert found.error == ProviderError(kind="overloaded_error", message="Overloaded")
    assert found.response["content"] == [{"type": "text", "text": "Once upon"}]
    assert found.stream_ended is False


def test_a_message_without_streaming_is_kept_as_it_is():
    found = decoded(sample("messages.json"), request=REQUEST | {"stream": False})

    assert found.response == json.loads(sample("messages.json"))
    assert (found.usage.input_tokens, found.usage.output_tokens) == (7100, 300)
    assert found.preview == "Hi → Hi! My name is Claude."
    assert (found.stream, found.stream_ended) == (False, None)


def test_an_error_answer_is_read():
    # https://platform.claude.com/docs/en/api/errors
    body = b'{"type":"error","error":{"type":"rate_limit_error","message":"Slow down"},"request_id":"req_1"}'

    found = decoded(body, http_status=429)

    assert found.error == ProviderError(kind="rate_limit_error", message="Slow down")


def test_the_model_of_vertex_stands_in_the_path():
    target = "/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    request = {"anthropic_version": "vertex-2023-10-16", "stream": True, "messages": []}

    assert decoded(sample("messages_text.sse"), request=request, target=target).model == "claude-sonnet-4-5@20250929"


def test_the_preview_shows_what_was_said_and_not_what_tools_answered():
    results = [{"type": "tool_result", "tool_use_id": "t", "content": "63 degrees"}]
    request = REQUEST | {"messages": [*REQUEST["messages"], {"role": "user", "content": results}]}

    assert decoded(sample("messages_tools.sse"), request=request).preview == "Hi → Okay, let's check the weather."


def test_a_reply_of_tools_alone_is_shown_by_its_calls():
    response = {"type": "message", "content": [{"type": "tool_use", "name": "f", "input": {"a": 1}}]}

    assert decoded(json.dumps(response).encode()).preview == 'Hi → f({"a":1})'


def test_the_first_token_is_the_first_content_and_not_its_announcement():
    events = [event + b"\n\n" for event in sample("messages_text.sse").split(b"\n\n")[:-1]]

    assert decode(exchange_of(Endpoint.MESSAGES, events, request=REQUEST)).first_token_s == 0.4


def test_the_name_of_a_tool_is_content():
    start = typed({"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "f"}})

    assert decode(exchange_of(Endpoint.MESSAGES, [typed({"type": "ping"}), start])).first_token_s == 0.2


def test_events_and_deltas_that_nobody_knows_yet_are_kept_or_passed_over():
    stream = typed(
        {"type": "message_start", "message": {"id": "m"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": None}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "a"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "compaction_delta", "content": "b"}},
        {"type": "something_new", "data": 1},
    )

    assert decoded(stream).response["content"] == [{"type": "compaction", "content": "ab"}]


def test_how_long_an_input_would_be_is_no_usage():
    found = decode(exchange_of(Endpoint.COUNT_TOKENS, sample("messages_count_tokens.json"), request=REQUEST))

    assert (found.kind, found.usage, found.response) == ("token_count", None, {"input_tokens": 2095})
    assert (found.model, found.preview) == ("claude-sonnet-4-5", "Hi")


@pytest.mark.parametrize(
    ("target", "model"),
    [
        ("/v1beta/models/gemini-2.5-pro:countTokens", "gemini-2.5-pro"),
        ("/model/anthropic.claude-3-haiku-20240307-v1%3A0/count-tokens", "anthropic.claude-3-haiku-20240307-v1:0"),
    ],
)
def test_the_model_of_an_input_that_is_only_counted_can_stand_in_the_path(target, model):
    found = decode(exchange_of(Endpoint.COUNT_TOKENS, b'{"totalTokens": 5}', request={}, target=target))

    assert (found.model, found.usage) == (model, None)


@given(
    events=st.lists(
        st.fixed_dictionaries(
            {
                "type": st.sampled_from(
                    ["message_start", "content_block_start", "content_block_delta", "message_delta", "error", "x"]
                )
            },
            optional={
                key: json_values
                | st.dictionaries(
                    st.sampled_from(["type", "text", "partial_json", "content", "usage", "input", "citation", "name"]),
                    json_values | st.sampled_from(["text_delta", "input_json_delta", "citations_delta"]),
                )
                for key in ("message", "content_block", "delta", "index", "usage", "error")
            },
        ),
        max_size=6,
    )
)
def test_events_of_any_shape_are_put_together(events):
    found = decoded(typed(*events))

    assert "decoder failed" not in (found.problem or "")
    json.dumps(found.response)
