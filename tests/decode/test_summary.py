import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import exchange_of
from llm_proxy.decode.body import read_call
from llm_proxy.decode.summary import error_of, last_user_text, preview_of, text_of, usage_of
from llm_proxy.model.completion import PREVIEW_CHARACTERS, ProviderError, Usage
from llm_proxy.model.exchange import Endpoint


def error_in(body: Any, status: int = 400) -> ProviderError | None:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    call = read_call(exchange_of(Endpoint.CHAT, raw, http_status=status, content_type="text/plain"), 2**20)
    return error_of(call, call.response)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 5, 15, 4, 3),
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 5,
                "input_tokens_details": {"cached_tokens": 4},
                "output_tokens_details": {"reasoning_tokens": 3},
            },
            (10, 5, None, 4, 3),
        ),
        ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (0, 0, 0, None, None)),
        ({"prompt_tokens": 7, "prompt_cache_hit_tokens": 6}, (7, None, None, 6, None)),
        ({"prompt_tokens": 7, "cached_tokens": 6, "reasoning_tokens": 2}, (7, None, None, 6, 2)),
        ({"cost": 0.1}, (None, None, None, None, None)),
        ({"prompt_tokens": None, "input_tokens": 3}, (3, None, None, None, None)),
        ({"prompt_tokens": "10", "completion_tokens": 5.0, "total_tokens": True}, (None, None, None, None, None)),
        ({"prompt_tokens": -1, "completion_tokens": 2**63, "total_tokens": [1]}, (None, None, None, None, None)),
        (
            {"prompt_tokens": 1, "prompt_tokens_details": 5, "completion_tokens_details": []},
            (1, None, None, None, None),
        ),
    ],
)
def test_tokens_are_read_in_every_spelling_and_unknown_ones_are_never_zero(raw, usage):
    input_tokens, output_tokens, total_tokens, cached, reasoning = usage

    assert usage_of(raw) == Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens,
        cached_input_tokens=cached,
        reasoning_output_tokens=reasoning,
        raw=raw,
    )


@pytest.mark.parametrize("raw", [None, {}, [], 5, "10", True])
def test_what_is_no_usage_object_is_no_usage(raw):
    assert usage_of(raw) is None


@pytest.mark.parametrize(
    ("body", "kind", "message"),
    [
        (
            {"error": {"message": "m", "type": "invalid_request_error", "code": "model_not_found"}},
            "invalid_request_error",
            "m",
        ),
        ({"error": {"message": "m", "type": None, "code": "c"}}, "c", "m"),
        ({"error": {"message": "m", "code": 429}}, "429", "m"),
        ({"error": {"message": "m"}}, None, "m"),
        ({"error": {"code": "c"}}, "c", '{"code":"c"}'),
        ({"error": {"message": {"de": "nein"}}}, None, '{"de":"nein"}'),
        ({"error": "model not found"}, None, "model not found"),
        ({"error": "unauthorized", "message": "no key"}, "unauthorized", "no key"),
        ({"error": True, "message": "m"}, "true", "m"),
        ({"error": ["a", 1]}, None, '["a",1]'),
        ({"error": "m", "error_type": "overloaded"}, "overloaded", "m"),
        ([{"error": {"code": 404, "message": "m", "status": "NOT_FOUND"}}], "NOT_FOUND", "m"),
        ({"detail": "Not authenticated"}, None, "Not authenticated"),
        ({"detail": [{"loc": ["body"], "msg": "field required"}]}, None, '[{"loc":["body"],"msg":"field required"}]'),
        ({"message": "no Route matched"}, None, "no Route matched"),
        ({"object": "error", "message": "m", "type": "invalid_model", "code": 1500}, "invalid_model", "m"),
        (b"upstream connect error or\ndisconnect", None, "upstream connect error or disconnect"),
        (b"404 page not found\n", None, "404 page not found"),
    ],
)
def test_errors_are_read_in_every_shape(body, kind, message):
    assert error_in(body) == ProviderError(kind=kind, message=message)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>502</html>", b" \n<!DOCTYPE html>", {}, {"a": 1}, [], [1, 2], 5, {"error": None}, {"error": {}}],
)
def test_what_tells_of_no_error_is_none(body):
    assert error_in(body) is None


@pytest.mark.parametrize("body", [{"detail": "d"}, {"message": "m"}, b"plain text"])
def test_an_answer_that_did_not_fail_is_an_error_only_if_it_says_so(body):
    assert error_in(body, status=200) is None
    assert error_in({"error": {"message": "m"}}, status=200) == ProviderError(kind=None, message="m")


@pytest.mark.parametrize(
    "body",
    [
        b"x" * 10_000,
        {"error": "x" * 10_000},
        {"error": {"message": "x" * 10_000}},
        {"error": {"details": "x" * 10_000}},
    ],
)
def test_what_stands_in_lists_is_cut(body):
    assert len(error_in(body).message) <= 1000
    assert len(error_in({"error": {"message": "m", "type": "x" * 10_000}}).kind) == 200


@pytest.mark.parametrize(
    ("question", "reply", "preview"),
    [
        ("Hi", "Hello", "Hi → Hello"),
        ("Hi", "", "Hi"),
        ("", "Hello", "Hello"),
        ("", "", None),
        (" a \n\n b\t", "c\u2028d", "a b → c d"),
        ("\x1b[31mred\x07", "\x9b2J", "[31mred → 2J"),
        ("q" * 300, "a" * 300, "q" * 97 + "… → " + "a" * 98 + "…"),
        ("q" * 300, "yes", "q" * 193 + "… → yes"),
        ("why?", "a" * 300, "why? → " + "a" * 192 + "…"),
        ("q" * 300, "", "q" * 199 + "…"),
        ("a" + " " * 5000 + "b", "c", "a… → c"),
    ],
)
def test_the_preview_is_one_line_that_shows_both_sides(question, reply, preview):
    assert preview_of(question, reply) == preview


@given(words=st.lists(st.sampled_from(["a", "word", "  ", "\n\n", " \t" * 40, "z" * 90]), max_size=60))
def test_the_preview_is_the_beginning_of_the_line_however_far_that_has_to_be_looked_for(words):
    text = " ".join(words)[:800]

    line = " ".join(text.split())

    assert preview_of(text, "") == ((line if len(line) <= 200 else line[:199] + "…") or None)


@given(question=st.text(max_size=500), reply=st.text(max_size=500))
def test_the_preview_is_never_too_long_and_always_one_line(question, reply):
    preview = preview_of(question, reply) or ""

    assert len(preview) <= PREVIEW_CHARACTERS
    assert len(preview.splitlines()) <= 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        (5, ""),
        ([], ""),
        (["a", "b"], "a b"),
        (
            [{"type": "text", "text": "What is"}, {"type": "image_url", "image_url": {"url": "data:"}}],
            "What is [image]",
        ),
        (
            [{"type": "input_audio"}, {"type": "file"}, {"type": "input_image"}, {"type": "video_url"}],
            "[audio] [file] [image] [video]",
        ),
        ([{"type": "thinking", "thinking": []}, {"type": "text", "text": "a"}], "a"),
        ([{"type": "refusal", "refusal": "no"}], "no"),
        ([None, 5, [], {}, {"text": 5}, {"type": 5}], ""),
        ({"type": "text", "text": "a"}, "a"),
    ],
)
def test_the_text_of_a_message_is_that_of_its_parts(content, text):
    assert text_of(content) == text


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "tool", "content": "c"}], "b"),
        ([{"role": "system", "content": "a"}], "a"),
        ([], ""),
        (None, ""),
        ("just text", "just text"),
        ([5, None, {"role": ["user"]}, {}], ""),
    ],
)
def test_the_question_is_what_the_user_said_last(messages, text):
    assert last_user_text(messages) == text


def test_tokens_of_audio_and_of_cache_writes_are_kept_apart():
    # https://platform.openai.com/docs/api-reference/chat/object and https://openrouter.ai/docs/use-cases/usage-accounting
    raw = {
        "prompt_tokens": 194,
        "completion_tokens": 20,
        "total_tokens": 214,
        "prompt_tokens_details": {"cached_tokens": 10, "cache_write_tokens": 100, "audio_tokens": 7},
        "completion_tokens_details": {"audio_tokens": 12, "reasoning_tokens": 0},
    }

    found = usage_of(raw)

    assert (found.cache_write_input_tokens, found.audio_input_tokens, found.audio_output_tokens) == (100, 7, 12)
    assert (found.input_tokens, found.output_tokens, found.cached_input_tokens) == (194, 20, 10)


def test_tokens_of_a_transcription_are_read_by_its_own_spelling():
    raw = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 10, "audio_tokens": 4},
        "output_tokens": 101,
        "total_tokens": 115,
    }

    assert usage_of(raw) == Usage(input_tokens=14, output_tokens=101, total_tokens=115, audio_input_tokens=4, raw=raw)


def test_reasoning_that_is_counted_beside_the_output_is_made_part_of_it():
    # xAI: total = prompt + completion + reasoning (https://docs.x.ai/docs/guides/reasoning).
    raw = {
        "prompt_tokens": 32,
        "completion_tokens": 9,
        "total_tokens": 141,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }

    found = usage_of(raw)

    assert (found.output_tokens, found.reasoning_output_tokens, found.total_tokens) == (109, 100, 141)


def test_reasoning_that_is_part_of_the_output_is_not_added_once_more():
    raw = {
        "prompt_tokens": 32,
        "completion_tokens": 109,
        "total_tokens": 141,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }

    assert usage_of(raw).output_tokens == 109


def test_caches_in_the_responses_of_perplexity_are_read():
    # https://docs.perplexity.ai/api-reference/responses-post
    details = {"cache_read_input_tokens": 5, "cache_creation_input_tokens": 7}

    found = usage_of({"input_tokens": 20, "output_tokens": 1, "input_tokens_details": details})

    assert (found.cached_input_tokens, found.cache_write_input_tokens) == (5, 7)
