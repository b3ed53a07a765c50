import json

import pytest

from decode.exchanges import exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint

REQUEST = {"model": "text-embedding-3-small", "input": "The food was delicious"}


@pytest.mark.parametrize(("name", "tokens"), [("embeddings_float.json", 12), ("embeddings_base64.json", 5)])
def test_vectors_are_kept_as_they_came(name, tokens):
    found = decode(exchange_of(Endpoint.EMBEDDINGS, sample(name), request=REQUEST))

    assert found.kind == "embedding"
    assert found.response == json.loads(sample(name))
    assert (found.usage.input_tokens, found.usage.output_tokens, found.usage.total_tokens) == (tokens, None, tokens)
    assert found.model == "text-embedding-3-small"
    assert found.response_model.startswith("text-embedding-")
    assert (found.stream, found.stream_ended, found.first_token_s, found.finish_reasons) == (False, None, None, ())
    assert found.preview == "The food was delicious"


@pytest.mark.parametrize(
    ("asked", "preview"),
    [
        (["one"], "one"),
        (["one", "two", "three"], "one (+2)"),
        ([1, 2, 3], None),
        ([[1, 2], [3]], "(+1)"),
        ([], None),
        (None, None),
        (5, None),
        ([None, {}], "(+1)"),
    ],
)
def test_the_preview_shows_the_first_input_and_how_many_follow(asked, preview):
    found = decode(
        exchange_of(Endpoint.EMBEDDINGS, sample("embeddings_float.json"), request=REQUEST | {"input": asked})
    )

    assert (found.preview, found.problem) == (preview, None)


def test_an_error_is_found():
    body = b'{"error": {"message": "too long", "type": "invalid_request_error", "param": null, "code": null}}'

    found = decode(exchange_of(Endpoint.EMBEDDINGS, body, request=REQUEST, http_status=400))

    assert found.error == ProviderError(kind="invalid_request_error", message="too long")
    assert found.usage is None
