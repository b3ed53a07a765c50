"""Schemas as forms, and what was filled in as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.ui.questions import Kind, questions, read_values
from records import json_values

SCHEMA = {
    "type": "object",
    "properties": {
        "stars": {"type": "integer", "minimum": 1, "maximum": 5, "title": "Stars", "description": "More is better"},
        "good": {"type": "boolean"},
        "tone": {"enum": ["warm", "cold", None]},
        "faults": {"type": "array", "items": {"enum": ["long", "wrong"]}},
        "price": {"type": "number", "minimum": 0},
        "name": {"type": "string", "maxLength": 40},
        "why": {"type": "string"},
        "more": {"type": "object"},
    },
    "required": ["stars"],
}
FILLED = {
    "q0": ["3"],
    "q1": ["1"],
    "q2": ["2"],
    "q3": ["0", "1"],
    "q4": ["1.5"],
    "q5": ["Ann"],
    "q6": ["a\nb"],
    "q7": ['{"x": 1}'],
}
VALUES = {
    "stars": 4,
    "good": False,
    "tone": None,
    "faults": ["long", "wrong"],
    "price": 1.5,
    "name": "Ann",
    "why": "a\nb",
    "more": {"x": 1},
}


def test_each_member_is_asked_for_as_what_it_is():
    asked = questions(SCHEMA)

    assert [one.kind.value for one in asked] == ["one", "one", "one", "many", "number", "line", "text", "json"]
    assert [one.required for one in asked] == [True] + [False] * 7
    assert (asked[0].title, asked[0].about, asked[1].title) == ("Stars", "More is better", "good")
    assert [choice.label for choice in asked[1].choices] == ["Yes", "No"]
    assert [choice.key for choice in asked[0].choices] == ["1", "2", "3", "4", "5"]


def test_what_was_filled_in_has_its_types_and_fills_the_form_in_again():
    values = read_values(questions(SCHEMA), FILLED)

    assert values == VALUES
    again = questions(SCHEMA, values)
    assert [[choice.chosen for choice in one.choices] for one in again[:4]] == [
        [False, False, False, True, False],
        [False, True],
        [False, False, True],
        [True, True],
    ]
    assert [one.filled for one in again[4:]] == ["1.5", "Ann", "a\nb", '{\n  "x": 1\n}']


def test_what_is_left_out_is_no_value():
    assert read_values(questions(SCHEMA), {"q0": ["0"], "q6": [" "]}) == {"stars": 1}


@pytest.mark.parametrize(
    ("filled", "fault"),
    [
        ({}, "Stars: is needed"),
        ({"q0": ["9"]}, "Stars: there is no such answer"),
        ({"q0": ["x"]}, "Stars: there is no such answer"),
        ({"q0": ["0"], "q4": ["much"]}, "price: is not a number"),
        ({"q0": ["0"], "q4": ["NaN"]}, "price: is not a number"),
        ({"q0": ["0"], "q7": ["{"]}, "more: is not JSON"),
        ({"q0": ["0"], "q7": ["[" * 100_000]}, "more: is not JSON"),
    ],
)
def test_what_cannot_be_read_is_said(filled, fault):
    with pytest.raises(ValueError, match=fault):
        read_values(questions(SCHEMA), filled)


def test_a_schema_without_members_is_asked_for_as_json():
    [asked] = questions({"type": "object"})

    assert asked.kind is Kind.JSON
    assert read_values((asked,), {"q0": ['{"a": 1}']}) == {"a": 1}
    with pytest.raises(ValueError, match="must be a JSON object"):
        read_values((asked,), {"q0": ["[]"]})


def test_references_and_what_may_be_null_are_what_they_stand_for():
    schema = {
        "properties": {"a": {"$ref": "#/$defs/grade"}, "b": {"anyOf": [{"type": "boolean"}, {"type": "null"}]}},
        "$defs": {"grade": {"enum": ["A", "B"]}},
    }

    assert [[choice.label for choice in one.choices] for one in questions(schema)] == [["A", "B"], ["Yes", "No"]]


def test_the_digit_of_a_grade_is_the_grade_and_of_a_word_its_place():
    schema = {"properties": {"from_0": {"type": "integer", "minimum": 0, "maximum": 10}, "word": {"enum": ["x", "y"]}}}

    grades, words = questions(schema)

    assert [choice.key for choice in grades.choices] == [*"0123456789", ""]
    assert [choice.key for choice in words.choices] == ["1", "2"]


@given(st.dictionaries(st.sampled_from(["properties", "required", "type", "$defs"]), json_values), json_values)
def test_no_schema_and_no_values_break_the_form(schema, values):
    questions(schema, values if isinstance(values, dict) else None)


@given(st.dictionaries(st.text(max_size=3), json_values, min_size=1, max_size=3))
def test_no_member_breaks_the_form(members):
    asked = questions({"properties": members})

    assert [one.name for one in asked] == list(members)
