from llm_proxy.model.completion import Status, Usage
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.llm_chat import (
    Logged,
    attachment_part,
    completion_of,
    text_or_parts,
    tool,
    tool_answer,
    tool_call,
)


def logged(**columns):
    return Logged(
        source_id="01h",
        columns={"model": "gpt-4", "datetime_utc": "2026-11-25T09:00:00.5"} | columns,
        session_id="01c",
        session_name="greetings",
        messages=[{"role": "user", "content": "Hi"}],
        answer={"role": "assistant", "content": "Ho"},
    )


def test_a_logged_response_is_a_finished_chat_completion():
    call = completion_of(logged(duration_ms=1500, options_json='{"temperature": 0}', resolved_model="gpt-4-0613"), "x")

    assert (call.status, call.ending, call.endpoint) == (Status.FINISHED, Ending.COMPLETE, Endpoint.CHAT)
    assert (call.model, call.response_model, call.duration_s) == ("gpt-4", "gpt-4-0613", 1.5)
    assert (call.context.session_id, call.context.session_name) == ("01c", "greetings")
    assert call.bodies.request == {"temperature": 0, "model": "gpt-4", "messages": [{"role": "user", "content": "Hi"}]}
    assert call.bodies.response["choices"] == [{"index": 0, "message": {"role": "assistant", "content": "Ho"}}]


def test_what_llm_does_not_know_is_unknown():
    call = completion_of(logged(), "x")

    assert (call.http_status, call.provider, call.upstream, call.stream, call.usage) == (None,) * 5
    assert (call.ttfb_s, call.ttft_s, call.duration_s, call.response_model) == (None,) * 4
    assert call.bodies.request_body is call.bodies.response_body is None


def test_tokens_and_their_details_are_one_usage():
    call = completion_of(
        logged(input_tokens=9, output_tokens=0, token_details='{"prompt_tokens_details": {"cached_tokens": 4}}'), "x"
    )

    raw = {"prompt_tokens_details": {"cached_tokens": 4}, "prompt_tokens": 9, "completion_tokens": 0}
    assert call.usage == Usage(input_tokens=9, output_tokens=0, cached_input_tokens=4, raw=raw)


def test_of_the_provider_s_own_answer_the_envelope_is_kept():
    told = '{"id": "chatcmpl-1", "created": 5, "finish_reason": "length", "content": {"$": "r:01h"}, "usage": {}}'

    call = completion_of(logged(response_json=told), "x")

    assert call.finish_reasons == ("length",)
    assert call.bodies.response == {
        "id": "chatcmpl-1",
        "created": 5,
        "object": "chat.completion",
        "model": "gpt-4",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Ho"}, "finish_reason": "length"}],
    }


def test_a_row_without_a_time_is_no_record():
    assert completion_of(logged(datetime_utc=None), "responses 01h") == BadRow(
        place="responses 01h", reason="no time in datetime_utc"
    )


def test_content_is_text_or_parts():
    image = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}

    assert text_or_parts([], []) is None
    assert text_or_parts(["Hi"], []) == "Hi"
    assert text_or_parts(["Hi"], [image]) == [{"type": "text", "text": "Hi"}, image]


def test_an_attachment_is_a_part_with_what_is_known_of_it():
    assert attachment_part({"type": "image/png", "content": b"\x01"}) == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AQ=="},
    }
    assert attachment_part({"type": "application/pdf", "url": "https://example.com/a.pdf"}) == {
        "type": "file",
        "file": {"file_data": "https://example.com/a.pdf"},
    }
    assert attachment_part({"type": "image/png", "path": "cat.png"}) == {
        "type": "file",
        "file": {"filename": "cat.png"},
    }
    assert attachment_part({}) == {"type": "file", "file": {"filename": None}}


def test_tools_and_their_calls_have_the_shape_of_chat_completions():
    function = {"name": "add", "parameters": {"type": "object"}}

    assert tool({"name": "add", "description": None, "input_schema": '{"type": "object"}'}) == {
        "type": "function",
        "function": function,
    }
    assert tool_call("c", "add", {"a": "é"})["function"] == {"name": "add", "arguments": '{"a": "é"}'}
    assert tool_call("c", "add", "{}") == {
        "id": "c",
        "type": "function",
        "function": {"name": "add", "arguments": "{}"},
    }
    assert tool_answer("c", "3") == {"role": "tool", "tool_call_id": "c", "content": "3"}
