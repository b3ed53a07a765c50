"""The samples have the shapes of https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html, a page for
each maker of models, in the frames of InvokeModelWithResponseStream."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import assert_cuts_change_nothing, exchange_of, sample
from decode.frames import event
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.event_stream import MEDIA_TYPE, parse_frames
from llm_proxy.model.exchange import Endpoint
from records import json_values

STREAMS = [
    "invoke_model_claude.eventstream",
    "invoke_model_llama.eventstream",
    "invoke_model_nova.eventstream",
    "invoke_model_gpt_oss.eventstream",
]
PROMPT = {"prompt": "Why?", "max_gen_len": 512}
TITAN = {"target": "/model/amazon.titan-text-express-v1/invoke", "request": {"inputText": "Why?"}}


def decoded(stream: bytes, *, request: Any = PROMPT, content_type: str = MEDIA_TYPE, **members: Any):
    exchange = exchange_of(Endpoint.INVOKE_MODEL, stream, request=request, content_type=content_type, **members)
    return decode(exchange)


def chunk(value: Any) -> bytes:
    return event("chunk", {"bytes": base64.b64encode(json.dumps(value).encode()).decode(), "p": "abc"})


def test_claude_streams_the_events_of_its_own_messages():
    request = {"anthropic_version": "bedrock-2023-05-31", "messages": [{"role": "user", "content": "Hi"}]}

    found = decoded(sample("invoke_model_claude.eventstream"), request=request)

    assert found.response["content"] == [{"type": "text", "text": "Grüß dich!"}]
    assert (found.usage.input_tokens, found.usage.cached_input_tokens, found.usage.output_tokens) == (32, 7, 15)
    assert (found.preview, found.finish_reasons) == ("Hi → Grüß dich!", ("end_turn",))
    assert (found.model, found.response_model) == ("meta.llama3-3-70b-instruct-v1:0", "claude-3-haiku-20240307")
    assert (found.stream, found.stream_ended, found.problem) == (True, True, None)


def test_llama_streams_pieces_of_a_text():
    found = decoded(sample("invoke_model_llama.eventstream"))

    assert (found.response["generation"], found.response["stop_reason"]) == ("The sky", "stop")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (18, 3, 21)
    assert (found.kind, found.preview, found.finish_reasons) == ("prompt", "Why? → The sky", ("stop",))
    assert found.stream_ended is True


def test_nova_streams_the_events_of_converse():
    request = {"messages": [{"role": "user", "content": [{"text": "Why?"}]}]}

    found = decoded(sample("invoke_model_nova.eventstream"), request=request)

    assert found.response["output"]["message"] == {"role": "assistant", "content": [{"text": "Blue sky."}]}
    assert (found.usage.input_tokens, found.usage.output_tokens) == (7, 4)
    assert (found.preview, found.finish_reasons) == ("Why? → Blue sky.", ("end_turn",))


def test_open_models_stream_chat_completions_and_the_counts_come_from_bedrock():
    request = {"messages": [{"role": "user", "content": "Why?"}], "stream": True}

    found = decoded(sample("invoke_model_gpt_oss.eventstream"), request=request)

    assert found.response["choices"][0]["message"] == {"role": "assistant", "content": "Blue sky."}
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (70, 20, 90)
    assert found.preview == "Why? → Blue sky."


@pytest.mark.parametrize("name", STREAMS)
def test_where_a_stream_is_split_changes_nothing(name):
    assert_cuts_change_nothing(Endpoint.INVOKE_MODEL, sample(name), request=PROMPT, content_type=MEDIA_TYPE)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_broke_off_at_any_byte_is_read_as_far_as_its_whole_frames(name):
    stream = sample(name)
    ends = [0, *(frame.end for frame in parse_frames(stream)[0])]

    for cut in range(len(stream)):
        torn, tidy = decoded(stream[:cut]), decoded(stream[: max(end for end in ends if end <= cut)])
        assert torn == tidy
        assert (torn.problem, torn.stream_ended) in ((None, False), (None, True))


def test_an_answer_of_titan_is_kept_with_its_counts():
    found = decoded(sample("invoke_model_titan.json"), content_type="application/json", **TITAN)

    assert found.response == json.loads(sample("invoke_model_titan.json"))
    assert (found.model, found.stream) == ("amazon.titan-text-express-v1", False)
    assert (found.usage.input_tokens, found.usage.output_tokens) == (5, 9)
    assert (found.preview, found.finish_reasons) == ("Why? → The sky is blue.", ("FINISH",))


def test_an_embedding_has_no_output():
    found = decoded(sample("invoke_model_titan_embed.json"), content_type="application/json", **TITAN)

    assert (found.kind, found.preview) == ("embedding", "Why?")
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (3, None, 3)


def test_counts_in_the_headers_are_taken_where_the_body_has_none():
    headers = (
        ("Content-Type", "application/json"),
        ("X-Amzn-Bedrock-Input-Token-Count", "12"),
        ("X-Amzn-Bedrock-Output-Token-Count", "x"),
    )

    found = decoded(b'{"outputs":[{"text":"Because.","stop_reason":"stop"}]}', response_headers=headers)

    assert (found.usage.input_tokens, found.usage.output_tokens) == (12, None)
    assert (found.preview, found.finish_reasons) == ("Why? → Because.", ("stop",))


def test_a_message_of_claude_without_streaming_is_one():
    found = decoded(sample("messages.json"), content_type="application/json")

    assert (found.usage.input_tokens, found.finish_reasons) == (7100, ("tool_use",))


def test_an_exception_in_a_stream_is_found_and_the_text_is_kept():
    llama = sample("invoke_model_llama.eventstream")
    first = llama[: parse_frames(llama)[0][0].end]
    error = sample("converse_error.eventstream")

    found = decoded(first + error[parse_frames(error)[0][1].end :])

    assert (found.error.kind, found.response["generation"]) == ("throttlingException", "The")
    assert found.stream_ended is False


@pytest.mark.parametrize("payload", [b"{}", b'{"bytes":"%%%"}', b'{"bytes":5}', b"[", b'{"bytes":"Wzw="}'])
def test_a_chunk_that_holds_no_json_is_counted(payload):
    found = decoded(chunk({"generation": "a"}) + event("chunk", payload))

    assert found.response == {"generation": "a"}
    assert found.problem == "of the stream, 1 whole events are no JSON objects"


@given(chunks=st.lists(json_values, max_size=4), first=st.sampled_from(["choices", "messageStart", "type", "x"]))
def test_chunks_of_any_shape_are_put_together(chunks, first):
    found = decoded(b"".join(map(chunk, [{first: "text"}, *chunks])))

    assert "decoder failed" not in (found.problem or "")
    json.dumps(found.response)
