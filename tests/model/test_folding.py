from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.entity import entity_of
from llm_proxy.model.folding import canonical, fold, listed, mapped, single, time_of
from llm_proxy.model.trace import Key, Kind, Stage, Statement

KEY = Key(repository="r", kind=Kind.TRACE, id="t")

WORDS = st.sampled_from(["a", "b", "longer", ""])
VALUES = WORDS | st.integers(0, 1) | st.booleans() | st.floats(0, 1)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "name": WORDS,
        "input": VALUES,
        "endTimestamp": st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:00+00:00"]),
        "tags": st.dictionaries(WORDS, WORDS, max_size=3),
        "metadata": st.dictionaries(WORDS, VALUES, max_size=3),
        "feedback": st.lists(st.fixed_dictionaries({"score": st.integers(0, 2)}), max_size=2),
        "errors": st.lists(st.fixed_dictionaries({"id": WORDS, "message": WORDS}), max_size=2),
        "addedMessages": st.lists(st.fixed_dictionaries({"content": WORDS}), max_size=3),
    },
)


def said(members, *, at=1, stage=Stage.CHANGED):
    return Statement(kind=Kind.TRACE, id="t", stage=stage, heard_at_us=at, members=members)


@st.composite
def histories(draw):
    """At most as many values of one member as are remembered, each statement at a time of its own."""
    told = draw(st.lists(st.tuples(st.sampled_from(Stage), MEMBERS), max_size=6))
    return [said(members, at=at, stage=stage) for at, (stage, members) in enumerate(told)]


@given(histories(), st.data())
def test_neither_order_nor_repetition_makes_a_difference(history, data):
    again = data.draw(st.lists(st.sampled_from(history), max_size=4)) if history else []
    mixed = data.draw(st.permutations([*history, *again]))
    split = data.draw(st.integers(0, len(mixed)))

    state = fold(None, mixed[:split]) if split else None
    state = fold(state, mixed[split:]) if mixed[split:] else state

    expected = fold(None, history) if history else None
    assert canonical(state) == canonical(expected)
    assert expected is None or entity_of(KEY, state) == entity_of(KEY, expected)


@given(histories().filter(bool))
def test_a_state_that_was_folded_on_stays_as_it_was(history):
    before = fold(None, history[:1])
    kept = canonical(before)

    fold(before, history)

    assert canonical(before) == kept


def test_what_is_said_last_counts():
    state = fold(None, [said({"output": "first"}, at=1), said({"output": "second"}, at=2)])

    assert single(state, "output") == "second"


def test_an_old_value_that_comes_once_more_is_known_to_be_old():
    state = fold(None, [said({"output": "first"}, at=1), said({"output": "second"}, at=2)])

    again = fold(state, [said({"output": "first"}, at=3)])

    assert single(again, "output") == "second"


def test_a_change_counts_more_than_a_start_that_comes_late():
    change, start = said({"name": "new"}, at=1), said({"name": "old"}, at=2, stage=Stage.BEGUN)

    assert single(fold(None, [change, start]), "name") == "new"


def test_the_latest_end_counts_in_whatever_order():
    late, early = said({"endTimestamp": "2026-01-01T00:00:02Z"}, at=1), said({"endTimestamp": "2026-01-01"}, at=2)

    assert single(fold(None, [late, early]), "endTimestamp") == "2026-01-01T00:00:02Z"


def test_tags_come_together_member_by_member():
    state = fold(None, [said({"tags": {"b": "1", "c": "1"}}, at=1), said({"tags": {"a": "1", "b": "2"}}, at=2)])

    assert mapped(state, "tags") == {"b": "2", "c": "1", "a": "1"}
    assert list(mapped(state, "tags")) == ["b", "c", "a"]


def test_messages_stand_in_the_order_in_which_they_were_added():
    first, second = [{"role": "user"}, {"role": "user"}], [{"role": "assistant"}]
    statements = [said({"addedMessages": second}, at=2), said({"addedMessages": first}, at=1)]

    assert listed(fold(None, statements), "addedMessages") == [*first, *second]


def test_one_and_true_are_two_values():
    state = fold(None, [said({"input": 1}, at=1), said({"input": True}, at=2)])

    assert single(state, "input") is True


@pytest.mark.parametrize(
    ("told", "time"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (1767323045000, datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("soon", None),
        (True, None),
        (1e300, None),
        (None, None),
    ],
)
def test_a_time_is_read(told, time):
    assert time_of(told) == time
