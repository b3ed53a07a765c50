import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm_proxy.model.completion import Cost, CostSource, Status
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.litellm import read_litellm
from llm_proxy.transfer.objects import read_objects
from transfer.samples import SAMPLES


def read(name):
    with (SAMPLES / name).open("rb") as file:
        return list(read_litellm(read_objects(file)))


def one(**row):
    (made,) = read_litellm([("line 1", {"request_id": "r", "startTime": "2025-07-02T08:00:00Z"} | row)])
    return made


@pytest.mark.parametrize("name", ["litellm.jsonl", "litellm.csv"])
def test_a_row_becomes_the_record_of_its_call(name):
    call = read(name)[0]

    assert (call.status, call.ending, call.http_status) == (Status.FINISHED, Ending.COMPLETE, None)
    assert (call.provider, call.path, call.endpoint) == ("openai", "/v1/chat/completions", Endpoint.CHAT)
    assert (call.kind, call.model, call.response_model) == ("chat", "gpt-4o", "gpt-4o-2024-08-06")
    assert call.stream is True
    assert call.client == "10.0.0.9"
    assert call.started_at == datetime(2025, 7, 2, 8, 0, 0, 100_000, tzinfo=UTC)
    assert (call.duration_s, call.ttft_s) == (2.25, 0.5)
    assert call.preview == "Capital of Norway? → Oslo."
    assert call.finish_reasons == ("stop",)
    assert call.truncated is False


@pytest.mark.parametrize("name", ["litellm.jsonl", "litellm.csv"])
def test_tokens_are_those_that_the_provider_told(name):
    usage = read(name)[0].usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (30, 3, 33)
    assert (usage.cached_input_tokens, usage.reasoning_output_tokens) == (10, 1)


@pytest.mark.parametrize("name", ["litellm.jsonl", "litellm.csv"])
def test_what_litellm_charged_is_the_cost_and_its_zero_is_unknown(name):
    charged, failed = (call.cost for call in read(name)[:2])

    assert charged == Cost(usd=Decimal("0.000123"), source=CostSource.REPORTED)
    assert failed is None


def test_whose_call_it_was_stays_with_it():
    context = read("litellm.jsonl")[0].context

    assert context.tags == ("nightly", "ci", "imported:litellm")
    assert (context.session_id, context.user_id) == ("run-42", "customer-7")
    assert context.metadata["job"] == "nightly"
    assert context.metadata["imported"] == {
        "from": "litellm",
        "id": "chatcmpl-l1",
        "call_type": "acompletion",
        "cost_usd": 0.000123,
        "api_base": "https://api.openai.com",
        "model_id": "m-1",
        "cache_hit": "False",
        "team_id": "team-red",
        "user": "admin",
        "end_user": "customer-7",
        "key_alias": "ci key",
        "team_alias": "Red",
    }


def test_a_key_that_a_client_passed_in_the_body_is_not_taken_along():
    call = read("litellm.jsonl")[0]

    assert call.bodies.request == {
        "model": "gpt-4o",
        "stream": True,
        "messages": [{"role": "user", "content": "Capital of Norway?"}],
    }
    assert "sk-client" not in repr(call)


@pytest.mark.parametrize("name", ["litellm.jsonl", "litellm.csv"])
def test_a_failure_tells_its_kind_and_its_zeros_are_unknown(name):
    call = read(name)[1]

    assert (call.status, call.ending, call.http_status) == (Status.FAILED, None, 429)
    assert (call.failure_kind, call.failure_reason) == ("RateLimitError", "Too many requests")
    assert (call.endpoint, call.kind, call.model) == (Endpoint.EMBEDDINGS, "embedding", "text-embedding-3-small")
    assert (call.usage, call.ttft_s, call.stream) == (None, None, None)
    assert (call.bodies.request, call.bodies.response) == (None, None)
    assert call.duration_s == 0.25
    assert "cost_usd" not in call.context.metadata["imported"]


def test_both_forms_of_the_table_make_the_same_records():
    assert [call.id for call in read("litellm.jsonl")] == [call.id for call in read("litellm.csv")]


def test_a_text_that_litellm_cut_makes_the_record_truncated():
    call = one(response={"choices": [{"message": {"content": "a... (litellm_truncated skipped 900 chars) ...b"}}]})

    assert call.truncated


def test_messages_of_older_versions_are_the_request():
    messages = [{"role": "user", "content": "Hi"}]

    call = one(model="gpt-4", messages=json.dumps(messages))

    assert call.bodies.request == {"model": "gpt-4", "messages": messages}


def test_of_a_whole_request_only_the_body_is_taken():
    whole = {"url": "http://x/chat", "headers": {"authorization": "Bearer sk-1"}, "body": {"model": "gpt-4"}}

    assert one(proxy_server_request=whole).bodies.request == {"model": "gpt-4"}


def test_a_call_of_an_unknown_type_has_no_path():
    call = one(call_type="aimage_generation")

    assert (call.endpoint, call.path, call.kind) == (Endpoint.OTHER, "", None)


def test_tokens_that_only_litellm_counted_are_taken():
    usage = one(prompt_tokens=5, completion_tokens=0, total_tokens=5).usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (5, 0, 5)


@pytest.mark.parametrize(
    ("row", "reason"), [({"request_id": ""}, "no request_id"), ({"startTime": None}, "no time in startTime")]
)
def test_a_row_without_id_or_time_is_no_record(row, reason):
    assert one(**row) == BadRow(place="line 1", reason=reason)


def test_values_of_the_wrong_type_are_unknown_and_hide_nothing():
    names = json.loads((SAMPLES / "litellm.jsonl").read_text().splitlines()[0])

    for wrong in (7, "x", [], {}, True, None, [{}], {"a": []}):
        call = one(**{name: wrong for name in names if name not in ("request_id", "startTime")})
        assert call.started_at == datetime(2025, 7, 2, 8, tzinfo=UTC)


def test_a_key_in_a_url_is_not_taken_along():
    context = one(api_base="https://generativelanguage.googleapis.com/v1?key=AIza").context

    assert context.metadata["imported"]["api_base"] == "https://generativelanguage.googleapis.com/v1"
