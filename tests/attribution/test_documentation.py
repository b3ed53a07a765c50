import re
from pathlib import Path

from llm_proxy.attribution.documentation import fill
from llm_proxy.attribution.vocabulary import HEADERS

DOCUMENT = Path(__file__).parents[2] / "docs" / "headers.md"


def test_the_tables_of_the_documentation_are_those_of_the_code():
    text = DOCUMENT.read_text(encoding="utf-8")

    # If this fails: python -m llm_proxy.attribution.documentation docs/headers.md
    assert text == fill(text)


def test_the_documentation_has_every_table():
    text = DOCUMENT.read_text(encoding="utf-8")

    assert re.findall(r"<!-- table: (\w+) -->", text) == [
        "own",
        "others",
        "limits",
        "stripped",
        "gateway_keys",
        "recorded_request",
        "recorded_response",
    ]


def test_every_header_that_is_read_is_named():
    text = DOCUMENT.read_text(encoding="utf-8")

    assert [header.name for header in HEADERS if f"`{header.name}" not in text] == []


def test_a_stale_table_is_replaced_and_the_prose_is_kept():
    stale = "before\n<!-- table: limits -->\nold\n<!-- end -->\nafter\n"

    filled = fill(stale)

    assert filled.startswith("before\n<!-- table: limits -->\n\n| What |")
    assert filled.endswith("\n\n<!-- end -->\nafter\n")
    assert "old" not in filled
