import asyncio

import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.upgrade import check_store, upgrading


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite3")
    yield store
    await store.close()


async def test_a_store_that_is_there_has_its_tables_before_anybody_is_served(store):
    async with upgrading(store) as upgrade:
        await check_store(store)

        assert await upgrade.done(asyncio.Event())


async def test_a_store_that_is_away_is_asked_again_until_it_is_there(store, tmp_path, capsys):
    (tmp_path / "store.sqlite3").mkdir()

    async with upgrading(store) as upgrade:
        with pytest.raises(StoreUnavailable):
            await check_store(store)
        (tmp_path / "store.sqlite3").rmdir()
        assert await upgrade.done(asyncio.Event())

    await check_store(store)
    assert capsys.readouterr().out.count("the store cannot be opened") == 1


async def test_who_is_told_to_stop_does_not_wait_for_it(store, tmp_path):
    (tmp_path / "store.sqlite3").mkdir()
    stopping = asyncio.Event()

    async with upgrading(store) as upgrade:
        stopping.set()

        assert not await upgrade.done(stopping)


async def test_a_store_without_tables_is_not_ready(store):
    with pytest.raises(StoreUnavailable, match="is at step None"):
        await check_store(store)
