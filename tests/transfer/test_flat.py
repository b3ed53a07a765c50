import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llm_proxy.transfer.flat import COLUMNS, flat_row
from llm_proxy.transfer.parquet import _schema
from records import COST, NO_COST, NOON, bare, record

PYTHON_TYPES = {
    "text": str,
    "json": str,
    "int": int,
    "float": float,
    "bool": bool,
    "time": datetime,
    "texts": list,
}


def test_a_row_has_the_columns_in_their_order():
    row = flat_row(record())

    assert list(row) == list(COLUMNS)


def test_each_value_has_the_type_of_its_column():
    row = flat_row(record(failure_kind="x", failure_reason="x", decode_problem="x", cost=COST))

    of_another = [
        name for name, value in row.items() if value is None or type(value) is not PYTHON_TYPES[COLUMNS[name]]
    ]

    # It is not known how many tokens were spent on these.
    assert of_another == [
        "reasoning_output_tokens",
        "cache_write_input_tokens",
        "audio_input_tokens",
        "audio_output_tokens",
    ]


def test_what_is_unknown_is_none_and_never_zero():
    row = flat_row(bare())

    known = {name: value for name, value in row.items() if value not in (None, [])}

    assert known == {
        "id": row["id"],
        "organization_id": "default",
        "started_at": NOON.astimezone(UTC),
        "status": "started",
        "method": "POST",
        "path": "/v1/chat/completions",
        "endpoint": "chat.completions",
        "truncated": False,
    }


def test_a_cost_is_told_exactly_and_an_unknown_one_is_none_with_its_reason():
    known, unknown = flat_row(record(cost=COST)), flat_row(record(cost=NO_COST))

    assert known["cost_usd"] == "0.000065"
    assert json.loads(str(known["cost"]))["parts"][0] == {
        "name": "input",
        "quantity": 14,
        "rate": "0.0000025",
        "usd": "0.000035",
    }
    assert unknown["cost_usd"] is None
    assert json.loads(str(unknown["cost"]))["reason"] == "unknown_model"


def test_the_documentation_has_each_column_with_its_type():
    text = (Path(__file__).parents[2] / "docs" / "transfer.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (yes|no) \|$", text, re.MULTILINE)

    assert {name: type_ for name, type_, in_csv in rows if in_csv == "yes"} == COLUMNS
    assert [name for name, _, in_csv in rows if in_csv == "yes"] == list(COLUMNS)


def test_the_documentation_has_each_column_of_bodies():
    pyarrow = pytest.importorskip("pyarrow")
    text = (Path(__file__).parents[2] / "docs" / "transfer.md").read_text(encoding="utf-8")

    names = re.findall(r"^\| `(\w+)` \| \w+ \| (?:yes|no) \|$", text, re.MULTILINE)

    assert names == _schema(pyarrow).names
