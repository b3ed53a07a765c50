"""Reading and writing in threads: neither waits for the event loop, nor the other way round."""

import threading

import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sqlite_reader import sqlite_reader
from llm_proxy.store.sqlite_writer import SqliteWriter
from records import record


class _Watched(SqliteWriter):
    """Notes which thread did what."""

    def __init__(self, path) -> None:
        super().__init__(path)
        self.done: list[tuple[str, str]] = []

    def put(self, records) -> None:
        self.done.append(("put", threading.current_thread().name))
        super().put(records)

    def delete(self, ids, *, bodies_only) -> Receipt:
        self.done.append((f"delete {len(ids)}", threading.current_thread().name))
        return super().delete(ids, bodies_only=bodies_only)

    def reclaim(self, removed) -> None:
        self.done.append(("reclaim", threading.current_thread().name))
        super().reclaim(removed)


@pytest.fixture
async def writer(tmp_path):
    return _Watched(tmp_path / "store.sqlite3")


@pytest.fixture
async def store(tmp_path, writer):
    store = SqlStore(sqlite_reader(tmp_path / "store.sqlite3", connections=5), writer)
    await store.migrate()
    yield store
    await store.close()


async def test_one_thread_of_its_own_does_all_the_writing(store, writer):
    for _ in range(3):
        await store.put([record()])

    assert {thread for _, thread in writer.done} == {"store-write_0"}


async def test_many_records_are_deleted_in_batches_and_the_space_is_given_back_once(store, writer):
    await store.put([record(id=str(number)) for number in range(1200)])
    writer.done.clear()

    receipt = await store.delete([str(number) for number in range(1200)])

    assert receipt.rows == 1200
    assert [what for what, _ in writer.done] == ["delete 200"] * 6 + ["reclaim"]


async def test_nothing_deleted_is_nothing_to_give_back(store, writer):
    assert await store.delete([]) == Receipt()
    assert await store.delete_matching(CompletionQuery()) == Receipt()

    assert [what for what, _ in writer.done if what == "reclaim"] == []


async def test_a_deletion_says_what_it_did_even_if_the_space_stays_taken_for_now(store, writer, monkeypatch):
    def locked(removed) -> None:
        raise StoreUnavailable("database is locked")

    await store.put([record(id="1")])
    monkeypatch.setattr(writer, "reclaim", locked)

    receipt = await store.delete(["1"])

    assert receipt.rows == 1
    assert await store.get("1") is None
