"""Times as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from llm_proxy.model.query import parse_time

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("4w", timedelta(weeks=4)),
    ],
)
def test_a_number_and_a_unit_is_so_long_ago(text, ago):
    assert parse_time(text, now=NOW) == NOW - ago


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T11:30:00Z", "2026-11-24T11:30:00", "2026-11-24 11:30", "2026-11-24T12:30:00+01:00", "20261124T1130Z"],
)
def test_iso_8601_is_utc_unless_it_says_otherwise(text):
    time = parse_time(text, now=NOW)

    assert time == datetime(2026, 11, 24, 11, 30, tzinfo=UTC)
    assert time.utcoffset() == timedelta()


def test_a_date_is_its_midnight():
    assert parse_time("2026-11-23", now=NOW) == datetime(2026, 11, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "m",
        "15",
        "15 m",
        "-15m",
        "1.5h",
        "15M",
        "\u0661\u0665m",
        "yesterday",
        "2026-13-01",
        "9" * 12 + "w",
        "0001-01-01T00:00+14:00",
    ],
)
def test_what_is_no_time_is_named_and_an_example_given(text):
    with pytest.raises(ValueError, match="is no time; write 15m") as error:
        parse_time(text, now=NOW)

    assert repr(text) in str(error.value)
