import json
import math

import pytest
from hypothesis import given
from msgspec.structs import replace

from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.jsonl import VERSION_MEMBER, decode_record, encode_record, read_records
from records import BODIES, bare, completions, record


def line_of(completion, **different):
    return json.dumps(json.loads(encode_record(completion)) | different).encode()


@given(completions)
def test_whatever_a_record_holds_comes_back_equal(completion):
    line = encode_record(completion)

    assert decode_record(line) == completion
    assert b"\n" not in line


@pytest.mark.parametrize("usd", ["1e999999999", "NaN", "-1", "much"])
def test_a_line_with_an_impossible_cost_is_no_record(usd):
    with pytest.raises(ValueError, match=r"cost|Invalid decimal"):
        decode_record(line_of(record(), cost={"usd": usd}))


def test_the_first_member_of_a_line_is_the_version():
    line = encode_record(record())

    assert line.startswith(b'{"llm_proxy_record":1,')


def test_bytes_that_are_no_text_come_back_byte_for_byte():
    completion = record(bodies=replace(BODIES, response_body=bytes(range(256))))

    assert json.loads(encode_record(completion))["raw"]["response_body"].keys() == {"base64"}
    assert decode_record(encode_record(completion)).bodies.response_body == bytes(range(256))


def test_a_record_without_bodies_and_one_with_empty_bodies_stay_two_things():
    without, empty = bare(), bare(bodies=replace(BODIES, request_body=None, response_body=b"", request=None))

    assert decode_record(encode_record(without)).bodies is None
    assert decode_record(encode_record(empty)).bodies == empty.bodies


def test_times_of_another_zone_are_the_same_moment():
    line = line_of(record(), started_at="2026-11-24T14:00:00.123456+02:00")

    assert decode_record(line).started_at == record().started_at


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no valid JSON"),
        (b"\xff\xfe", "no valid JSON"),
        (b"[" * 100_000, "no valid JSON"),
        (b"[]", "no llm_proxy_record"),
        (b'{"id": "x"}', "no llm_proxy_record"),
        (line_of(record(), **{VERSION_MEMBER: 2}), "version 2"),
        (line_of(record(), model=3), r"\$\.model"),
        (line_of(record(), status="done"), r"\$\.status"),
        (line_of(record(), started_at="yesterday"), "yesterday"),
        (line_of(record(), started_at="2026-11-24T12:00:00"), "started_at has no offset"),
        (line_of(record(), raw={"request_body": {"base64": "%"}}), "base64"),
        (line_of(record(), raw={"chunk_sizes": [-1]}), "int"),
    ],
)
def test_a_line_that_is_no_record_is_refused_with_its_reason(line, reason):
    with pytest.raises(ValueError, match=reason):
        decode_record(line)


def test_members_of_a_newer_program_are_left_out():
    completion = record()

    assert decode_record(line_of(completion, mood="good")) == completion


def test_one_bad_line_costs_no_other_one():
    first, second = record(), record(duration_s=math.pi)
    lines = [encode_record(first) + b"\n", b"{]\n", b"\n", encode_record(second)]

    rows = list(read_records(lines))

    assert rows == [first, BadRow(place="line 2", reason="no valid JSON"), second]
