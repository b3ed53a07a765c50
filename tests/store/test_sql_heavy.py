"""Records with their bodies: a store that lacks a part of one says so."""

import pytest
from sqlalchemy import delete

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.sql import body_links, body_pieces
from records import conversation


@pytest.mark.parametrize("table", [body_links, body_pieces], ids=str)
async def test_a_body_that_lacks_a_part_is_told_and_never_shown_as_whole(store, table):
    await store.put(conversation(2))
    await store.writing(lambda connection: connection.execute(delete(table)))

    with pytest.raises(StoreUnavailable, match="damaged"):
        await store.find(CompletionQuery(with_bodies=True))
