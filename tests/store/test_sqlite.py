"""What is SQLite's own among the promises of a store."""

import asyncio
import random
from contextlib import aclosing

import pytest
from msgspec.structs import replace

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Bodies, Context
from llm_proxy.model.query import CompletionQuery, Page
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.store.sqlite_connection import open_writer
from records import record

PATIENCE_S = 30.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite3"


@pytest.fixture
async def writing(path):
    store = SqliteStore(path)
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
async def looking(path):
    store = SqliteStore(path, read_only=True)
    yield store
    await store.close()


async def test_who_only_looks_sees_what_is_written(looking, writing):
    completion = record()
    await writing.put([completion])

    assert await looking.get(completion.id) == completion
    assert (await looking.find(CompletionQuery(with_bodies=True))).completions == (completion,)


async def test_who_only_looks_may_come_first(looking, path):
    assert await looking.get("x") is None
    assert await looking.find(CompletionQuery()) == Page(completions=())
    assert not path.exists()


async def test_who_comes_first_and_waits_sees_the_first_record(looking, path):
    changes = looking.changes(CompletionQuery(), poll_s=0.001)
    async with aclosing(changes), asyncio.timeout(PATIENCE_S):
        waiting = asyncio.ensure_future(anext(changes))
        writing = SqliteStore(path)
        await writing.migrate()
        await writing.put([record(id="1")])

        assert (await waiting).id == "1"
        await writing.close()


async def test_who_only_looks_cannot_write(looking, path):
    for write in (looking.migrate(), looking.put([record()])):
        with pytest.raises(StoreUnavailable, match="reading only"):
            await write

    assert not path.exists()


async def test_after_closing_there_is_one_file_and_the_records_are_in_it(writing, path):
    await writing.put([record(id="1")])
    await writing.find(CompletionQuery())

    await writing.close()

    assert [file.name for file in path.parent.iterdir()] == [path.name]


async def test_many_reads_and_writes_at_once_do_not_get_in_each_others_way(writing):
    batches = [[record(id=f"{batch}-{number}") for number in range(10)] for batch in range(20)]

    async with asyncio.TaskGroup() as group:
        for batch in batches:
            group.create_task(writing.put(batch))
            group.create_task(writing.find(CompletionQuery(search="paris")))

    page = await writing.find(CompletionQuery(limit=None))
    assert len(page.completions) == 200


async def test_a_list_of_everything_is_whole(writing):
    for _ in range(5):
        await writing.put([record() for _ in range(200)])

    page = await writing.find(CompletionQuery(limit=None))

    assert (len(page.completions), page.next) == (1000, None)


async def test_a_file_is_smaller_after_records_were_deleted_and_what_they_said_is_not_in_it(writing, path):
    secret = b"the secret that must go"
    noise = random.Random(1).randbytes(50_000)
    bodies = Bodies(request_body=secret + noise)
    await writing.put([record(id=str(number), preview=secret.decode(), bodies=bodies) for number in range(40)])
    await writing.put([record(id="stays")])
    connection = open_writer(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    assert path.stat().st_size > 2_000_000
    assert secret in path.read_bytes()

    receipt = await writing.delete([str(number) for number in range(40)])

    assert receipt.bytes > 2_000_000
    assert path.stat().st_size < 600_000
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert secret not in written
    assert await writing.disk_bytes() == path.stat().st_size


async def test_two_processes_that_amend_one_record_lose_nothing_of_each_other(tmp_path):
    path = tmp_path / "store.sqlite3"
    stores = [SqliteStore(path), SqliteStore(path)]
    await stores[0].migrate()
    await stores[0].put([record(id="1", context=Context())])

    def adding(tag):
        return lambda found: replace(found, context=Context(tags=(*found.context.tags, tag)))

    added = [(store, f"{name}-{count}") for count in range(20) for store, name in zip(stores, "ab", strict=True)]
    await asyncio.gather(*(store.amend("1", DEFAULT_ORGANIZATION, adding(tag)) for store, tag in added))

    tags = (await stores[1].get("1")).context.tags
    for store in stores:
        await store.close()
    assert sorted(tags) == sorted(tag for _, tag in added)
