import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.proxy.json_edit import members, with_member, with_value

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=10
)
objects = st.dictionaries(st.text(), values, max_size=5)
layouts = st.sampled_from(
    [{}, {"indent": 2}, {"separators": (",", ":")}, {"separators": (" ,\n", "\t: ")}, {"ensure_ascii": False}]
)


def written(value, layout):
    return json.dumps(value, **layout).encode("utf-8", "surrogatepass")


@given(objects, layouts)
def test_every_member_is_found_where_its_value_stands(value, layout):
    body = b" \n" + written(value, layout) + b"\r\n"

    found = members(body)

    assert found is not None
    assert [json.loads(body[member.start : member.end]) for member in found] == list(value.values())
    assert [member.name for member in found if member.name.isascii()] == [name for name in value if name.isascii()]


@given(objects, layouts, values)
def test_one_value_is_changed_and_no_other_byte(value, layout, new):
    body = written({"before": 1, **value, "model": "old", "after": [1]}, layout)
    member = next(member for member in members(body) or () if member.name == "model")

    changed = with_value(body, member, json.dumps(new).encode())

    assert changed[: member.start] == body[: member.start]
    assert changed.endswith(body[member.end :])
    assert json.loads(changed)["model"] == new


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", b'{"a":1}'),
        (b" { } \n", b' { "a":1} \n'),
        (b'{"b": {}}', b'{"b": {},"a":1}'),
        (b'{"b": "}"}  ', b'{"b": "}","a":1}  '),
        (b'{"b": "{"}', b'{"b": "{","a":1}'),
    ],
)
def test_a_member_is_added_at_the_end(body, expected):
    assert with_member(body, b"a", b"1") == expected


def test_a_repeated_member_is_found_each_time_and_an_escaped_name_by_what_it_means():
    found = members(b'{"model": 1, "mod\\u0065l": 2}')

    assert found is not None
    assert [(member.name, member.start, member.end) for member in found] == [("model", 10, 11), ("model", 27, 28)]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"7", b'"text"', b"{", b'{"a"}', b'{"a": NaN}', b'{"a": 1}x', b"\xff", b'{"a": ' + b"[" * 100_000],
)
def test_of_what_is_no_json_object_there_are_no_members(body):
    assert members(body) is None


def test_text_beyond_ascii_shifts_nothing():
    body = '{"käse": "日本", "model": "x"}'.encode()

    found = members(body)

    assert found is not None
    assert body[found[1].start : found[1].end] == b'"x"'
