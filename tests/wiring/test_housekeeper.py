"""The process that keeps house, as a supervisor starts it."""

import contextlib
import sqlite3

import pytest

from children import children
from llm_proxy.metrics import read_living
from llm_proxy.store import search_indexer
from llm_proxy.store.sqlite import SqliteStore
from records import record
from running import PATIENCE_S, until


@pytest.fixture
def house(tmp_path):
    with children(tmp_path / "data") as made:
        yield made


async def fill(data, count):
    store = SqliteStore(data.database)
    await store.migrate()
    await store.put([record() for _ in range(count)])
    await store.close()


def blocks(data):
    with contextlib.closing(sqlite3.connect(data.database)) as store:
        return store.execute("SELECT count(*) FROM search_blocks").fetchone()[0]


def unindexed(data):
    """What those say of it that live, by their names; nothing while none keeps house."""
    return {name: numbers["unindexed"] for name, numbers in read_living(data.counters).items()}


async def test_it_begins_when_somebody_has_made_the_schema_and_makes_none(house):
    child = house.start("housekeeper")
    await until(lambda: unindexed(house.data) == {"housekeeper-0": 0}, "its ledger")
    was_made = house.data.database.exists()

    await fill(house.data, search_indexer.RECORDS + 5)
    await until(lambda: blocks(house.data) == 1, "an index")

    assert not was_made
    await until(lambda: unindexed(house.data) == {"housekeeper-0": 5}, "a word of what is left")
    assert child.stop() == 0
    assert child.log.read_text() == ""


async def test_one_that_is_killed_leaves_all_to_the_next_one_which_waits_for_its_end(house):
    await fill(house.data, 3)
    first = house.start("housekeeper")
    await until(lambda: unindexed(house.data) == {"housekeeper-0": 3}, "the first one")
    second = house.start("housekeeper", index=1)
    only_one = unindexed(house.data)

    first.kill()

    assert only_one == {"housekeeper-0": 3}
    await until(lambda: unindexed(house.data) == {"housekeeper-1": 3}, "the second one")
    second.lifeline.close()
    assert second.process.wait(PATIENCE_S) == 0
