"""Records on a terminal."""

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from llm_proxy.model.completion import Bodies, Context, Status
from llm_proxy.tables import render_record, render_table
from llm_proxy.ui.present import DASH
from records import BODIES, bare, completions, record

SECRET_OF_A_TERMINAL = "\x1b]0;title\x07\x1b[2J\x9b31m"


def test_a_call_has_a_line_of_facts_and_a_line_to_copy_from():
    call = record(id="0193", context=Context(tags=("a", "b"), session_id="s-1"))

    shown = render_table([call], width=106, zone=UTC)

    assert shown == (
        "TIME             STATUS    MODEL                    IN     OUT     TTFT        TOTAL  CALL\n"
        "24 Nov 12:00:00  finished  gpt-4o                   14       3   410 ms       1.25 s  What is the capital…\n"
        "  0193  a, b  session s-1\n"
    )


def test_a_failed_call_says_why_on_a_line_of_its_own():
    failed = bare(id="0193", status=Status.FAILED, failure_kind="upstream_timeout", failure_reason="no byte for 600 s")

    lines = render_table([failed], width=120, zone=UTC).splitlines()

    assert lines[2:] == ["  0193", "  upstream_timeout: no byte for 600 s"]


def test_unknown_numbers_are_dashes():
    _, line, _ = render_table([bare()], width=120, zone=UTC).splitlines()

    assert line.split()[3:9] == ["started", *DASH * 5]


def test_without_its_header_a_table_goes_on_with_an_earlier_one():
    both = render_table([record(id="1"), record(id="2")], width=120)

    first, second = render_table([record(id="1")], width=120), render_table([record(id="2")], width=120, header=False)

    assert first + second == both


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    long = record(
        preview="日本の首都は? " * 50,
        model="claude-" * 20,
        status=Status.FAILED,
        failure_reason="because " * 50,
        context=Context(tags=("tag " * 50,)),
    )

    lines = render_table([long, record()], width=width).splitlines()

    assert max(map(cell_len, lines)) <= width
    assert "日本" in lines[1]


def test_the_id_is_whole_on_a_narrow_terminal_too():
    call = record()

    assert call.id in render_table([call], width=60)


def test_colour_is_only_added_when_asked_for_and_by_us_alone():
    hostile = record(
        preview=f"[red]{SECRET_OF_A_TERMINAL}[/red] :smile:", context=Context(tags=(SECRET_OF_A_TERMINAL,))
    )

    plain, coloured = render_table([hostile], width=150), render_table([hostile], width=150, colour=True)

    assert "\x1b" not in plain
    assert "[red]␛]0;title␇" in plain
    assert ":smile:" in plain
    assert "\x1b[32mfinished" in coloured
    assert "\x1b]" not in coloured
    assert "\x1b[2J" not in coloured
    assert "\x9b" not in coloured


def test_a_record_is_shown_with_its_facts_headers_and_bodies():
    shown = render_record(record(id="0193"), zone=UTC)

    assert "  Started       2026-11-24 12:00:00.123456 UTC\n" in shown
    assert "  x-request-id  req_1\n  x-request-id  req_2\n" in shown
    assert "  Content-Type      application/json\n  Transfer-Encoding chunked\n" in render_record(
        bare(bodies=Bodies(response_headers=(("Content-Type", "application/json"), ("Transfer-Encoding", "chunked"))))
    )
    assert '\n      "content": "What is the capital of France?"\n' in shown
    assert [line for line in shown.splitlines() if line.isupper() and not line.startswith(" ")] == [
        "CALL",
        "BELONGS TO",
        "TIMING",
        "TOKENS",
        "COST",
        "RECORDED",
        "REQUEST",
        "RESPONSE",
    ]


def test_a_body_is_shown_in_full():
    bodies = Bodies(request_body=b"x" * 1_000_000)

    assert "x" * 1_000_000 in render_record(record(bodies=bodies))


def test_a_body_cannot_steer_the_terminal():
    bodies = Bodies(request_body=f"[b]{SECRET_OF_A_TERMINAL}[/b]".encode(), response=[SECRET_OF_A_TERMINAL])

    shown = render_record(record(bodies=bodies), colour=True)

    assert "[b]␛]0;title␇␛[2J" in shown
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown


def test_a_record_without_bodies_has_dashes():
    assert render_record(bare()).endswith(f"REQUEST\n{DASH}\n\nRESPONSE\n{DASH}\n")


@settings(max_examples=50)
@given(completions, st.integers(20, 200), st.booleans())
def test_every_record_can_be_shown(completion, width, colour):
    shown = render_table([completion], width=width, colour=colour, zone=UTC)
    shown += render_record(completion, colour=colour, zone=UTC)

    allowed = {"\n", "\t"} | ({"\x1b"} if colour else set())
    assert {character for character in shown if character < " "} <= allowed
    shown.encode()


def test_a_call_of_which_only_bodies_are_known_is_shown():
    assert '"content": "Paris."' in render_record(bare(bodies=BODIES))
