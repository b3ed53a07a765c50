"""The JSON shape of a record."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from jsonschema_rs import validator_for
from msgspec.structs import replace

from llm_proxy.model.completion import Bodies, Completion, Status
from llm_proxy.model.exchange import Attempt, Ending
from llm_proxy.model.json_text import encode_json
from llm_proxy.model.record import FieldGroup, Record, TimingFields, record_fields, record_json
from records import BODIES, NOON, REQUEST, RESPONSE, bare, completions, record

#: Properties of the schema ``Completion`` of the Log10 logging API.
LOG10 = {
    "id",
    "organization_id",
    "kind",
    "status",
    "tags",
    "request",
    "response",
    "stacktrace",
    "session_id",
    "session_inferred",
    "duration",
    "failure_kind",
    "failure_reason",
}


def test_every_member_says_what_the_record_says():
    completion = record(id="0193", truncated=True, decode_problem="the response body is no JSON")

    assert record_json(completion, with_bodies=False) == {
        "id": "0193",
        "organization_id": "default",
        "status": "finished",
        "failure_kind": None,
        "failure_reason": None,
        "ending": "complete",
        "http_status": 200,
        "provider": "openai",
        "upstream": "default",
        "method": "POST",
        "path": "/v1/chat/completions",
        "endpoint": "chat.completions",
        "kind": "chat",
        "model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "stream": False,
        "tags": ["nightly", "ci"],
        "session_id": "s-1",
        "session_inferred": False,
        "session_name": "evening run",
        "user_id": "u-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "metadata": {"team": "search", "attempt": 2},
        "notes": ["a tag was too long and was cut"],
        "client": "127.0.0.1",
        "key_fingerprint": "5f1c…cdef",
        "project_id": "p-1",
        "key_id": "k-1",
        "tags_edited": False,
        "started_at": "2026-11-24T12:00:00.123456+00:00",
        "duration": 1.25,
        "ttfb_s": 0.4,
        "ttft_s": 0.41,
        "connect_s": 0.05,
        "longest_gap_s": 0.11,
        "chunk_count": 2,
        "tokens_per_s": pytest.approx(3 / 0.84),
        "sent_s": 0.056,
        "overhead_s": 0.002,
        "queued_s": 0.003,
        "dns_s": 0.01,
        "tcp_s": 0.015,
        "tls_s": 0.025,
        "usage": {
            "input_tokens": 14,
            "output_tokens": 3,
            "total_tokens": 17,
            "cached_input_tokens": 0,
            "reasoning_output_tokens": None,
            "cache_write_input_tokens": None,
            "audio_input_tokens": None,
            "audio_output_tokens": None,
            "estimated": False,
        },
        "cost": None,
        "finish_reasons": ["stop"],
        "preview": "What is the capital of France? → Paris.",
        "request_bytes": 88,
        "response_bytes": 22,
        "truncated": True,
        "decode_problem": "the response body is no JSON",
        "stacktrace": None,
    }


def test_a_record_of_log10_has_its_names():
    members = record_json(record(), with_bodies=True)

    assert members.keys() >= LOG10


def test_every_field_of_the_model_has_a_member():
    flattened = {"context", "bodies", "duration_s"}
    fields = set(Completion.__struct_fields__) - flattened - {"turns"}

    assert record_json(record(), with_bodies=True).keys() >= fields


def test_what_is_unknown_is_null_and_never_zero():
    members = record_json(bare(), with_bodies=True)

    assert members["status"] == "started"
    known = {name for name, value in members.items() if value not in (None, [], {})}
    always = {"id", "organization_id", "status", "method", "path", "endpoint", "started_at"}
    assert known == {*always, "truncated", "tags_edited", "session_inferred"}


def test_a_failure_says_what_and_why():
    failed = record(status=Status.FAILED, ending=Ending.REFUSED, failure_kind="refused", failure_reason="no upstream")

    members = record_json(failed, with_bodies=False)

    assert (members["status"], members["ending"]) == ("failed", "refused")
    assert (members["failure_kind"], members["failure_reason"]) == ("refused", "no upstream")


def test_bodies_come_decoded_and_headers_with_order_and_duplicates():
    members = record_json(record(), with_bodies=True)

    assert members["request"] == REQUEST
    assert members["response"] == RESPONSE
    assert members["request_headers"] == [["Content-Type", "application/json"], ["Authorization", None]]
    assert members["response_headers"] == [
        ["content-type", "application/json"],
        ["x-request-id", "req_1"],
        ["x-request-id", "req_2"],
    ]


def test_a_body_that_could_not_be_decoded_comes_as_text():
    completion = record(bodies=replace(BODIES, request=None, request_body=b"h\xc3\xa9llo \xff", response=None))

    members = record_json(completion, with_bodies=True)

    assert members["request"] == "héllo \ufffd"
    assert members["response"] == '{ "id": "chatcmpl-1" }'


def test_a_body_that_was_empty_or_not_kept_is_null():
    members = record_json(record(bodies=Bodies(request_body=b"")), with_bodies=True)

    assert members["request"] is None
    assert members["response"] is None


def test_the_time_has_its_microseconds_even_if_there_are_none():
    members = record_json(record(started_at=NOON.replace(microsecond=0)), with_bodies=False)

    assert members["started_at"] == "2026-11-24T12:00:00.000000+00:00"


@settings(max_examples=50)
@given(completions)
def test_every_record_can_be_written_as_json(completion):
    members = record_json(completion, with_bodies=True)

    assert json.loads(encode_json(members)) == members


def test_a_record_has_the_members_that_its_type_says():
    for completion in (record(), bare()):
        assert set(record_json(completion, with_bodies=True)) == set(Record.__annotations__)


@settings(max_examples=50)
@given(completions)
def test_every_possible_record_is_of_its_type(completion):
    schema = msgspec.json.schema(Record)

    said = json.loads(encode_json(record_json(completion, with_bodies=True)))

    validator_for(schema).validate(said)


@pytest.mark.parametrize(
    ("group", "member"),
    [
        (FieldGroup.HEAD, "path"),
        (FieldGroup.CONTEXT, "tags"),
        (FieldGroup.TIMINGS, "duration"),
        (FieldGroup.OUTCOME, "usage"),
        (FieldGroup.BODIES, "request"),
    ],
)
def test_a_group_of_members_comes_with_the_id_and_alone(group, member):
    fields = record_fields(record(id="1"), {group})

    assert fields["id"] == "1"
    others = [record_fields(record(), {other}) for other in FieldGroup if other is not group]
    assert [member in one for one in (fields, *others)] == [True, False, False, False, False]


def test_attempts_come_with_the_bodies_and_say_all_that_is_known_of_each():
    tried = Attempt(
        upstream="a", started_s=0.5, ended_s=1, sent_s=0.6, http_status=429, headers=(("A", "1"),), body=b"{}\xff"
    )
    completion = record(bodies=replace(BODIES, attempts=(tried,)))

    assert record_json(completion, with_bodies=True)["attempts"] == [
        {
            "upstream": "a",
            "provider": None,
            "model": None,
            "started_s": 0.5,
            "ended_s": 1,
            "wait_s": None,
            "connect_s": None,
            "sent_s": 0.6,
            "overhead_s": None,
            "queued_s": None,
            "dns_s": None,
            "tcp_s": None,
            "tls_s": None,
            "http_status": 429,
            "failure": None,
            "reason": None,
            "headers": [["A", "1"]],
            "body": "{}\ufffd",
        }
    ]


def test_every_time_is_in_the_document():
    text = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    table = text.partition("| Member | What it is |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(TimingFields.__annotations__)
