"""Sessions and traces without calls among those that calls make, on SQLite and PostgreSQL."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from llm_proxy.decode.generation import completion_of
from llm_proxy.model.completion import Context
from llm_proxy.model.query import Group, Grouping, GroupQuery, Tally
from llm_proxy.model.trace import Kind
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_traces import SqlTraces
from records import NOON, record
from tellings import said

KINDS = [(Grouping.SESSION, Kind.SESSION, "session_id"), (Grouping.TRACE, Kind.TRACE, "trace_id")]


@pytest.fixture
def overviews(store):
    return SqlOverviews(store)


@pytest.fixture
def traces(store):
    return SqlTraces(store, completion_of)


def at(minutes):
    return NOON + timedelta(minutes=minutes)


def begun(kind, its_id, minutes, **members):
    return said(kind, its_id, startTimestamp=at(minutes).isoformat(), **members)


async def ids(overviews, **conditions):
    page = await overviews.groups(GroupQuery(**({"organization_id": "default"} | conditions)))
    return [group.id for group in page.groups]


@pytest.mark.parametrize(("by", "kind", "member"), KINDS)
async def test_what_no_call_names_stands_at_the_time_of_its_beginning(overviews, store, traces, by, kind, member):
    await store.put([record(id=f"{n}", started_at=at(n), context=Context(**{member: f"c{n}"})) for n in (0, 2)])
    told = [begun(kind, "told", 1, name="evening", endTimestamp=at(9).isoformat()), begun(kind, "c0", 5)]
    await traces.put("default", "r", told)

    page = await overviews.groups(GroupQuery(organization_id="default", by=by))

    assert [group.id for group in page.groups] == ["c2", "told", "c0"]
    assert page.groups[1] == Group(
        id="told",
        name="evening",
        first_at=at(1),
        last_at=at(1),
        ended_at=at(9),
        tally=Tally(calls=0, failed=0, calls_without_cost=0),
    )
    assert await ids(overviews, by=by, id="told") == ["told"]
    assert await ids(overviews, by=by, since=at(1), until=at(2)) == ["told"]
    assert await ids(overviews, by=by, organization_id="other") == []


@pytest.mark.parametrize("organization", ["default", "o"])
@pytest.mark.parametrize("limit", [1, 3, 7, 100])
async def test_pages_have_each_once_however_they_lie_in_time(overviews, store, traces, organization, limit):
    calls = [record(id=f"call{n}", started_at=at(n // 3 * 2), context=Context(session_id=f"c{n}")) for n in range(20)]
    await store.put([replace(one, organization_id=organization) for one in calls])
    await traces.put(organization, "r", [begun(Kind.SESSION, f"t{n} \x00", n // 4) for n in range(20)])
    await traces.put(organization, "other", [begun(Kind.SESSION, f"t{n} \x00", n) for n in range(5)])
    seen, after, pages = [], None, 0

    while pages == 0 or after is not None:
        query = GroupQuery(organization_id=organization, by=Grouping.SESSION, after=after, limit=limit)
        page = await overviews.groups(query)
        assert len(page.groups) == limit or page.next is None
        seen += page.groups
        after, pages = page.next, pages + 1

    assert sorted(group.id for group in seen) == sorted(
        [*(f"c{n}" for n in range(20)), *(f"t{n} \x00" for n in range(20))]
    )
    assert [group.last_at for group in seen] == sorted((group.last_at for group in seen), reverse=True)


async def test_a_project_has_the_log_repository_of_its_id(overviews, store, traces):
    await traces.put("default", "p", [begun(Kind.TRACE, "mine", 0), begun(Kind.TRACE, "both", 1)])
    await traces.put("default", "q", [begun(Kind.TRACE, "theirs", 2), begun(Kind.TRACE, "both", 3)])
    await store.put([record(project_id="q", started_at=at(9), context=Context(trace_id="mine"))])

    assert await ids(overviews, by=Grouping.TRACE, project_id="p") == ["both", "mine"]
    assert await ids(overviews, by=Grouping.TRACE) == ["mine", "both", "theirs"]
    assert await ids(overviews, by=Grouping.USER) == []
