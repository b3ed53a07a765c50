from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.decode.deltas import LABELS, Growing, as_error, extend, finished, merge
from llm_proxy.decode.sse import Event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def merged(*deltas: Any) -> Any:
    growing: Growing = {}
    for delta in deltas:
        merge(growing, delta)
    return finished(growing)


def extended(*pieces: Any) -> Any:
    held: Growing = {}
    for piece in pieces:
        extend(held, piece)
    return held


@given(delta=st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_one_delta_is_kept_as_it_is(delta):
    assert merged(delta) == delta


@given(delta=st.dictionaries(st.text(max_size=3), JSON, max_size=4))
def test_a_delta_that_is_empty_or_only_null_changes_nothing(delta):
    assert merged(delta, {}, dict.fromkeys(delta)) == delta


@given(text=st.text(max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_a_text_is_the_same_however_it_is_cut(text, cuts):
    edges = [0, *sorted(cuts), len(text)]
    pieces = [text[start:end] for start, end in pairwise(edges)]

    assert merged({"content": ""}, *({"content": piece} for piece in pieces)) == {"content": text}


@pytest.mark.parametrize("label", sorted(LABELS))
def test_what_names_something_is_replaced_and_never_joined(label):
    assert merged({label: "a"}, {label: "a"}, {label: ""}, {label: None}) == {label: "a"}
    assert merged({label: ""}, {label: "b"}, {label: "c"}) == {label: "c"}


def test_a_null_is_kept_until_something_comes():
    assert merged({"content": None, "refusal": None}, {"content": "a"}) == {"content": "a", "refusal": None}


def test_objects_grow_inside():
    assert merged({"audio": {"id": "a", "data": "AA"}}, {"audio": {"data": "BB", "expires_at": 5}}) == {
        "audio": {"id": "a", "data": "AABB", "expires_at": 5}
    }


def test_numbers_and_truths_are_replaced():
    assert merged({"n": 1, "b": True}, {"n": 2, "b": False}) == {"n": 2, "b": False}


def test_entries_with_an_index_grow_where_they_are_and_are_ordered_by_it():
    deltas = [{"parts": [{"index": 2, "text": "c"}, {"index": 0, "text": "a"}]}, {"parts": [{"index": 2, "text": "d"}]}]

    assert merged(*deltas) == {"parts": [{"index": 0, "text": "a"}, {"index": 2, "text": "cd"}]}


def test_one_delta_may_bring_two_pieces_of_one_entry():
    assert merged({"parts": [{"index": 0, "text": "a"}, {"index": 0, "text": "b"}]}) == {
        "parts": [{"index": 0, "text": "ab"}]
    }


def test_entries_without_an_index_are_appended():
    assert merged({"urls": [{"url": "a"}, "b"]}, {"urls": [{"url": "a"}, "b", 3, None]}) == {
        "urls": [{"url": "a"}, "b", {"url": "a"}, "b", 3, None]
    }


def test_an_enormous_index_costs_nothing():
    assert merged({"parts": [{"index": 10**18, "text": "a"}]}) == {"parts": [{"index": 10**18, "text": "a"}]}


def test_a_signed_thought_is_not_continued_by_the_next_one():
    blocks = [{"type": "thinking", "thinking": "a", "signature": "s"}, {"type": "thinking", "thinking": "b"}]

    assert merged(*({"thinking_blocks": [block]} for block in blocks)) == {"thinking_blocks": blocks}


def test_text_that_turns_into_parts_is_the_first_part():
    assert merged(
        {"content": ""}, {"content": "a"}, {"content": [{"type": "image_url", "url": "u"}]}, {"content": "b"}
    ) == {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "url": "u"}, {"type": "text", "text": "b"}]}


def test_calls_without_index_and_id_begin_with_their_name():
    calls = [{"function": {"name": name, "arguments": text}} for name, text in (("f", "1"), (None, "2"), ("g", "3"))]

    assert merged(*({"tool_calls": [call]} for call in calls)) == {
        "tool_calls": [{"function": {"name": "f", "arguments": "12"}}, {"function": {"name": "g", "arguments": "3"}}]
    }


def test_a_hundred_thousand_pieces_take_linear_time():
    piece = {"content": "x" * 100, "tool_calls": [{"index": 0, "function": {"arguments": "y" * 100}}]}

    answer = merged(*([piece] * 100_000))  # quadratic would copy a terabyte

    assert len(answer["content"]) == len(answer["tool_calls"][0]["function"]["arguments"]) == 10_000_000


def test_what_is_not_a_delta_is_replaced_by_what_says_something():
    assert extended({"a": "x", "b": None, "c": True}, {"a": "", "b": "y", "c": False}, {"a": None, "d": 0}) == {
        "a": "x",
        "b": "y",
        "c": False,
        "d": 0,
    }


def test_lists_that_are_not_in_a_delta_are_appended_at_any_depth():
    assert extended({"l": {"c": [1], "r": None}}, {"l": {"c": [2], "r": [3]}}, {"l": None}) == {
        "l": {"c": [1, 2], "r": [3]}
    }


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ({"error": {"message": "m"}}, {"error": {"message": "m"}}),
        ({"type": "error", "error": "m"}, {"type": "error", "error": "m"}),
        ({"message": "m"}, {"error": {"message": "m"}}),
        ("m", {"error": "m"}),
        (None, {"error": "the text"}),
    ],
)
def test_the_data_of_an_error_event_becomes_an_error_body(value, error):
    assert as_error(Event(data=b"the text", end=10, name="error"), value) == error


@pytest.mark.parametrize(
    ("data", "error"), [(b'{"error": {"mes', None), (b"", None), (b"went wrong", {"error": "went wrong"})]
)
def test_an_error_event_that_is_cut_off_counts_if_it_is_prose(data, error):
    assert as_error(Event(data=data, end=10, name="error", complete=False), None) == error
