import json

import pytest

from decode.exchanges import chat_stream, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint

REQUEST = {"model": "gpt-3.5-turbo-instruct", "prompt": "Once upon a time", "stream": True}


def test_a_completion_is_read():
    found = decode(exchange_of(Endpoint.TEXT, sample("text.json"), request=REQUEST | {"stream": False}))

    assert found.kind == "prompt"
    assert found.response == json.loads(sample("text.json"))
    assert (found.model, found.response_model) == ("gpt-3.5-turbo-instruct", "gpt-3.5-turbo-instruct:20230824-v2")
    assert found.preview == "Once upon a time → there was a proxy."
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (4, 5, 9)
    assert (found.finish_reasons, found.stream_ended) == (("stop",), None)


def test_a_stream_is_put_together_into_the_shape_of_a_completion():
    found = decode(exchange_of(Endpoint.TEXT, sample("text_two_choices.sse"), request=REQUEST))

    assert found.response["object"] == "text_completion"
    assert found.response["choices"] == [
        {
            "index": 0,
            "text": " one day",
            "logprobs": {
                "tokens": [" one", " day"],
                "token_logprobs": [-0.51, -0.08],
                "top_logprobs": [{" one": -0.51, " a": -1.9}, {" day": -0.08}],
                "text_offset": [16, 20],
            },
            "finish_reason": "length",
        },
        {
            "index": 1,
            "text": " two days",
            "logprobs": {
                "tokens": [" two", " days"],
                "token_logprobs": [-2.25, -0.4],
                "top_logprobs": [{" two": -2.25}, {" days": -0.4}],
                "text_offset": [16, 20],
            },
            "finish_reason": "length",
        },
    ]
    assert found.usage.total_tokens == 8
    assert found.stream_ended is True


def test_the_first_token_is_the_first_text():
    pieces = [chat_stream({"choices": [{"index": 0, "text": text}]}, end=b"") for text in ("", "a", "b")]

    assert decode(exchange_of(Endpoint.TEXT, pieces, request=REQUEST)).first_token_s == 0.2


def test_a_stream_cut_off_keeps_its_text():
    stream = sample("text_two_choices.sse")

    found = decode(exchange_of(Endpoint.TEXT, stream[:500], request=REQUEST))

    assert [choice["text"] for choice in found.response["choices"]] == [" one"]
    assert found.stream_ended is False


def test_an_error_in_a_stream_is_found():
    stream = chat_stream({"choices": [{"text": "a"}]}, {"error": {"message": "m", "type": "t"}}, end=b"")

    found = decode(exchange_of(Endpoint.TEXT, stream, request=REQUEST))

    assert found.error == ProviderError(kind="t", message="m")
    assert found.response["choices"] == [{"index": 0, "text": "a"}]


@pytest.mark.parametrize(
    ("prompt", "preview"),
    [
        (["one", "two"], "one two → there was a proxy."),
        ([1, 2, 3], "there was a proxy."),
        (None, "there was a proxy."),
        ({"a": 1}, "there was a proxy."),
    ],
)
def test_a_prompt_may_be_of_any_shape(prompt, preview):
    found = decode(exchange_of(Endpoint.TEXT, sample("text.json"), request=REQUEST | {"prompt": prompt}))

    assert found.preview == preview
    assert found.problem is None


@pytest.mark.parametrize("text", [None, 5, [], {}, ["a"]])
def test_a_text_of_a_wrong_type_costs_only_itself(text):
    stream = chat_stream({"choices": [{"text": text, "finish_reason": "stop"}]})

    found = decode(exchange_of(Endpoint.TEXT, stream, request=REQUEST))

    assert (found.finish_reasons, found.problem) == (("stop",), None)
