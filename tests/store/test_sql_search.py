"""When the index for search is asked; what it finds is in test_search_indexer.py."""

import pytest

from llm_proxy.model.query import CompletionQuery
from llm_proxy.store import sql_search
from llm_proxy.store.search_indexer import SearchIndexer
from records import record


@pytest.mark.parametrize(
    ("asked", "expected"),
    [({}, True), ({"session_id": "s-1"}, False), ({"trace_id": "t"}, False), ({"tags": ("rare",)}, False)],
    ids=str,
)
async def test_the_index_is_asked_where_many_records_would_have_to_be_read(store, asked, expected):
    await store.put([record() for _ in range(sql_search._FEW + 1)])

    query = CompletionQuery(search="x", **asked)

    assert await store.reading(lambda one: sql_search.can_search(one, query), otherwise=None) is expected


async def test_an_index_that_lacks_most_records_is_not_asked(store, monkeypatch):
    monkeypatch.setattr(sql_search, "_FEW", 2)
    monkeypatch.setattr(sql_search, "_TOO_MANY_UNINDEXED", 4)
    await store.put([record() for _ in range(9)])
    query, asked = CompletionQuery(search="x"), []

    for _ in range(2):
        asked.append(await store.reading(lambda one: sql_search.can_search(one, query), otherwise=None))
        await SearchIndexer(store, records=8).step()

    assert asked == [False, True]
