"""Reading in snapshots, and searching for a limited time."""

import asyncio
import sqlite3

import pytest

from empty_stores import empty_store
from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store import sql
from llm_proxy.store.sqlite_reader import sqlite_reader
from llm_proxy.store.sqlite_writer import SqliteWriter
from records import conversation, record


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite3"


@pytest.fixture
def writer(path):
    writer = SqliteWriter(empty_store(path))
    yield writer
    writer.close()


@pytest.fixture
def open_reader(path):
    opened = []

    def open_(**options):
        opened.append(sqlite_reader(path, connections=1, **options))
        return opened[-1]

    yield open_
    for reader in opened:
        reader.close()


def test_a_search_that_takes_too_long_says_how_far_it_came_and_goes_on_from_there(writer, open_reader):
    writer.put([record(id=str(number)) for number in range(4)])
    reader = open_reader(search_s=0)

    pages = [reader.find(CompletionQuery(search="paris", limit=50))]
    while pages[-1].next is not None:
        pages.append(reader.find(CompletionQuery(search="paris", limit=50, after=pages[-1].next)))

    assert [[completion.id for completion in page.completions] for page in pages] == [["3"], ["2"], ["1"], ["0"], []]


def test_a_search_without_a_limit_reads_everything(writer, open_reader):
    writer.put([record(id=str(number)) for number in range(4)])

    page = open_reader(search_s=0).find(CompletionQuery(search="paris", limit=None))

    assert (len(page.completions), page.next) == (4, None)


def test_a_list_without_a_search_is_not_limited_in_time(writer, open_reader):
    writer.put([record(id=str(number)) for number in range(4)])

    assert len(open_reader(search_s=0).find(CompletionQuery(limit=4)).completions) == 4


def test_what_is_deleted_during_a_read_is_still_read_to_its_end(writer, open_reader):
    calls = conversation(120)
    writer.put(calls)
    reader = open_reader()
    page = CompletionQuery(limit=None, with_bodies=True)

    read = reader._read(sql.page(page), with_bodies=True)
    first, _ = next(read)
    writer.delete([call.id for call in calls], bodies_only=False)
    rest = [completion for completion, _ in read]

    assert [first, *rest] == calls[::-1]
    assert reader.find(page).completions == ()


def test_a_link_that_is_missing_is_said_and_not_made_up(writer, open_reader, path):
    writer.put(conversation(2))
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM body_links WHERE parent IS NULL")
    connection.commit()
    connection.close()

    with pytest.raises(StoreUnavailable, match=r"damaged: the link [0-9a-f]{32} of a body is missing"):
        open_reader().get("001")


def test_a_piece_that_is_missing_is_said_and_not_made_up(writer, open_reader, path):
    writer.put(conversation(2))
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM body_pieces")
    connection.commit()
    connection.close()

    with pytest.raises(StoreUnavailable, match=r"damaged: the piece [0-9a-f]{32} of a body is missing"):
        open_reader().get("001")
    with pytest.raises(StoreUnavailable, match="damaged"):
        open_reader().find(CompletionQuery(search="x"))


async def test_threads_may_share_a_reader(writer, open_reader):
    calls = conversation(10)
    writer.put(calls)
    reader = open_reader()

    found = await asyncio.gather(*(asyncio.to_thread(reader.get, call.id) for call in calls))

    assert found == calls
