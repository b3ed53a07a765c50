import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from llm_proxy.model.completion import Cost, CostSource, Status, Usage
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.helicone import read_helicone
from llm_proxy.transfer.objects import read_objects
from transfer.samples import SAMPLES


def read(name):
    with (SAMPLES / name).open("rb") as file:
        return list(read_helicone(read_objects(file)))


def one(**row):
    (made,) = read_helicone([("line 1", {"request_id": "r", "request_created_at": "2025-06-01T10:00:00Z"} | row)])
    return made


def test_a_row_becomes_the_record_of_its_call():
    call = read("helicone.jsonl")[0]

    assert call.status is Status.FINISHED
    assert call.ending is Ending.COMPLETE
    assert (call.http_status, call.failure_kind, call.failure_reason) == (200, None, None)
    assert (call.provider, call.path, call.endpoint) == ("openai", "/v1/chat/completions", Endpoint.CHAT)
    assert (call.kind, call.model, call.response_model) == ("chat", "gpt-4o", "gpt-4o-2024-08-06")
    assert call.stream is False
    assert call.started_at == datetime(2025, 6, 1, 10, tzinfo=UTC)
    assert (call.duration_s, call.ttft_s, call.ttfb_s) == (1.42, 0.38, None)
    assert call.preview == "Capital of Portugal? → Lisbon."
    assert call.finish_reasons == ("stop",)
    assert call.bodies.request["messages"][0]["content"] == "Capital of Portugal?"
    assert call.bodies.response["id"] == "chatcmpl-h1"
    assert call.bodies.response_body is None


def test_tokens_are_those_that_the_provider_told():
    usage = read("helicone.jsonl")[0].usage

    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens, usage.cached_input_tokens) == (21, 2, 23, 16)


def test_what_helicone_computed_is_the_cost():
    assert read("helicone.jsonl")[0].cost == Cost(usd=Decimal("0.0000725"), source=CostSource.REPORTED)


def test_properties_are_session_and_metadata():
    context = read("helicone.jsonl")[0].context

    assert (context.session_id, context.session_name, context.user_id) == ("trip-1", "holiday", "ana")
    assert context.tags == ("imported:helicone",)
    assert context.metadata["env"] == "production"
    assert context.metadata["imported"] == {
        "from": "helicone",
        "id": "5d0f6a3e-6f0e-4a53-8a44-0c0ffee00001",
        "response_id": "7f3c0d7e-0b1e-4d0c-9d2b-1a2b3c4d5e01",
        "costUSD": 0.0000725,
        "country_code": "PT",
        "cache_enabled": False,
        "cache_reference_id": "00000000-0000-0000-0000-000000000000",
        "feedback_rating": True,
        "scores": {"accuracy": 1},
    }


def test_a_key_in_a_url_is_not_taken_along():
    assert "secret" not in repr(read("helicone.jsonl"))


def test_an_error_of_the_provider_is_a_failed_call():
    call = read("helicone.jsonl")[1]

    assert (call.status, call.ending, call.http_status) == (Status.FAILED, Ending.UPSTREAM_ERROR, 529)
    assert (call.failure_kind, call.failure_reason) == ("overloaded_error", "Overloaded")
    assert call.stream is True
    # Zeros in all columns are what Helicone writes when nobody counted.
    assert call.usage is None


def test_a_call_whose_client_went_away_has_no_status_of_http():
    call = read("helicone.jsonl")[2]

    assert (call.status, call.ending, call.http_status) == (Status.FAILED, Ending.CLIENT_DISCONNECTED, None)
    assert call.failure_kind == "client_disconnected"
    assert (call.duration_s, call.usage, call.stream, call.bodies.request) == (None, None, None, None)


@pytest.mark.parametrize(
    ("code", "status", "ending"),
    [
        (None, Status.STARTED, None),
        (0, Status.STARTED, None),
        (-2, Status.STARTED, None),
        (-1, Status.FAILED, Ending.UPSTREAM_TIMEOUT),
        (-4, Status.FAILED, Ending.REFUSED),
        (-9, Status.FAILED, None),
        ("404", Status.FAILED, Ending.UPSTREAM_ERROR),
        ("x", Status.STARTED, None),
    ],
)
def test_each_status_of_helicone_has_its_meaning(code, status, ending):
    call = one(response_status=code)

    assert (call.status, call.ending) == (status, ending)


def test_csv_has_the_same_calls_with_less_of_each():
    first, second = read("helicone.csv")

    assert first.model == "gpt-4o"
    assert first.bodies.request["messages"][0]["content"] == "Capital of Portugal?"
    assert first.context.session_id == "trip-1"
    assert first.duration_s == 1.42
    assert first.usage == Usage(input_tokens=21, output_tokens=2, raw={"prompt_tokens": "21", "completion_tokens": "2"})
    assert second.bodies.request["messages"][0]["content"][0]["text"] == "Hello there"


def test_reading_twice_makes_the_same_ids():
    assert [call.id for call in read("helicone.jsonl")] == [call.id for call in read("helicone.jsonl")]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"request_id": None}, "no request_id"),
        ({"request_created_at": "?"}, "no time in request_created_at"),
    ],
)
def test_a_row_without_id_or_time_is_no_record(row, reason):
    assert one(**row) == BadRow(place="line 1", reason=reason)


def test_values_of_the_wrong_type_are_unknown_and_hide_nothing():
    names = json.loads((SAMPLES / "helicone.jsonl").read_text().splitlines()[0])

    for wrong in (7, "x", [], {}, True, None):
        call = one(**{name: wrong for name in names if name not in ("request_id", "request_created_at")})
        assert call.started_at == datetime(2025, 6, 1, 10, tzinfo=UTC)
