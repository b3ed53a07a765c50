"""What can be asked of how calls went over a time."""

from datetime import UTC, datetime, timedelta

from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery


def test_the_time_before_ends_where_the_time_begins_and_is_as_long():
    until = datetime(2026, 11, 24, tzinfo=UTC)
    asked = SeriesQuery(
        calls=CompletionQuery(model="m"),
        since=until - timedelta(days=7),
        until=until,
        step=timedelta(hours=6),
        by=SeriesBy.USER,
    )

    before = asked.previous

    assert (before.since, before.until) == (until - timedelta(days=14), asked.since)
    assert (before.calls, before.step, before.by) == (asked.calls, asked.step, asked.by)
