"""A record as rows, and back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from msgspec.structs import replace

from llm_proxy.errors import StoreRejected
from llm_proxy.model.completion import Bodies, Context, Usage
from llm_proxy.store import rows
from llm_proxy.store.bodies import Packer
from llm_proxy.store.rows import from_micros, restored, storable, to_completion, to_micros, to_rows
from llm_proxy.store.sql import completion_bodies, completion_tags, completions
from records import BODIES, NOON, bare, record, texts
from records import completions as any_completion

COLUMNS = [column.name for column in completions.c if column.name != "change"]


def rows_of(completion):
    return to_rows(completion, Packer())


@given(any_completion)
def test_every_record_comes_back_as_it_was(completion):
    rows = rows_of(completion)

    row = dict(zip(COLUMNS, rows.completion, strict=True)) | {"content": rows.bodies and rows.bodies[1]}

    assert to_completion(row, [link.piece for link in rows.links]) == completion
    assert to_completion(row) == replace(completion, bodies=None)


@given(any_completion)
def test_no_text_in_a_row_holds_what_a_database_does_not_take(completion):
    rows = rows_of(completion)

    for text in (value for row in (rows.completion, *rows.tags) for value in row if isinstance(value, str)):
        assert "\x00" not in text
        text.encode()


def test_every_row_has_the_columns_of_its_table():
    rows = rows_of(record())

    assert len(rows.completion) == len(COLUMNS)
    assert {len(tag) for tag in rows.tags} == {len(completion_tags.c)}
    assert rows.bodies is not None
    assert len(rows.bodies) == len(completion_bodies.c)


def test_a_tag_that_is_there_twice_is_one_row_but_stays_twice_in_the_record():
    rows = rows_of(record(id="1", context=Context(tags=("b", "a", "b"))))

    assert [tag[:2] for tag in rows.tags] == [("1", "b"), ("1", "a")]
    assert '["b","a","b"]' in rows.completion


def test_what_is_empty_or_unknown_is_null():
    rows = rows_of(bare())

    null = {name for name, value in zip(COLUMNS, rows.completion, strict=True) if value is None}
    assert set(COLUMNS) - null == {
        "id",
        "organization_id",
        "started_at_us",
        "status",
        "method",
        "path",
        "endpoint",
        "truncated",
    }
    assert rows.bodies is None


def test_usage_of_which_nothing_is_known_is_not_no_usage():
    known, unknown = rows_of(bare(usage=Usage())), rows_of(bare(usage=None))

    column = COLUMNS.index("usage")
    assert (known.completion[column], unknown.completion[column]) == ("{}", None)


def test_json_that_is_too_deep_is_rejected_by_the_id_of_its_record():
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]

    with pytest.raises(StoreRejected, match="0193: its JSON is nested too deep"):
        rows_of(record(id="0193", bodies=replace(BODIES, response=deep)))
    with pytest.raises(StoreRejected, match="0193"):
        rows_of(record(id="0193", context=Context(metadata={"deep": deep}), bodies=Bodies()))


def test_times_are_microseconds_of_utc():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))

    assert to_micros(elsewhere) == to_micros(NOON) == 1_795_521_600_123_456
    assert from_micros(1_795_521_600_123_456) == NOON
    assert from_micros(0) == datetime(1970, 1, 1, tzinfo=UTC)


def test_bodies_refer_to_the_last_of_their_links():
    request = {"messages": [{"role": "user", "content": "x" * 2000}]}
    rows = rows_of(record(bodies=Bodies(request=request)))

    assert rows.bodies is not None
    assert rows.bodies[2] == rows.links[-1].hash


@given(texts)
def test_what_was_stored_is_restored(text):
    assert restored(storable(text)) == text


@given(texts, texts)
def test_different_texts_stay_different_when_stored(one, other):
    assert (storable(one) == storable(other)) == (one == other)


def test_what_is_looked_up_by_its_place_stands_there():
    places = (rows._STARTED_AT_US, rows._SESSION_ID, rows._SESSION_INFERRED)

    assert [COLUMNS[place] for place in places] == ["started_at_us", "session_id", "session_inferred"]
