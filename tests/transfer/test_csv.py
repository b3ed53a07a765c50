import csv
import io

import pytest
from hypothesis import given

from llm_proxy.model.completion import Context
from llm_proxy.transfer.csv import CsvWriter, cell
from llm_proxy.transfer.flat import COLUMNS
from records import NOON, bare, completions, record, tagged


def written(*records):
    file = io.BytesIO()
    writer = CsvWriter(file)
    assert [writer.write(completion) for completion in records] == [None] * len(records)
    writer.close()
    return file.getvalue()


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_one_call_is_one_row_under_the_column_names():
    completion = record()

    (row,) = rows(written(completion))

    assert list(row) == list(COLUMNS)
    assert row["id"] == completion.id
    assert row["started_at"] == "2026-11-24T12:00:00.123456+00:00"
    assert row["tags"] == '["nightly","ci"]'
    assert row["metadata"] == '{"team":"search","attempt":2}'
    assert row["duration_s"] == "1.25"
    assert row["stream"] == "false"
    assert row["cached_input_tokens"] == "0"


def test_no_record_is_a_file_with_the_column_names():
    assert written() == (",".join(COLUMNS) + "\r\n").encode()


def test_what_is_unknown_is_an_empty_cell():
    (row,) = rows(written(bare()))

    assert [row["duration_s"], row["input_tokens"], row["stream"], row["tags"], row["usage"]] == [""] * 5


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "'=1"],
)
def test_a_text_that_a_spreadsheet_would_run_is_one_apostrophe_away_from_itself(text):
    (row,) = rows(written(record(preview=text, model=text, context=Context(user_id=text))))

    assert row["preview"] == row["model"] == row["user_id"] == "'" + text


@pytest.mark.parametrize("text", ["a=1", " =1", "1-2", '"=1"', "[=1]"])
def test_any_other_text_stands_as_it_is(text):
    (row,) = rows(written(record(preview=text)))

    assert row["preview"] == text


def test_numbers_are_never_taken_for_formulas():
    assert [cell(-1), cell(-0.5), cell(None), cell(True), cell(NOON)][:4] == ["-1", "-0.5", "", "true"]


def test_commas_quotes_and_line_ends_stay_inside_their_cell():
    text = 'a "quoted", and\r\nbroken; line'

    (row,) = rows(written(record(failure_reason=text)))

    assert row["failure_reason"] == text


def test_an_escape_sequence_of_a_prompt_reaches_no_terminal():
    content = written(tagged("\x1b[31m", "\x9b"), record(preview="\x1b]0;owned\x07"))

    assert not {0x1B, 0x07} & set(content)
    assert "\x9b" not in content.decode()


@given(completions)
def test_whatever_a_record_holds_is_one_row_of_text(completion):
    (row,) = rows(written(completion))

    assert None not in row
    assert None not in row.values()
