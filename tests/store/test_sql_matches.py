"""Calls that match, in pieces, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest

from llm_proxy.model.completion import Context
from llm_proxy.model.query import CompletionQuery, Grouping
from llm_proxy.store import sql_matches
from llm_proxy.store.sql_matches import Matches
from records import NOON, record


@pytest.fixture
async def calls(store, monkeypatch):
    monkeypatch.setattr(sql_matches, "_FIRST", 2)
    context = [Context(session_id=f"s{number % 2}" if number else None) for number in range(12)]
    times = [NOON + timedelta(minutes=number // 2) for number in range(12)]
    return [
        record(id=f"{n:02}", started_at=at, context=of) for n, (at, of) in enumerate(zip(times, context, strict=True))
    ]


@pytest.mark.parametrize("search", [None, "France"])
async def test_all_of_them_come_once_newest_first_with_their_group(store, calls, search):
    await store.put(calls)
    query = CompletionQuery(search=search, limit=None)

    def read(connection):
        return [match for some in Matches(connection, query, Grouping.SESSION, lambda: False) for match in some]

    found = await store.reading(read, otherwise=[])

    assert [match.id for match in found] == [f"{number:02}" for number in reversed(range(12))]
    assert [match.group for match in found] == [f"s{number % 2}" for number in reversed(range(1, 12))] + [None]


@pytest.mark.parametrize("search", [None, "France"])
async def test_who_has_no_more_time_is_told_where_to_go_on_and_misses_nothing(store, calls, search):
    await store.put(calls)

    def read(connection):
        query, seen = CompletionQuery(search=search, limit=None), []
        while query is not None:
            matches = Matches(connection, query, Grouping.SESSION, lambda: True)
            seen += [match.id for some in matches for match in some]
            query = (
                None if matches.reached is None else CompletionQuery(search=search, after=matches.reached, limit=None)
            )
        return seen

    assert await store.reading(read, otherwise=[]) == [f"{number:02}" for number in reversed(range(12))]
