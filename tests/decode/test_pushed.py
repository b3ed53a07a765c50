"""What programs tell of their calls becomes one record of each, whatever order the pieces come in."""

import itertools
from datetime import timedelta

import pytest

from llm_proxy.decode.pushed import fold
from llm_proxy.model.chat_view import chat_response
from llm_proxy.model.completion import Context, Status, Usage
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.model.pushed import PushedRow
from records import NOON, REQUEST, RESPONSE, record

ANSWER = {**RESPONSE, "usage": {"prompt_tokens": 14, "completion_tokens": 3, "total_tokens": 17}}
STARTED = PushedRow(
    kind="chat",
    status=Status.STARTED,
    tags=("a", "b"),
    request=REQUEST,
    session_id="s",
    facts={"orig_module": "openai.resources.chat.completions"},
)
FINISHED = PushedRow(status=Status.FINISHED, response=ANSWER, duration_s=1.5, stacktrace=[{"name": "main"}])


def folded(*rows, found=None, now=NOON):
    for row in rows:
        found = fold(found, row, completion_id="1", organization_id="acme", now=now)
    return found


def test_the_pieces_of_a_call_become_its_record():
    completion = folded(STARTED, FINISHED)

    assert (completion.id, completion.organization_id) == ("1", "acme")
    assert (completion.status, completion.ending, completion.duration_s) == (Status.FINISHED, Ending.COMPLETE, 1.5)
    assert (completion.kind, completion.endpoint, completion.provider) == ("chat", Endpoint.CHAT, "openai")
    assert (completion.model, completion.response_model) == ("gpt-4o", "gpt-4o-2024-08-06")
    assert completion.context == Context(
        tags=("a", "b"), session_id="s", metadata={"log10": {"orig_module": "openai.resources.chat.completions"}}
    )
    assert completion.usage == Usage(input_tokens=14, output_tokens=3, total_tokens=17, raw=ANSWER["usage"])
    assert completion.finish_reasons == ("stop",)
    assert completion.preview == "What is the capital of France? → Paris."
    assert (completion.bodies.request, completion.bodies.response) == (REQUEST, ANSWER)
    assert completion.bodies.stacktrace == [{"name": "main"}]


def test_the_order_of_the_pieces_and_how_often_they_come_makes_no_difference():
    pieces = [STARTED, FINISHED, FINISHED, STARTED]
    expected = folded(STARTED, FINISHED, now=NOON)

    for order in itertools.permutations(pieces):
        completion = folded(*order)
        assert completion.started_at in (NOON, NOON - timedelta(seconds=1.5))
        assert fold(completion, PushedRow(), completion_id="1", organization_id="acme", now=NOON) == completion
        members = [name for name in expected.__struct_fields__ if name != "started_at"]
        assert [getattr(completion, name) for name in members] == [getattr(expected, name) for name in members]


def test_a_late_start_takes_nothing_back():
    late = PushedRow(
        status=Status.STARTED, tags=("late",), request={"model": "late", "messages": []}, session_id="late"
    )

    completion = folded(STARTED, FINISHED, late)

    assert completion == folded(STARTED, FINISHED)


def test_a_piece_without_a_status_changes_what_it_says_and_nothing_else():
    completion = folded(STARTED, FINISHED, PushedRow(tags=(), failure_reason="why"))

    assert (completion.status, completion.context.tags, completion.failure_reason) == (Status.FINISHED, (), "why")
    assert completion.bodies == folded(STARTED, FINISHED).bodies


def test_a_call_that_failed_says_why_and_not_at_any_length():
    completion = folded(STARTED, PushedRow(status=Status.FAILED, failure_kind="k" * 300, failure_reason="r" * 2000))

    assert (completion.status, completion.ending) == (Status.FAILED, None)
    assert (len(completion.failure_kind), len(completion.failure_reason)) == (200, 1000)


def test_what_is_told_of_only_when_it_is_over_began_before():
    assert folded(FINISHED).started_at == NOON - timedelta(seconds=1.5)
    assert folded(STARTED).started_at == NOON


def test_a_prompt_is_a_completion_of_text():
    completion = folded(PushedRow(kind="prompt", request={"prompt": "Say hi"}, response={"choices": [{"text": "hi"}]}))

    assert (completion.endpoint, completion.path, completion.preview) == (
        Endpoint.TEXT,
        "/v1/completions",
        "Say hi → hi",
    )


@pytest.mark.parametrize(
    ("request_", "response", "provider", "preview", "tokens", "reasons"),
    [
        (
            {
                "model": "claude",
                "system": "Be",
                "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
            },
            {
                "type": "message",
                "model": "claude-1",
                "content": [{"type": "text", "text": "Ho"}],
                "usage": {"input_tokens": 3, "output_tokens": 2, "cache_read_input_tokens": 5},
                "stop_reason": "end_turn",
            },
            "anthropic",
            "Hi → Ho",
            (8, 2, 5),
            ("end_turn",),
        ),
        (
            {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
            {
                "candidates": [{"content": {"parts": [{"text": "Ho"}]}, "finishReason": "STOP"}],
                "modelVersion": "gemini",
                "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
            },
            "google",
            "Hi → Ho",
            (3, 2, None),
            ("STOP",),
        ),
        (
            {"model": "mistral-large", "messages": [{"role": "user", "content": "Hi"}]},
            {
                "choices": [
                    {
                        "message": {"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]},
                        "finish_reason": "tool_calls",
                    }
                ],
                "usage": {"prompt_tokens": -1, "completion_tokens": -1},
            },
            None,
            "Hi → f({})",
            (None, None, None),
            ("tool_calls",),
        ),
    ],
)
def test_the_shapes_of_other_providers_are_understood(request_, response, provider, preview, tokens, reasons):
    completion = folded(PushedRow(status=Status.FINISHED, request=request_, response=response))

    usage = completion.usage
    assert (completion.provider, completion.preview, completion.finish_reasons) == (provider, preview, reasons)
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens) == tokens
    assert usage.raw == response.get("usage", response.get("usageMetadata"))


@pytest.mark.parametrize(
    ("module", "usage", "tokens"),
    [
        ("vertexai.generative_models._generative_models", {"prompt_tokens": 3, "completion_tokens": 2}, (3, 2)),
        ("google.generativeai.generative_models", {"prompt_tokens": 0, "completion_tokens": 0}, None),
    ],
)
def test_what_log10_io_makes_of_googles_answers_is_understood(module, usage, tokens):
    """Its rows as log10/load.py of 0.16.1 writes them; for google.generativeai it counts no tokens and writes zeros."""
    said = {"role": "assistant", "content": "Ho"}
    response = {
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "safety", "message": said}],
        "usage": {**usage, "total_tokens": sum(usage.values())},
    }
    request = {"content": "Hi", "model": "gemini-1.5-pro", "messages": [{"role": "user", "content": "Hi"}]}

    facts = {"orig_module": module}
    completion = folded(PushedRow(status=Status.FINISHED, request=request, response=response, facts=facts))

    assert (completion.provider, completion.model, completion.preview) == ("google", "gemini-1.5-pro", "Hi → Ho")
    used = completion.usage
    assert (None if used is None else (used.input_tokens, used.output_tokens)) == tokens
    assert chat_response(response)["choices"][0]["finish_reason"] == "content_filter"


def test_what_the_proxy_has_seen_is_not_corrected_by_hearsay():
    seen = record(id="1", organization_id="acme")
    row = PushedRow(
        status=Status.FAILED,
        tags=("told", "ci"),
        request={},
        response={},
        duration_s=9,
        stacktrace=[],
        session_id="other",
    )

    completion = folded(row, found=seen)

    assert completion.context.tags == ("nightly", "ci", "told")
    assert completion.bodies.stacktrace == []
    assert (completion.status, completion.duration_s, completion.context.session_id) == (Status.FINISHED, 1.25, "s-1")
    assert (completion.bodies.request, completion.bodies.response) == (seen.bodies.request, seen.bodies.response)
