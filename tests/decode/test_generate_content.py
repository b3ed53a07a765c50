"""The samples have the shapes of https://ai.google.dev/api/generate-content and of
https://ai.google.dev/gemini-api/docs/thinking; the oracle is what the google-genai SDK reads in the same pieces."""

import json
from typing import Any

import pytest
from google.genai import types
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import assert_cuts_change_nothing, chat_stream, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint
from records import json_values

REQUEST = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 500}}
ARRAY = {"target": "/v1beta/models/gemini-2.5-pro:streamGenerateContent", "content_type": "application/json"}
WHOLE = {"target": "/v1beta/models/gemini-2.5-pro:generateContent", "content_type": "application/json"}


def decoded(stream: bytes, *, request: Any = REQUEST, **members: Any):
    return decode(exchange_of(Endpoint.GENERATE_CONTENT, stream, request=request, **members))


def of_the_sdk(chunks: list[Any]) -> tuple[str, str, list[Any], Any]:
    """Text, thoughts, function calls and the last usage."""
    responses = [types.GenerateContentResponse.model_validate(chunk) for chunk in chunks]
    parts = [part for one in responses for part in one.candidates[0].content.parts]
    return (
        "".join(part.text for part in parts if part.text and not part.thought),
        "".join(part.text for part in parts if part.text and part.thought),
        [(part.function_call.name, part.function_call.args) for part in parts if part.function_call],
        responses[-1].usage_metadata,
    )


@pytest.mark.parametrize("name", ["generate_content_text.sse", "generate_content_thoughts.sse"])
def test_a_stream_cut_off_behind_any_event_is_what_the_google_sdk_reads_in_it(name):
    stream = sample(name)
    events = parse_events(stream)

    for number in range(1, len(events) + 1):
        found = decoded(stream[: events[number - 1].end])
        text, thoughts, calls, usage = of_the_sdk([json.loads(event.data) for event in events[:number]])
        ours = of_the_sdk([found.response])
        assert ours == (text, thoughts, calls, usage)
        assert found.usage.total_tokens == usage.total_token_count


@pytest.mark.parametrize("name", ["generate_content_text.sse", "generate_content_thoughts.sse"])
def test_where_a_stream_is_split_changes_nothing(name):
    assert_cuts_change_nothing(Endpoint.GENERATE_CONTENT, sample(name), request=REQUEST)


def test_text_that_goes_on_is_one_part():
    found = decoded(sample("generate_content_text.sse"))

    assert found.response["candidates"] == [
        {
            "content": {"parts": [{"text": "AI learns patterns from data — naïvely 🙂."}], "role": "model"},
            "index": 0,
            "finishReason": "STOP",
        }
    ]
    assert (found.model, found.response_model) == ("gemini-2.5-flash", "gemini-2.5-flash")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (8, 12, 20)
    assert (found.preview, found.finish_reasons) == ("Hi → AI learns patterns from data — naïvely 🙂.", ("STOP",))
    assert (found.stream, found.stream_ended, found.problem, found.error) == (True, True, None, None)


def test_thoughts_calls_and_signatures_keep_their_places():
    parts = decoded(sample("generate_content_thoughts.sse")).response["candidates"][0]["content"]["parts"]

    assert parts == [
        {"text": "**Weighing** the options.", "thought": True},
        {"text": "I will look it up."},
        {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}, "thoughtSignature": "CikBAdHtim9QPTmH"},
        {"functionCall": {"name": "get_weather", "args": {"city": "Rome"}}},
        {"text": ""},
    ]


def test_thoughts_are_output_and_what_tools_read_is_input():
    found = decoded(sample("generate_content_thoughts.sse"))

    usage = found.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (135, 280, 415)
    assert (usage.reasoning_output_tokens, usage.cached_input_tokens) == (250, 64)
    assert (usage.audio_input_tokens, usage.audio_output_tokens) == (40, None)
    assert usage.raw["promptTokenCount"] == 120
    assert found.preview == "Hi → I will look it up."


def test_thoughts_that_are_counted_among_the_candidates_are_not_added_once_more():
    usage = {"promptTokenCount": 8, "candidatesTokenCount": 30, "thoughtsTokenCount": 20, "totalTokenCount": 38}
    body = json.dumps({"candidates": [], "usageMetadata": usage}).encode()

    found = decoded(body, **WHOLE).usage

    assert (found.output_tokens, found.reasoning_output_tokens, found.total_tokens) == (30, 20, 38)


def test_a_stream_without_sse_is_an_array_that_means_the_same():
    events = [json.loads(event.data) for event in parse_events(sample("generate_content_text.sse"))]
    events[0]["candidates"][0]["content"]["parts"][0]["text"] = 'Say "hi" \\ [ok] {'

    array = decoded(sample("generate_content_array.json"), **ARRAY)
    sse = decoded(chat_stream(*events, end=b""))

    assert (array.response, array.usage, array.finish_reasons) == (sse.response, sse.usage, sse.finish_reasons)
    assert (array.model, array.stream, array.stream_ended, array.problem) == ("gemini-2.5-pro", True, True, None)


def test_where_an_array_is_split_changes_nothing():
    assert_cuts_change_nothing(
        Endpoint.GENERATE_CONTENT, sample("generate_content_array.json"), request=REQUEST, **ARRAY
    )


def test_an_array_that_broke_off_at_any_byte_is_read_as_far_as_its_whole_elements():
    stream = sample("generate_content_array.json")
    texts = ['Say "hi" \\ [ok] {', "patterns from data", " — naïvely 🙂."]
    seen = set()

    for cut in range(1, len(stream) - 2):
        found = decoded(stream[:cut], **ARRAY)
        count = 0 if found.response is None else len(found.response.get("candidates", []))
        text = found.response["candidates"][0]["content"]["parts"][0]["text"] if count else ""
        seen.add(text)
        assert text in ("", texts[0], texts[0] + texts[1], "".join(texts))
        assert (found.stream_ended, found.problem) == (False, None)
    assert len(seen) == 4


def test_the_first_token_of_an_array_is_the_end_of_its_first_element():
    stream = sample("generate_content_array.json")
    first = stream.index(b"\n,") + 1

    found = decode(
        exchange_of(Endpoint.GENERATE_CONTENT, [stream[:5], stream[5:first], stream[first:]], request=REQUEST, **ARRAY)
    )

    assert found.first_token_s == 0.2


def test_an_object_where_an_array_was_hoped_for_is_read():
    found = decoded(sample("generate_content.json"), **ARRAY)

    assert (found.response, found.problem) == (json.loads(sample("generate_content.json")), None)


def test_an_answer_without_streaming_is_kept_as_it_is():
    found = decoded(sample("generate_content.json"), **WHOLE)

    assert found.response == json.loads(sample("generate_content.json"))
    assert (found.stream, found.stream_ended, found.preview) == (False, None, "Hi → Paris.")


def test_a_prompt_that_was_refused_ends_with_the_reason():
    found = decoded(sample("generate_content_blocked.sse"))

    assert (found.finish_reasons, found.stream_ended) == (("PROHIBITED_CONTENT",), True)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (9, 0)


@pytest.mark.parametrize("wrap", [b"%b", b"[%b]"])
@pytest.mark.parametrize("place", [WHOLE, ARRAY])
def test_an_error_answer_is_read(wrap, place):
    # https://ai.google.dev/gemini-api/docs/troubleshooting
    found = decoded(wrap % sample("generate_content_error.json"), http_status=429, **place)

    assert found.error == ProviderError(kind="RESOURCE_EXHAUSTED", message="You exceeded your current quota.")


def test_an_error_within_a_stream_is_found_and_the_text_is_kept():
    stream = sample("generate_content_text.sse")
    first = stream[: parse_events(stream)[0].end]
    error = json.loads(sample("generate_content_error.json"))

    found = decoded(first + chat_stream(error, end=b""))

    assert found.error.message == "You exceeded your current quota."
    assert found.response["candidates"][0]["content"]["parts"] == [{"text": "AI learns "}]
    assert found.stream_ended is False


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n\r\n"])
def test_an_error_that_ends_a_stream_as_bare_json_is_found_and_the_text_is_kept(end):
    stream = sample("generate_content_text.sse")
    first = stream[: parse_events(stream)[0].end]

    found = decoded(first + sample("generate_content_error.json") + end)

    assert found.error == ProviderError(kind="RESOURCE_EXHAUSTED", message="You exceeded your current quota.")
    assert found.response["candidates"] == decoded(first).response["candidates"]


def test_several_candidates_grow_side_by_side():
    def piece(index: int, text: str) -> Any:
        return {"candidates": [{"index": index, "content": {"parts": [{"text": text}]}, "finishReason": "STOP"}]}

    found = decoded(chat_stream(piece(1, "b"), piece(0, "a"), piece(1, "c"), end=b""))

    assert [one["content"]["parts"][0]["text"] for one in found.response["candidates"]] == ["a", "bc"]


@pytest.mark.parametrize(
    ("contents", "asked"),
    [
        ("Hi", "Hi"),
        ({"parts": [{"text": "Hi"}]}, "Hi"),
        ([{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "model", "parts": [{"text": "Yes?"}]}], "Hi"),
        ([{"parts": [{"text": "Hi"}]}, {"role": "user", "parts": [{"functionResponse": {"name": "f"}}]}], "Hi"),
        (5, ""),
    ],
)
def test_the_preview_shows_what_was_said_last(contents, asked):
    found = decoded(sample("generate_content.json"), request={"contents": contents}, **WHOLE)

    assert found.preview == (f"{asked} → Paris." if asked else "Paris.")


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"functionCall": {"name": "f", "args": {"a": 1}}}, 'f({"a":1})'),
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, "[image]"),
        ({"text": "hm", "thought": True}, None),
    ],
)
def test_a_reply_without_text_is_shown_by_what_it_is(part, shown):
    body = json.dumps({"candidates": [{"content": {"parts": [part]}}]}).encode()

    assert decoded(body, request=None, **WHOLE).preview == shown


@given(
    chunks=st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "candidates": json_values
                | st.lists(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "content": json_values
                            | st.fixed_dictionaries({"parts": json_values | st.lists(json_values)}),
                            "index": json_values,
                            "finishReason": json_values,
                        },
                    ),
                    max_size=2,
                ),
                "usageMetadata": json_values | st.dictionaries(st.sampled_from(["promptTokenCount"]), json_values),
                "promptFeedback": json_values,
            },
        ),
        max_size=3,
    )
)
def test_pieces_of_any_shape_are_put_together(chunks):
    for found in (
        decoded(chat_stream(*chunks, end=b"")),
        decoded(json.dumps(chunks).encode(), **ARRAY),
    ):
        assert "decoder failed" not in (found.problem or "")
        json.dumps(found.response)


@given(st.binary(max_size=60))
def test_an_array_of_random_bytes_never_raises(body):
    assert "decoder failed" not in (decoded(b"[{" + body, **ARRAY).problem or "")
