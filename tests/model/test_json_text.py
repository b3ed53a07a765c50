"""JSON comes back as it was, whatever was in it."""

import json

import pytest
from hypothesis import given

from llm_proxy.model.json_text import decode_json, encode_json
from records import json_values


@given(json_values)
def test_every_value_comes_back_as_it_was(value):
    encoded = encode_json(value)

    assert decode_json(encoded) == value
    assert json.loads(encoded.decode()) == value  # and anybody else reads the same


def test_integers_stay_integers_and_floats_floats():
    value = [1, 1.0, 2**63, 2**64, -(10**30)]

    again = decode_json(encode_json(value))

    assert [type(member) for member in again] == [int, float, int, int, int]


def test_text_stands_as_it_is():
    assert encode_json({"é": "→ 日本"}) == '{"é":"→ 日本"}'.encode()


def test_a_lone_surrogate_is_escaped():
    assert encode_json(["\ud800é"]) == b'["\\ud800\\u00e9"]'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_in_json_becomes_null(number):
    assert encode_json([number]) == b"[null]"
    assert encode_json({"a": [number, (number,)], "b": "\ud800"}) == b'{"a":[null,[null]],"b":"\\ud800"}'


@pytest.mark.parametrize("raw", [b"", b"{", b"nul", b'"\\ud800', b"\xff"])
def test_what_is_no_json_is_a_value_error(raw):
    with pytest.raises(ValueError, match=r".+"):
        decode_json(raw)


def test_what_is_too_deep_is_a_recursion_error():
    value: list[object] = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(RecursionError):
        encode_json(value)
