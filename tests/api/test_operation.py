"""Queries are read by what is said of them."""

from datetime import UTC, datetime

import pytest
from starlette.datastructures import QueryParams

from llm_proxy.api.operation import (
    CURSOR,
    LIMIT,
    SINCE,
    TEXT,
    Parameter,
    read_cursor,
    read_place,
    read_query,
    written_cursor,
    written_place,
)
from llm_proxy.api.resource import Fault
from llm_proxy.model.query import Cursor

PARAMETERS = (
    Parameter(name="tag", about="", schema=TEXT, many=True),
    Parameter(name="number", about="", parse=int, schema={"type": "integer"}),
    LIMIT,
)


def test_what_is_given_is_read_and_what_is_not_is_none():
    asked = read_query(QueryParams("tag=a&tag=b&number=7"), PARAMETERS)

    assert asked == {"tag": ("a", "b"), "number": 7, "limit": None}
    assert read_query(QueryParams(""), PARAMETERS) == {"tag": (), "number": None, "limit": None}


@pytest.mark.parametrize(
    ("query", "param", "message"),
    [
        ("numbers=7", "numbers", "numbers is no parameter; there are tag, number, limit"),
        ("number=x", "number", "number: invalid literal"),
        ("number=1&number=2", "number", "more than once"),
        ("limit=0", "limit", "'0' is no number from 1 to 1000"),
        ("since=x", "since", "since is no parameter"),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_name(query, param, message):
    with pytest.raises(Fault, match=message) as caught:
        read_query(QueryParams(query), PARAMETERS)

    assert (caught.value.param, caught.value.status) == (param, 400)


def test_what_is_needed_is_missed():
    with pytest.raises(Fault, match="by is missing"):
        read_query(QueryParams(""), [Parameter(name="by", about="", schema=TEXT, needed=True)])


def test_a_time_may_be_told_by_how_long_ago_it_was():
    before = datetime.now(UTC)

    asked = read_query(QueryParams("since=1s"), [SINCE])

    assert 0 <= (before - asked["since"]).total_seconds() <= 1


@pytest.mark.parametrize("place", [(), ("a",), (None, "é\x00\ud800", 7)])
def test_a_place_comes_back_as_it_was(place):
    text = written_place(*place)

    assert read_place(text, *map(type, place)) == list(place)
    assert text.isascii()
    assert "=" not in text


@pytest.mark.parametrize("text", ["x", "!!!!", "gICA", "W10", "e30", written_place("a", "b"), written_place(None)])
def test_what_is_no_place_is_refused(text):
    with pytest.raises(ValueError, match="is not the next of"):
        read_place(text, str)


@pytest.mark.parametrize(
    "place", [("yesterday", "x"), ("0001-01-01T00:00+14:00", "x"), ("9999-12-31T23:59-14:00", "x")]
)
def test_a_place_in_time_needs_a_time(place):
    with pytest.raises(ValueError, match="is not the next of a list"):
        read_cursor(written_place(*place))


def test_a_place_in_time_comes_back_as_it_was():
    cursor = Cursor(started_at=datetime(2026, 11, 24, 12, 0, 0, 1, tzinfo=UTC), id="0193 é")

    assert CURSOR.parse(written_cursor(cursor)) == cursor
    assert written_cursor(None) is None
