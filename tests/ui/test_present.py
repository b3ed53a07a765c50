"""How records look."""

import sys
import unicodedata
from datetime import UTC, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from llm_proxy.model.completion import Context, Status
from llm_proxy.model.exchange import Attempt
from llm_proxy.ui import present
from llm_proxy.ui.present import DASH, body, count, dollars, duration, failure, row, sections, size, time, visible
from records import BODIES, COST, NO_COST, NOON, bare, completions, record, texts


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, DASH),
        (0.0, "0.0 ms"),
        (0.0004, "0.4 ms"),
        (0.00994, "9.9 ms"),
        (0.00996, "10 ms"),
        (0.412, "412 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.25, "1.25 s"),
        (9.994, "9.99 s"),
        (9.996, "10.0 s"),
        (59.94, "59.9 s"),
        (59.996, "1 min 0 s"),
        (75, "1 min 15 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_have_three_digits_and_a_unit(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (None, DASH),
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (999_949, "999.9 kB"),
        (999_950, "1.0 MB"),
        (50_000_000, "50.0 MB"),
        (2**63 - 1, "9.2 EB"),
    ],
)
def test_sizes_have_a_unit(number, shown):
    assert size(number) == shown


def test_counts_are_grouped_and_unknown_is_not_zero():
    assert [count(None), count(0), count(1234567)] == [DASH, "0", "1,234,567"]


def test_a_time_is_that_of_the_zone():
    assert time(NOON, zone=UTC) == "24 Nov 12:00:00"
    assert time(NOON, zone=timezone(timedelta(hours=13))) == "25 Nov 01:00:00"


def test_what_steers_is_shown_and_does_not_steer():
    hostile = "\x1b[31m\x00\x7f\r\n\x9b2J\u202e\u2066\u2028\ud800"

    assert visible(hostile) == "␛[31m␀␡␍␊\ufffd2J" + "\ufffd" * 4
    assert visible("a\n\tb\r", lines=True) == "a\n\tb␍"


def test_no_character_that_steers_is_left():
    everything = "".join(map(chr, range(sys.maxunicode + 1)))

    left = {unicodedata.category(character) for character in visible(everything)}

    assert not left & {"Cc", "Cs", "Zl", "Zp"}
    bidirectional = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    assert not bidirectional & {unicodedata.bidirectional(character) for character in visible(everything)}


@given(texts)
def test_what_is_visible_already_stays_as_it_is(text):
    assert visible(visible(text)) == visible(text)


def test_a_row_says_what_the_record_says():
    shown = row(record(id="1"), zone=UTC)

    assert shown == present.Row(
        id="1",
        time="24 Nov 12:00:00",
        iso_time="2026-11-24T12:00:00.123456+00:00",
        status=Status.FINISHED,
        failure=None,
        model="gpt-4o",
        tags=("nightly", "ci"),
        session="evening run",
        session_id="s-1",
        input_tokens="14",
        output_tokens="3",
        ttft="410 ms",
        duration="1.25 s",
        cost=DASH,
        user="u-1",
        provider="openai",
        upstream="default",
        endpoint="chat.completions",
        trace="0af7651916cd43dd8448eb211c80319c",
        key="5f1c…cdef",
        http_status="200",
        speed="3.6",
        preview="What is the capital of France? → Paris.",
    )


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0.000065123", "$0.0000651"),
        ("0.0123456", "$0.0123"),
        ("1234.567", "$1,234.57"),
        ("0", "$0.00"),
        ("0.5", "$0.5"),
    ],
)
def test_a_cost_in_a_list_has_three_digits_that_count(amount, shown):
    assert present.dollars_about(Decimal(amount)) == shown


def test_a_row_of_what_is_hardly_known_has_dashes_and_says_which_call_it_was():
    shown = row(bare(), zone=UTC)

    assert {shown.model, shown.session, shown.input_tokens, shown.output_tokens, shown.ttft, shown.duration} == {DASH}
    assert shown.preview == "POST /v1/chat/completions"


@pytest.mark.parametrize(
    ("different", "shown"),
    [
        ({"status": Status.FINISHED, "failure_kind": "x"}, None),
        ({"failure_kind": "refused", "failure_reason": "no such upstream"}, "refused: no such upstream"),
        ({"failure_kind": "refused"}, "refused"),
        ({"failure_reason": "why\x1b"}, "why␛"),
        ({}, "failed"),
    ],
)
def test_a_failure_says_what_and_why(different, shown):
    assert failure(record(**({"status": Status.FAILED} | different))) == shown


def test_sections_say_all_that_is_known():
    said = {(section.title, label): value for section in sections(record(), zone=UTC) for label, value in section.facts}

    assert said["Call", "Started"] == "2026-11-24 12:00:00.123456 UTC"
    assert said["Call", "Request"] == "POST /v1/chat/completions"
    assert said["Belongs to", "Session"] == "evening run · s-1"
    assert said["Belongs to", "Metadata"] == "team=search, attempt=2"
    assert said["Timing", "First byte"] == "400 ms"
    assert (said["Timing", "… TLS"], said["Timing", "Our own part"]) == ("25 ms", "2.0 ms")
    assert said["Tokens", "… cached"] == "0"
    assert said["Tokens", "… reasoning"] == DASH
    assert said["Recorded", "Request"] == "88 B"


def test_a_cost_is_shown_with_its_parts_and_whose_prices_they_are():
    facts = {section.title: dict(section.facts) for section in sections(record(cost=COST))}["Cost"]

    assert facts["Total"] == "$0.000065"
    assert facts["… input"] == "14 at $0.0000025 = $0.000035"
    assert facts["By prices of"] == "genai-prices 0.2.3: openai/gpt-4o"


@pytest.mark.parametrize(("cost", "reason"), [(NO_COST, "unknown_model"), (None, DASH)])
def test_a_cost_that_is_not_known_is_a_dash_and_says_why(cost, reason):
    facts = {section.title: dict(section.facts) for section in sections(record(cost=cost))}["Cost"]

    assert (facts["Total"], facts["Unknown for"]) == (DASH, reason)


@pytest.mark.parametrize(
    ("amount", "shown"), [("0", "$0"), ("100", "$100"), ("1E+2", "$100"), ("1.50", "$1.5"), ("1E-7", "$0.0000001")]
)
def test_dollars_are_exact_and_without_idle_zeros(amount, shown):
    assert dollars(Decimal(amount)) == shown


def test_a_body_is_its_json_indented():
    shown = body({"a": ["é", None]}, b"ignored", (("Content-Type", "application/json"), ("Authorization", None)))

    assert shown.text == '{\n  "a": [\n    "é",\n    null\n  ]\n}'
    assert shown.headers == (("Content-Type", "application/json"), ("Authorization", DASH))
    assert not shown.cut


def test_a_body_that_is_no_json_is_its_text():
    assert body(None, b"\x1b[2J\nline \xff", ()).text == "␛[2J\nline \ufffd"
    assert body(None, b"", ()).text is None
    assert body(None, None, ()).text is None


@pytest.mark.parametrize("decoded", [None, "x" * 100, ["x"] * 100])
def test_of_a_long_body_only_the_beginning_is_shown(decoded):
    raw = b"x" * 100

    shown, whole = body(decoded, raw, (), limit=50), body(decoded, raw, ())

    assert shown.cut
    assert not whole.cut
    assert whole.text is not None
    assert shown.text == whole.text[:50]


@settings(max_examples=50)
@given(completions)
def test_every_record_can_be_shown(completion):
    facts = [fact for section in sections(completion, zone=UTC) for fact in section.facts]

    for value in [row(completion, zone=UTC).preview, *(value for _, value in facts)]:
        assert value
        assert visible(value) == value


def test_a_tag_and_a_header_cannot_steer():
    assert row(record(context=Context(tags=("\x1b]0;x\x07",)))).tags == ("␛]0;x␇",)
    headers = replace(BODIES, request_headers=(("x\x1b", "\x9b"),)).request_headers
    assert body(None, None, headers).headers == (("x␛", "\ufffd"),)


def test_each_attempt_is_told_in_a_line():
    attempts = (
        Attempt(upstream="a", model="m", started_s=0.1, ended_s=0.4, http_status=429, wait_s=0.25),
        Attempt(upstream="b", started_s=0.5, ended_s=0.5, failure="left_alone", reason="b has failed too often"),
        Attempt(upstream="c", started_s=0.5, ended_s=1.5, failure="upstream_timeout", reason="no answer\x07"),
    )
    told = record(bodies=replace(BODIES, attempts=attempts))

    (facts,) = (section.facts for section in sections(told) if section.title == "Attempts")

    assert facts == (
        ("1", "a, m: HTTP 429 after 300 ms; the next one 250 ms later"),
        ("2", "b: left alone"),
        ("3", "c: upstream_timeout after 1.00 s (no answer\u2407)"),
    )
    assert "Attempts" not in {section.title for section in sections(record())}


def test_of_a_connection_that_was_not_made_no_step_is_shown():
    (facts,) = (dict(section.facts) for section in sections(bare()) if section.title == "Timing")

    assert facts.keys() & {"… DNS", "… TCP", "… TLS", "Turn"} == set()
    assert facts["Connect"] == facts["Our own part"] == facts["Tokens/s"] == DASH
