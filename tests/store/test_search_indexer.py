"""The index for search finds what reading every record finds, on both databases."""

import dataclasses
from datetime import timedelta
from functools import partial

import pytest
from msgspec.structs import replace
from sqlalchemy import and_, func, select

from llm_proxy.model.completion import Context, Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store import sql_search
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sql import completions, search_blocks
from records import BODIES, NOON, conversation, record


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Search by the index, however few records there are."""
    monkeypatch.setattr(sql_search, "_FEW", -1)


def saying(text, number, **different):
    bodies = replace(BODIES, request={"messages": [{"role": "user", "content": text}]}, request_body=None)
    return record(id=f"{number:03}", bodies=bodies, started_at=NOON + timedelta(seconds=number), **different)


async def index(store, *, records=3):
    indexer = SearchIndexer(store, records=records)
    while await indexer.step():
        pass
    return indexer


async def ids(store, search, **different):
    page = await store.find(CompletionQuery(search=search, **different))
    return [completion.id for completion in page.completions]


async def blocks(store):
    """How many records are in each block, oldest first."""
    columns = search_blocks.c
    held = and_(completions.c.change > columns.first_change, completions.c.change <= columns.last_change)
    counted = select(func.count(completions.c.id)).select_from(search_blocks).outerjoin(completions, held)
    counted = counted.group_by(columns.last_change).order_by(columns.last_change)
    return await store.reading(lambda connection: list(connection.execute(counted).scalars()), otherwise=[])


async def test_what_is_indexed_and_what_is_not_yet_is_found_newest_first(store):
    await store.put([saying("the invoice 4711" if number % 2 else "nothing", number) for number in range(8)])
    indexer = await index(store)

    assert (await blocks(store), await indexer.waiting()) == ([3, 3], 2)
    assert await ids(store, "INVOICE 47") == ["007", "005", "003", "001"]
    assert await ids(store, "voice", oldest_first=True) == ["001", "003", "005", "007"]
    assert await ids(store, "invoice 4712") == []


async def test_calls_that_began_in_another_order_than_they_ended_come_in_the_order_of_their_beginning(store):
    await store.put([saying("x yes", number) for number in (5, 1, 8, 3, 2, 9, 0, 7, 4, 6)])
    await index(store)

    assert await ids(store, "yes") == [f"{number:03}" for number in range(9, -1, -1)]
    assert await ids(store, "yes", oldest_first=True) == [f"{number:03}" for number in range(10)]


async def test_pages_lead_on_to_each_record_once(store):
    await store.put([saying("yes", number) for number in range(10)])
    await index(store)
    query, found = CompletionQuery(search="yes", limit=3), []

    while True:
        page = await store.find(query)
        found += [completion.id for completion in page.completions]
        if page.next is None:
            break
        query = dataclasses.replace(query, after=page.next)

    assert found == [f"{number:03}" for number in range(9, -1, -1)]


async def test_a_search_that_is_out_of_time_says_where_and_goes_on_there(store):
    await store.put([saying("yes" if number == 0 else "no", number) for number in range(10)])
    await index(store)
    query, found, pages = CompletionQuery(search="yes", limit=3), [], 0

    while pages < 30:
        one_step = partial(sql_search.search, query=query, is_late=lambda: True)
        page = await store.reading(one_step, otherwise=None)
        found += [completion.id for completion in page.completions]
        pages += 1
        if page.next is None:
            break
        query = dataclasses.replace(query, after=page.next)

    assert (found, pages > 2) == (["000"], True)


@pytest.mark.parametrize(
    "different", [{"tags": ("b",)}, {"status": Status.FAILED}, {"model": "m"}, {"user_id": "u-2"}], ids=str
)
async def test_the_other_conditions_hold_as_well(store, different):
    members = {"tags": Context(tags=("b",)), "user_id": Context(user_id="u-2")}
    name = next(iter(different))
    special = {"context": members[name]} if name in members else dict(different)
    await store.put([saying("yes", number, **(special if number == 4 else {})) for number in range(7)])
    await store.put([saying("yes", 99, organization_id="other")])
    await index(store)

    assert await ids(store, "yes", **different) == ["004"]
    assert await ids(store, "yes", since=NOON + timedelta(seconds=2), until=NOON + timedelta(seconds=4)) == [
        "003",
        "002",
    ]


async def test_what_an_agent_repeats_is_found_in_every_call_that_repeats_it(store):
    calls = conversation(12)
    await store.put(calls)
    await index(store, records=5)

    assert len(await ids(store, "question")) == 12
    assert await ids(store, "answer 9") == ["011", "010"]
    assert await ids(store, "question answer") == []


async def test_what_is_deleted_is_gone_from_the_index_and_the_rest_is_indexed_again(store):
    await store.put([saying("secret" if number == 4 else "yes", number) for number in range(9)])
    await index(store)

    await store.delete(["004"])

    assert await blocks(store) == [3, 3]
    assert len(await ids(store, "yes")) == 8
    await index(store)
    assert await blocks(store) == [3, 2, 3]
    assert (len(await ids(store, "yes")), await ids(store, "secret")) == (8, [])


async def test_bodies_that_are_deleted_are_gone_from_the_index(store):
    await store.put([saying("secret", number) for number in range(3)])
    await index(store)

    await store.delete(["001"], bodies_only=True)

    assert await blocks(store) == []
    assert await ids(store, "secret") == ["002", "000"]


async def test_a_record_that_is_written_again_is_found_by_what_it_says_now(store):
    await store.put([saying("before", number) for number in range(3)])
    await index(store)

    await store.put([saying("after", 1)])

    assert await ids(store, "before") == ["002", "000"]
    assert await ids(store, "after") == ["001"]


async def test_the_id_of_a_record_finds_it(store):
    await store.put([saying("yes", number) for number in range(4)])

    assert await ids(store, " 002 ") == ["002"]
    assert await ids(store, "002", model="another") == []


async def test_the_whole_index_can_be_made_anew(store):
    await store.put([saying("yes", number) for number in range(4)])
    indexer = await index(store)

    await indexer.clear()
    assert await indexer.waiting() == 4
    while await indexer.step(all_of_it=True):
        pass

    assert (await blocks(store), await ids(store, "yes")) == ([3, 1], ["003", "002", "001", "000"])
