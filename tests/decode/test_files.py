"""The samples have the shapes of https://platform.openai.com/docs/api-reference/files/object and .../batch/object."""

import json

import pytest

from decode.exchanges import assert_cuts_change_nothing, exchange_of, sample
from decode.forms import upload
from llm_proxy.decode.dispatch import decode
from llm_proxy.model.completion import ProviderError
from llm_proxy.model.exchange import Endpoint

UPLOAD = upload(("purpose", "batch"), ("file", b'{"custom_id": "1"}\n', "mydata.jsonl", "application/jsonl"))
BATCH = {"input_file_id": "file-abc123", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


def test_of_an_upload_the_name_and_the_size_are_read():
    found = decode(exchange_of(Endpoint.FILES, sample("file.json"), **UPLOAD))

    assert found.request == {
        "purpose": "batch",
        "file": {"filename": "mydata.jsonl", "content_type": "application/jsonl", "bytes": 19},
    }
    assert found.response == json.loads(sample("file.json"))
    assert (found.kind, found.preview) == ("file", "[mydata.jsonl] → file-abc123 processed")
    assert (found.problem, found.usage) == (None, None)


def test_the_content_of_a_file_is_not_read():
    target = "/v1/files/file-abc123/content"

    found = decode(exchange_of(Endpoint.FILES, b'{"custom_id": "1"}\n{"a": 2}\n', method="GET", target=target))

    assert (found.response, found.problem) == (None, None)


def test_that_a_file_is_gone_is_an_error():
    body = b'{"error": {"message": "No such File object", "type": "invalid_request_error"}}'
    target = "/v1/files/file-abc123/content"

    found = decode(exchange_of(Endpoint.FILES, body, method="GET", target=target, http_status=404))

    assert found.error == ProviderError(kind="invalid_request_error", message="No such File object")


def test_that_a_file_was_deleted_is_shown():
    body = b'{"id": "file-abc123", "object": "file", "deleted": true}'

    found = decode(exchange_of(Endpoint.FILES, body, method="DELETE", target="/v1/files/file-abc123"))

    assert found.preview == "file-abc123 deleted"


def test_a_batch_shows_its_state_and_no_tokens_of_its_own():
    found = decode(exchange_of(Endpoint.BATCHES, sample("batch.json"), request=BATCH))

    assert (found.kind, found.request) == ("batch", BATCH)
    assert found.preview == "/v1/chat/completions file-abc123 → batch_abc123 validating"
    assert found.usage is None


@pytest.mark.parametrize(
    ("endpoint", "name", "members"),
    [(Endpoint.FILES, "file.json", UPLOAD), (Endpoint.BATCHES, "batch.json", {"request": BATCH})],
)
def test_where_an_answer_is_split_changes_nothing(endpoint, name, members):
    assert_cuts_change_nothing(endpoint, sample(name), **members)


@pytest.mark.parametrize("endpoint", [Endpoint.FILES, Endpoint.BATCHES])
@pytest.mark.parametrize("body", [b"[]", b"5", b'{"id": 5, "status": [], "filename": {}}', b'{"data": []}'])
def test_answers_of_any_shape_are_read(endpoint, body):
    found = decode(exchange_of(endpoint, body, content_type="application/json"))

    assert (found.response, found.problem) == (json.loads(body), None)
