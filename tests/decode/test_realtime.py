"""Sessions as https://platform.openai.com/docs/guides/realtime-conversations and https://ai.google.dev/api/live show
their events."""

import base64
import json
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from decode.exchanges import exchange_of
from llm_proxy.decode.dispatch import decode
from llm_proxy.model.exchange import Chunks, Endpoint

AUDIO = base64.b64encode(bytes(480)).decode()
USAGE = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
USER = {"id": "item_1", "object": "realtime.item", "type": "message", "role": "user"}
ASSISTANT = {"id": "item_2", "object": "realtime.item", "type": "message", "role": "assistant"}
CLIENT = [
    {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
    {"type": "input_audio_buffer.append", "audio": AUDIO},
    {"type": "response.create"},
]
SERVER = [
    {"type": "session.created", "session": {"model": "gpt-realtime-2025-08-28", "voice": "marin"}},
    {"type": "session.updated", "session": {"instructions": "Be brief."}},
    {"type": "conversation.item.added", "item": USER | {"content": [{"type": "input_audio", "transcript": None}]}},
    {"type": "conversation.item.added", "item": ASSISTANT | {"content": []}},
    {"type": "response.output_audio_transcript.delta", "item_id": "item_2", "delta": "Hel"},
    {"type": "response.output_audio.delta", "item_id": "item_2", "delta": AUDIO},
    {"type": "response.output_audio_transcript.delta", "item_id": "item_2", "delta": "lo!"},
    {
        "type": "conversation.item.input_audio_transcription.completed",
        "item_id": "item_1",
        "transcript": "Hi there",
    },
    {"type": "rate_limits.updated", "rate_limits": [{"name": "requests", "remaining": 9}]},
    {
        "type": "response.done",
        "response": {
            "status": "completed",
            "output": [ASSISTANT | {"content": [{"type": "output_audio", "transcript": "Hello!"}]}],
            "usage": USAGE,
        },
    },
]


def frames(events, *, by_client, close=None, opcode=Opcode.TEXT):
    said = [Frame(opcode, json.dumps(event).encode()).serialize(mask=by_client) for event in events]
    if close is not None:
        said.append(Frame(Opcode.CLOSE, Close(*close).serialize()).serialize(mask=by_client))
    return said


def chunks(pieces, first_us):
    times = [first_us + 1000 * number for number in range(len(pieces))]
    return Chunks(times_us=array("Q", times), sizes=array("Q", map(len, pieces)))


def session(client, server, *, target="/v1/realtime?model=gpt-realtime", **different):
    members = {
        "method": "GET",
        "target": target,
        "http_status": 101,
        "request_body": b"".join(client),
        "response_body": b"".join(server),
        "sent": chunks(client, 500),
        "chunks": chunks(server, 1000),
    }
    return exchange_of(Endpoint.REALTIME, **(members | different))


def openai(*, client=CLIENT, server=SERVER, closes=((1000, ""), (1000, ""))):
    return session(frames(client, by_client=True, close=closes[0]), frames(server, by_client=False, close=closes[1]))


def test_a_session_is_read_as_what_was_said_in_its_order_with_its_usage():
    decoded = decode(openai())

    assert (decoded.model, decoded.response_model) == ("gpt-realtime", "gpt-realtime-2025-08-28")
    assert decoded.request["session"] == {
        "type": "realtime",
        "instructions": "Be brief.",
        "model": "gpt-realtime-2025-08-28",
        "voice": "marin",
    }
    user, assistant = decoded.response["output"]
    assert (user["role"], user["content"], user["at_s"]) == ("user", [{"type": "text", "text": "Hi there"}], 0.003)
    assert assistant["content"] == [{"type": "text", "text": "Hello!", "spoken": True}]
    assert assistant["audio_bytes"] == 480
    assert decoded.response["audio_bytes"] == {"input": 480, "output": 480}
    assert decoded.response["close"] == {
        "client": {"code": 1000, "reason": None},
        "upstream": {"code": 1000, "reason": None},
    }
    assert decoded.preview == "Hi there → Hello!"
    assert decoded.first_token_s == 0.005
    assert decoded.finish_reasons == ("completed",)
    assert decoded.error is None
    assert AUDIO not in json.dumps(decoded.response)


def test_the_usage_of_all_responses_is_added_up_with_audio_and_cache_apart():
    decoded = decode(openai(server=[*SERVER, SERVER[-1]]))

    usage = decoded.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (264, 242, 506)
    assert (usage.audio_input_tokens, usage.audio_output_tokens, usage.cached_input_tokens) == (26, 182, 128)


def test_a_session_without_a_response_has_no_usage():
    decoded = decode(openai(server=SERVER[:2]))

    assert decoded.usage is None
    assert decoded.first_token_s is None


def test_what_had_come_of_an_answer_that_was_cut_off_is_kept():
    decoded = decode(session(frames(CLIENT, by_client=True), frames(SERVER[:7], by_client=False)))

    assert decoded.response["output"][1]["content"] == [{"type": "text", "text": "Hello!"}]
    assert "close" not in decoded.response


@pytest.mark.parametrize(
    ("closes", "kind"),
    [
        (((1000, ""), (1011, "the server had an error")), "close_1011"),
        (((4001, "mine"), (4001, "mine")), None),
        (((1000, ""), (1001, "")), None),
    ],
)
def test_a_close_of_the_upstream_that_complains_is_an_error(closes, kind):
    decoded = decode(openai(closes=closes))

    assert (decoded.error.kind if decoded.error else None) == kind


def test_an_answer_that_switched_to_nothing_is_an_error_like_any_other():
    body = json.dumps({"error": {"message": "no", "type": "invalid_request_error"}}).encode()
    decoded = decode(session([], [body], http_status=401, request_body=b""))

    assert decoded.error.kind == "invalid_request_error"


def test_google_s_messages_are_read_in_the_same_shape():
    client = [
        {"setup": {"model": "models/gemini-live-2.5-flash", "generationConfig": {"responseModalities": ["AUDIO"]}}},
        {"clientContent": {"turns": [{"role": "user", "parts": [{"text": "Hi"}]}], "turnComplete": True}},
        {"toolResponse": {"functionResponses": [{"id": "f1", "name": "now", "response": {"time": "noon"}}]}},
    ]
    server = [
        {"setupComplete": {}},
        {"toolCall": {"functionCalls": [{"id": "f1", "name": "now", "args": {}}]}},
        {"serverContent": {"modelTurn": {"parts": [{"inlineData": {"mimeType": "audio/pcm", "data": AUDIO}}]}}},
        {"serverContent": {"outputTranscription": {"text": "It is "}}},
        {"serverContent": {"outputTranscription": {"text": "noon."}}},
        {
            "serverContent": {"turnComplete": True},
            "usageMetadata": {
                "promptTokenCount": 10,
                "responseTokenCount": 20,
                "totalTokenCount": 35,
                "thoughtsTokenCount": 5,
                "responseTokensDetails": [{"modality": "AUDIO", "tokenCount": 20}],
            },
        },
    ]

    decoded = decode(
        session(
            frames(client, by_client=True),
            frames(server, by_client=False, opcode=Opcode.BINARY),
            target="/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent?key=***",
        )
    )

    assert decoded.model == "models/gemini-live-2.5-flash"
    asked, *tools, answer = decoded.response["output"]
    assert asked["content"] == [{"type": "text", "text": "Hi"}]
    assert {tool["type"] for tool in tools} == {"function_call", "function_call_output"}
    assert answer["content"] == [{"type": "text", "text": "It is noon."}]
    assert answer["audio_bytes"] == 480
    usage = decoded.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (10, 25, 35)
    assert (usage.reasoning_output_tokens, usage.audio_output_tokens) == (5, 20)


def test_what_google_s_sdk_for_python_writes_in_snake_case_is_read_as_well():
    client = [
        {"setup": {"model": "models/gemini-live-2.5-flash"}},
        {"client_content": {"turns": [{"role": "user", "parts": [{"text": "Hi"}]}], "turn_complete": True}},
        {"realtime_input": {"media_chunks": [{"data": AUDIO, "mime_type": "audio/pcm"}]}},
        {"tool_response": {"function_responses": [{"id": "f1", "name": "now", "response": {"time": "noon"}}]}},
    ]

    decoded = decode(session(frames(client, by_client=True), []))

    asked, result = decoded.response["output"]
    assert asked["content"] == [{"type": "text", "text": "Hi"}]
    assert (result["type"], result["call_id"], result["output"]) == ("function_call_output", "f1", {"time": "noon"})
    assert decoded.response["audio_bytes"] == {"input": 480}


@given(st.binary(), st.binary())
def test_no_bytes_are_too_much(sent, received):
    decoded = decode(session([sent], [received]))

    assert decoded.problem is None or "decoder failed" not in decoded.problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "item", "id", "content", "response", "output", "usage", "session", "serverContent"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(st.lists(JSON, max_size=4), st.sampled_from([event["type"] for event in SERVER]))
def test_no_json_is_too_much(values, name):
    said = [value | {"type": name} if isinstance(value, dict) else value for value in values]
    decoded = decode(session(frames(said, by_client=True), frames(said, by_client=False)))

    assert decoded.problem is None or "decoder failed" not in decoded.problem
