"""The samples have the shapes of https://docs.aws.amazon.com/bedrock/latest/userguide/conversation-inference.html and
of the service model of botocore (bedrock-runtime 2023-09-30), by which botocore itself reads their events below."""

import json
from itertools import pairwise
from typing import Any

import botocore.loaders
import pytest
from botocore.eventstream import EventStream
from botocore.model import ServiceModel
from botocore.parsers import EventStreamJSONParser
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import assert_cuts_change_nothing, exchange_of, sample
from decode.frames import event
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.event_stream import MEDIA_TYPE, parse_frames
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint
from records import json_values

REQUEST = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}], "inferenceConfig": {"maxTokens": 512}}
WHOLE = {"target": "/model/amazon.nova-lite-v1:0/converse", "content_type": "application/json"}
STREAMS = ["converse_text.eventstream", "converse_tools.eventstream", "converse_error.eventstream"]


def decoded(stream: bytes, **members: Any):
    return decode(
        exchange_of(Endpoint.CONVERSE, stream, **({"request": REQUEST, "content_type": MEDIA_TYPE} | members))
    )


class Wire:
    """The body of an HTTP response, as botocore takes it."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self):
        yield self._body

    def close(self) -> None:
        pass


def as_botocore_sees_it(stream: bytes) -> list[dict[str, Any]]:
    service = ServiceModel(botocore.loaders.Loader().load_service_model("bedrock-runtime", "service-2"))
    output = service.shape_for("ConverseStreamOutput")
    return list(EventStream(Wire(stream), output, EventStreamJSONParser(), "ConverseStream"))


@pytest.mark.parametrize("name", STREAMS[:2])
def test_text_and_tool_input_are_what_the_events_of_botocore_add_up_to(name):
    stream = sample(name)
    texts: dict[int, str] = {}
    inputs: dict[int, str] = {}
    for one in as_botocore_sees_it(stream):
        if "contentBlockDelta" in one:
            index, delta = one["contentBlockDelta"]["contentBlockIndex"], one["contentBlockDelta"]["delta"]
            texts[index] = texts.get(index, "") + delta.get("text", "")
            inputs[index] = inputs.get(index, "") + delta.get("toolUse", {}).get("input", "")

    content = decoded(stream).response["output"]["message"]["content"]

    assert [block.get("text", "") for block in content] == list(texts.values())
    assert [json.dumps(block["toolUse"]["input"]) for block in content if "toolUse" in block] == [
        one for one in inputs.values() if one
    ]


def test_the_whole_of_a_stream_has_the_shape_of_an_answer_without_streaming():
    found = decoded(sample("converse_tools.eventstream"))

    assert found.response == {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {
                        "reasoningContent": {
                            "reasoningText": {"text": "The user wants the weather.", "signature": "EqQBCgIYAhIM"}
                        }
                    },
                    {"text": "Let me look."},
                    {
                        "toolUse": {
                            "name": "get_weather",
                            "toolUseId": "tooluse_kZJMlvQmRJ6eAyJE5GIl7Q",
                            "input": {"city": "Oslo"},
                        }
                    },
                ],
            }
        },
        "stopReason": "tool_use",
        "additionalModelResponseFields": {"top_k": 5},
        "metrics": {"latencyMs": 900},
        "usage": {"inputTokens": 412, "outputTokens": 66, "totalTokens": 478},
    }
    assert (found.finish_reasons, found.preview) == (("tool_use",), "Hi → Let me look.")
    assert (found.stream, found.stream_ended, found.problem, found.error) == (True, True, None, None)


def test_model_and_tokens_are_read_and_those_of_caches_are_input():
    found = decoded(sample("converse_text.eventstream"))

    usage = found.usage
    assert found.model == "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3010, 22, 3032)
    assert (usage.cached_input_tokens, usage.cache_write_input_tokens) == (2000, 1000)
    assert found.preview == "Hi → Grüß dich! 🙂"


@pytest.mark.parametrize("name", STREAMS)
def test_where_a_stream_is_split_changes_nothing(name):
    assert_cuts_change_nothing(Endpoint.CONVERSE, sample(name), request=REQUEST, content_type=MEDIA_TYPE)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_broke_off_at_any_byte_is_read_as_far_as_its_whole_frames(name):
    stream = sample(name)
    ends = [0, *(frame.end for frame in parse_frames(stream)[0])]

    for cut in range(len(stream)):
        torn, tidy = decoded(stream[:cut]), decoded(stream[: max(end for end in ends if end <= cut)])
        assert torn == tidy
        assert torn.problem is None


def test_an_exception_in_a_stream_is_found_and_the_text_is_kept():
    found = decoded(sample("converse_error.eventstream"))

    assert found.error == ProviderError(
        kind="throttlingException", message="Too many requests, please wait before trying again."
    )
    assert found.response["output"]["message"]["content"] == [{"text": "Once upon"}]
    assert (found.stream_ended, found.usage) == (False, None)


def test_a_damaged_stream_is_read_up_to_there_and_says_so():
    stream = bytearray(sample("converse_text.eventstream"))
    second = parse_frames(bytes(stream))[0][1].end
    stream[second + 20] ^= 1

    found = decoded(bytes(stream))

    assert found.response["output"]["message"]["content"] == [{"text": "Grüß"}]
    assert found.problem == f"the event stream has a wrong checksum in the frame at byte {second}"


def test_the_first_token_is_the_first_content():
    stream = sample("converse_text.eventstream")
    ends = [0, *(frame.end for frame in parse_frames(stream)[0])]
    pieces = [stream[start:end] for start, end in pairwise(ends)]

    found = decode(exchange_of(Endpoint.CONVERSE, pieces, request=REQUEST, content_type=MEDIA_TYPE))

    assert found.first_token_s == 0.2


def test_an_answer_without_streaming_is_kept_as_it_is():
    found = decoded(sample("converse.json"), **WHOLE)

    assert found.response == json.loads(sample("converse.json"))
    assert (found.model, found.stream, found.stream_ended) == ("amazon.nova-lite-v1:0", False, None)
    assert (found.usage.input_tokens, found.usage.total_tokens) == (19, 31)
    assert found.preview == "Hi → It is sunny."


def test_the_type_of_an_error_stands_in_a_header():
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
    headers = (
        ("Content-Type", "application/json"),
        ("x-amzn-ErrorType", "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"),
    )
    body = b'{"message":"The provided model identifier is invalid."}'

    found = decoded(body, http_status=400, response_headers=headers)

    assert found.error == ProviderError(kind="ValidationException", message="The provided model identifier is invalid.")


def test_citations_are_kept_with_their_text():
    stream = b"".join(
        event("contentBlockDelta", {"contentBlockIndex": 0, "delta": delta})
        for delta in ({"text": "It is "}, {"citation": {"title": "A"}}, {"text": "63°F."})
    )

    [block] = decoded(stream).response["output"]["message"]["content"]

    assert block == {"citationsContent": {"content": [{"text": "It is 63°F."}], "citations": [{"title": "A"}]}}
    assert decoded(stream).preview == "Hi → It is 63°F."


def test_the_input_of_a_tool_that_was_cut_off_stays_the_text_that_it_was():
    stream = event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"toolUse": {"input": '{"city": "Os'}}})

    assert decoded(stream).response["output"]["message"]["content"] == [{"toolUse": {"input": '{"city": "Os'}}]


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata", ""]),
            json_values
            | st.fixed_dictionaries(
                {},
                optional={
                    key: json_values
                    | st.dictionaries(
                        st.sampled_from(["toolUse", "text", "reasoningContent", "citation", "toolResult", "input"]),
                        json_values,
                    )
                    for key in ("delta", "start", "usage", "contentBlockIndex", "role")
                },
            ),
        ),
        max_size=5,
    )
)
def test_events_of_any_shape_are_put_together(events):
    found = decoded(b"".join(event(kind, payload) for kind, payload in events))

    assert "decoder failed" not in (found.problem or "")
    json.dumps(found.response)
