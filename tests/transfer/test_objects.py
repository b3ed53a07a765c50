import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.objects import read_objects
from records import json_values

ROWS = [{"id": 1, "text": "a, [b] {c}"}, {"id": 2, "nested": {"list": [1, 2]}}, {"id": 3, "text": "\u2028 x" * 5}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def read(content):
    return list(read_objects(io.BytesIO(content if isinstance(content, bytes) else content.encode())))


def objects(content):
    items = read(content)
    assert [item for item in items if isinstance(item, BadRow)] == []
    return [item[1] for item in items]


@pytest.mark.parametrize(
    "content",
    [
        LINES,
        "\ufeff" + LINES,
        LINES.replace("\n", "\r\n"),
        LINES.replace("\n", "\n\n"),
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\ufeff" + json.dumps(ROWS, indent=2),
        "".join(json.dumps(row, indent=4) for row in ROWS),
        json.dumps({"data": ROWS, "error": None}),
        json.dumps({"data": ROWS, "error": None}, indent=2),
        json.dumps({"data": ROWS, "total": 3}) + "\n",
        # As Helicone's own tool writes it: a comma behind the last one.
        "[\n" + "".join(json.dumps(row, indent=2) + ",\n" for row in ROWS) + "]\n",
    ],
)
def test_objects_are_found_in_every_shape_of_json(content):
    assert objects(content) == ROWS


def test_one_object_inside_an_answer_is_found():
    assert objects(json.dumps({"data": ROWS[0], "error": None})) == ROWS[:1]


def test_a_file_of_nothing_has_no_objects():
    assert read(b"") == read(b"\n \n") == read(b"[]") == []


def test_a_bad_line_costs_that_line_only():
    items = read('{"id": 1}\n{"id": \n3\n{"id": 4}\n')

    assert items == [
        ("line 1", {"id": 1}),
        BadRow(place="line 2", reason="no valid JSON"),
        BadRow(place="line 3", reason="no object"),
        ("line 4", {"id": 4}),
    ]


@pytest.mark.parametrize("rest", ['{"id": 2]', '{"id": "unterminated', "{", '{"id": 2} nonsense'])
def test_a_document_is_read_up_to_where_it_is_no_json(rest):
    items = read(b'[{"id": 1},\n' + rest.encode() + b" " * 100)

    assert items[0] == ("value 1", {"id": 1})
    assert items[-1].reason == "no valid JSON"
    assert "and what follows" in items[-1].place


def test_values_that_are_longer_than_what_is_read_at_a_time_are_whole():
    rows = [{"id": number, "text": chr(0x20AC) * 100_000} for number in range(3)]

    assert objects(json.dumps(rows, ensure_ascii=False, indent=1)) == rows


@settings(max_examples=40)
@given(st.lists(st.dictionaries(st.text(max_size=5).filter(lambda name: name != "data"), json_values, max_size=3)))
def test_whatever_json_holds_is_read_from_an_array(rows):
    assert objects(json.dumps(rows)) == rows


def test_a_row_of_csv_is_an_object_of_texts_without_empty_cells():
    items = read('id,body,model\n1,"{""a"": ""x,\ny""}",\n2,,gpt-4o\n')

    assert items == [("line 3", {"id": "1", "body": '{"a": "x,\ny"}'}), ("line 4", {"id": "2", "model": "gpt-4o"})]


def test_a_row_of_csv_with_too_many_or_too_few_cells_is_a_bad_one():
    items = read("id,model\n1,a,b\n2\n3,c\n")

    assert [item.place for item in items[:2]] == ["line 2", "line 3"]
    assert {item.reason for item in items[:2]} == {"another number of cells than there are columns"}
    assert items[2] == ("line 4", {"id": "3", "model": "c"})


def test_a_cell_may_hold_a_body_of_megabytes():
    body = "x" * 3_000_000

    assert objects(f"id,body\n1,{body}\n") == [{"id": "1", "body": body}]


def test_a_quote_that_is_never_closed_ends_the_file():
    items = read('id,body\n1,a\n2,"b\n3,c\n')

    assert items[0] == ("line 2", {"id": "1", "body": "a"})
    assert [item.reason for item in items[1:]] == ["no valid CSV: unexpected end of data"]
