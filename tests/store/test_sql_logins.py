"""Logins that were ended, in SQLite and PostgreSQL."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from llm_proxy.store.sql_logins import SqlLogins, ended_logins


async def test_a_login_has_ended_once_it_was_ended_and_ending_it_twice_is_no_more(store):
    logins, until = SqlLogins(store), datetime.now(UTC) + timedelta(hours=1)

    await logins.end("one", until=until)
    await logins.end("one", until=until)

    assert await logins.has_ended("one")
    assert not await logins.has_ended("two")


async def test_what_would_be_over_anyway_is_forgotten(store):
    logins, now = SqlLogins(store), datetime.now(UTC)
    await logins.end("old", until=now - timedelta(seconds=1))

    await logins.end("new", until=now + timedelta(hours=1))

    kept = await store.reading(lambda connection: [*connection.scalars(select(ended_logins.c.id))], otherwise=[])
    assert kept == ["new"]
