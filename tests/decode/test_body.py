import gzip
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import exchange_of
from llm_proxy.decode.body import (
    MAX_DEPTH,
    header_members,
    object_member,
    object_members,
    parse_json,
    read_call,
    text_member,
)
from llm_proxy.model.exchange import Endpoint

MIB = 2**20
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def has_only_finite_numbers(value) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    members = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return all(map(has_only_finite_numbers, members))


@given(value=JSON)
def test_what_is_parsed_can_be_stored_and_is_the_same(value):
    parsed, problem = parse_json(json.dumps(value).encode())

    assert problem is None
    assert msgspec.json.decode(msgspec.json.encode(parsed)) == parsed
    if has_only_finite_numbers(value):
        assert parsed == value


@given(raw=st.binary(max_size=100) | st.text(max_size=60).map(str.encode))
def test_anything_is_parsed_or_has_a_problem(raw):
    parsed, problem = parse_json(raw)

    assert parsed is None or problem is None
    msgspec.json.encode(parsed)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb'"\ud800"', "\ufffd"),
        (rb'{"\udfff": ["a\ud83d"]}', {"\ufffd": ["a\ufffd"]}),
        (rb'["\ud83d\ude00", "\ud800"]', ["😀", "\ufffd"]),
        (b"[NaN, Infinity, -Infinity, 1e999, 1.5]", [None, None, None, None, 1.5]),
        (b"18446744073709551616", 2**64),
        (b"-1" + b"0" * 30, -(10**30)),
        (b"[" + b"9" * 5000 + b"]", ["9" * 5000]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a": 1, "a": NaN}', {"a": None}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"null", None),
    ],
)
def test_json_that_others_refuse_is_read_in_a_form_that_can_be_stored(raw, value):
    assert parse_json(raw) == (value, None)


@pytest.mark.parametrize("raw", [b"", b"  ", b"{", b'{"a": 1} x', b"{'a': 1}", b"<html>", b'"\xff"', b"[1,]", b"\x00"])
def test_what_is_no_json_is_a_problem_that_says_so(raw):
    value, problem = parse_json(raw)

    assert value is None
    assert problem is not None
    assert problem.startswith("is no JSON: ")


def test_bytes_that_are_no_utf8_can_be_replaced_as_in_event_streams():
    assert parse_json(b'"a\xffb"', errors="replace") == ("a\ufffdb", None)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":[', b"]}"), (b'{"a":', b"}")])
@pytest.mark.parametrize("heart", [b"1", b"NaN"])
def test_json_may_be_nested_up_to_the_limit_and_no_deeper(opening, closing, heart):
    levels_each = opening.count(b"[") + opening.count(b"{")
    deepest = MAX_DEPTH // levels_each

    _, allowed = parse_json(opening * deepest + heart + closing * deepest)
    refused = [
        parse_json(opening * depth + heart + closing * depth) for depth in (deepest + 1, deepest + 2, 1000, 100_000)
    ]

    assert allowed is None
    assert refused == [(None, f"is nested deeper than {MAX_DEPTH} levels")] * 4


def test_a_body_that_only_the_slow_parser_reads_is_refused_too_if_it_is_deep():
    raw = b"[NaN," + b"[" * 100_000 + b"]" * 100_000 + b"]"

    assert parse_json(raw) == (None, f"is nested deeper than {MAX_DEPTH} levels")


def test_a_long_flat_body_is_not_taken_for_a_deep_one():
    raw = json.dumps([[{}] for _ in range(MAX_DEPTH * 3)]).encode()

    assert parse_json(raw)[1] is None


def test_a_header_is_read_over_all_its_lines_in_any_case():
    headers = (("Content-Encoding", "GZip, "), ("X", "y"), ("content-encoding", " br"), ("content-encoding", None))

    assert header_members(headers, "content-encoding") == ["gzip", "br"]


@pytest.mark.parametrize("value", [None, 5, "text", [], [{}], {"a": None}, {"a": 5}, {"b": "x"}])
def test_a_member_of_a_wrong_type_is_as_good_as_absent(value):
    assert text_member(value, "a") is None
    assert object_member(value, "a") == {}
    assert object_members(value, "a") == []


def test_members_of_the_right_type_are_found_among_others():
    assert object_members({"a": [1, {"b": 2}, None, {}]}, "a") == [{"b": 2}, {}]


@pytest.mark.parametrize(
    ("content_type", "response", "is_stream"),
    [
        ("text/event-stream; charset=utf-8", b"data: 1\n\n", True),
        ("Text/Event-Stream", b"", True),
        ("application/json", b"data: 1\n\n", True),
        ("text/plain", b": hello\n\ndata: 1\n\n", True),
        ("application/json", b"", False),
        ("application/json", b'{"data": 1}', False),
        ("text/event-stream", b' \n{"error": {"message": "no"}}', False),
        ("text/event-stream", b'[{"error": {}}]', False),
    ],
)
def test_a_stream_is_known_by_its_content_type_and_its_beginning(content_type, response, is_stream):
    call = read_call(exchange_of(Endpoint.CHAT, response, content_type=content_type), MIB)

    assert (call.events is not None) == is_stream


def test_both_bodies_may_be_encoded():
    exchange = exchange_of(
        Endpoint.CHAT,
        gzip.compress(b'{"a": 1}'),
        request=gzip.compress(b'{"b": 2}'),
        coding="identity, gzip",
        request_headers=(("content-encoding", "gzip"),),
    )

    call = read_call(exchange, MIB)

    assert (call.request, call.response, call.problems) == ({"b": 2}, {"a": 1}, ())


def test_problems_say_of_which_body_they_are():
    call = read_call(exchange_of(Endpoint.CHAT, b"{", request=b"}"), MIB)

    assert [problem.partition(":")[0] for problem in call.problems] == [
        "the request body is no JSON",
        "the response body is no JSON",
    ]


def test_a_body_that_is_absent_or_empty_is_no_problem():
    assert read_call(exchange_of(Endpoint.CHAT, None, request=None), MIB).problems == ()
    assert read_call(exchange_of(Endpoint.CHAT, b"", request=b"", coding="gzip"), MIB).problems == ()


def test_a_part_of_a_plain_body_has_arrived_with_the_piece_that_brought_its_last_byte():
    call = read_call(exchange_of(Endpoint.CHAT, [b"data: 1\n", b"\ndata", b": 2\n\n"]), MIB)

    assert [call.arrival_s(end) for end in (1, 8, 9, 13, 14, 18, 19)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3, None]


def test_a_part_of_an_encoded_body_has_arrived_when_it_could_be_read():
    compressed = gzip.compress(b"data: 1\n\n" + bytes(1000))

    call = read_call(exchange_of(Endpoint.CHAT, [compressed[:5], compressed[5:]], coding="gzip"), MIB)

    assert (call.arrival_s(9), call.arrival_s(1009), call.arrival_s(1010)) == (0.2, 0.2, None)


def test_pieces_that_were_not_kept_leave_the_arrival_of_the_others_known():
    exchange = exchange_of(Endpoint.CHAT, [b"data: 1\n\n", b"data: 2\n\n"])
    cut = exchange_of(Endpoint.CHAT, b"data: 1\n\n", chunks=exchange.chunks, truncated=True)

    assert read_call(cut, MIB).arrival_s(9) == 0.1


def test_bytes_of_no_known_piece_are_read_and_have_no_arrival():
    body = gzip.compress(b"data: 1\n\n")
    exchange = exchange_of(Endpoint.CHAT, body, coding="gzip", chunks=exchange_of(Endpoint.CHAT, [b"x" * 3]).chunks)

    call = read_call(exchange, MIB)

    assert call.plain.content == b"data: 1\n\n"
    assert call.arrival_s(9) is None


def test_what_was_cut_at_the_limit_is_not_taken_for_a_whole():
    response = gzip.compress(b"1234567890" * 100)

    call = read_call(exchange_of(Endpoint.CHAT, response, coding="gzip", content_type="application/json"), 10)

    assert (call.response, call.plain.content) == (None, b"1234567890")
