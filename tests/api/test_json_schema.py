"""Schemas of others."""

import contextlib
import time

import pytest
from hypothesis import given

from llm_proxy.api.json_schema import MAX_FAULTS, MAX_SCHEMA_BYTES, check_schema, faults_of
from records import json_values

STARS = {"type": "object", "properties": {"stars": {"type": "integer", "maximum": 5}}, "required": ["stars"]}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        STARS,
        {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [True]},
        {"$defs": {"a/b": {"type": "integer"}}, "properties": {"x": {"$ref": "#/$defs/a~1b"}}},
        {"allOf": [{"type": "object"}], "properties": {"x": {"$ref": "#/allOf/0"}}},
    ],
)
def test_a_schema_is_a_schema(schema):
    check_schema(schema)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "nope"}, r"at \.type"),
        ({"properties": {"a": {"minimum": "1"}}}, r"at \.properties\.a\.minimum"),
        ({"pattern": "("}, "regex"),
        ({"$schema": "http://127.0.0.1/x"}, "meta-schema"),
        ({"$ref": "http://127.0.0.1/x"}, "may only refer to its own parts"),
        ({"$ref": "file:///etc/passwd"}, "may only refer to its own parts"),
        ({"$ref": "#/nope"}, "which is not there"),
        ({"$ref": "#"}, "must not refer to itself"),
        ({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}, "$ref": "#/$defs/a"}, "must not refer to itself"),
        ({"$defs": {str(n): {"$ref": f"#/$defs/{n + 1}"} for n in range(2000)}, "$ref": "#/$defs/0"}, "too often"),
        ({"$dynamicRef": "#x"}, "must not use"),
        ({"description": "x" * MAX_SCHEMA_BYTES}, "is longer than"),
        ({"description": "\ud800"}, "no JSON Schema that can be read"),
    ],
)
def test_what_is_no_schema_or_reaches_out_of_itself_is_refused(schema, message):
    with pytest.raises(ValueError, match=message):
        check_schema(schema)


def test_a_schema_that_multiplies_is_refused_before_it_is_checked():
    levels = {f"a{level}": {"allOf": [{"$ref": f"#/$defs/a{level + 1}"}] * 2} for level in range(60)}
    before = time.monotonic()

    with pytest.raises(ValueError, match="too large"):
        check_schema({"$defs": {**levels, "a60": {}}, "$ref": "#/$defs/a0"})

    assert time.monotonic() - before < 30


def test_a_pattern_takes_no_longer_than_its_text():
    schema = {"properties": {"x": {"pattern": "^(a+)+$"}}}

    (fault,) = faults_of(schema, {"x": "a" * 50_000 + "b"})

    assert fault[0] == ".x"


def test_each_fault_has_its_path_and_its_reason():
    faults = faults_of(STARS, {"stars": 6})

    assert [path for path, _ in faults] == [".stars"]
    assert "maximum" in faults[0][1]
    assert faults_of(STARS, {"stars": 5}) == []


def test_faults_are_told_up_to_a_number():
    assert len(faults_of({"properties": {"x": {"items": False}}}, {"x": [1] * 100})) <= MAX_FAULTS


@given(json_values)
def test_any_value_is_valid_or_not_but_does_no_harm(value):
    for schema in (STARS, {"enum": [value]}, {"properties": value}, {"default": value}):
        with contextlib.suppress(ValueError):
            check_schema(schema)
            assert faults_of(schema, {"stars": value}) is not None
