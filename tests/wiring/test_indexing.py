"""The index is filled by one process at a time, and made anew on request."""

import asyncio

from conftest import until
from empty_stores import empty_store
from llm_proxy.metrics import Ledger
from llm_proxy.settings.table import Settings
from llm_proxy.store import search_indexer
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.indexing import keep_indexed, run_reindex
from llm_proxy.wiring.layout import DataDir
from records import record


async def _filled(settings):
    store = SqliteStore(empty_store(DataDir(settings.data_dir).database))
    await store.put([record() for _ in range(search_indexer.RECORDS + 5)])
    return store


async def test_what_is_stored_is_indexed_beside_and_what_is_left_is_told(tmp_path):
    settings, ledger = Settings(data_dir=tmp_path), Ledger()
    store = await _filled(settings)
    task = asyncio.create_task(keep_indexed(settings, store, ledger=ledger))

    await until(lambda: ledger.get("unindexed") == 5)
    assert await SearchIndexer(store).waiting() == 5

    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.close()


def test_the_index_is_made_anew_on_request(tmp_path, capsys):
    settings = Settings(data_dir=tmp_path)

    async def fill():
        await (await _filled(settings)).close()

    asyncio.run(fill())

    assert run_reindex(settings) == 0

    async def waiting():
        store = SqliteStore(DataDir(settings.data_dir).database)
        left = await SearchIndexer(store).waiting()
        await store.close()
        return left

    assert (asyncio.run(waiting()), capsys.readouterr().out) == (0, f"indexed {search_indexer.RECORDS + 5} records\n")


def test_a_store_that_is_not_there_is_not_made(tmp_path, capsys):
    assert run_reindex(Settings(data_dir=tmp_path / "none")) == 0

    assert capsys.readouterr().out == "indexed 0 records\n"
    assert not (tmp_path / "none").exists()
