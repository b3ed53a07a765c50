"""Reading one SQLite file, whatever state it is in."""

import sqlite3

import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.query import CompletionQuery, Page
from llm_proxy.store.sql_reader import SqlReader
from llm_proxy.store.sqlite_reader import sqlite_reader
from llm_proxy.store.sqlite_writer import SqliteWriter
from records import record


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite3"


@pytest.fixture
def reader(path):
    reader = sqlite_reader(path, connections=1)
    yield reader
    reader.close()


def read_everything(reader: SqlReader):
    return (
        reader.get("x"),
        reader.find(CompletionQuery()),
        reader.last_change(),
        reader.changed(CompletionQuery(), after=0, until=1),
        reader.ids(CompletionQuery(), with_bodies=False, limit=1),
        reader.disk_bytes(),
    )


NOTHING = (None, Page(completions=()), 0, [], [], 0)


def test_a_file_that_is_not_there_reads_as_empty_and_is_not_made(reader, path):
    assert read_everything(reader) == NOTHING
    assert not path.exists()


def test_a_file_without_tables_reads_as_empty(reader, path):
    sqlite3.connect(path).close()
    path.touch()

    assert read_everything(reader) == NOTHING


def test_what_comes_later_is_seen(reader, path):
    assert reader.find(CompletionQuery()) == Page(completions=())
    writer = SqliteWriter(path)
    writer.migrate()
    completion = record()
    writer.put([completion])

    assert reader.get(completion.id) == completion
    assert reader.last_change() == 1
    assert [change.id for change in reader.changed(CompletionQuery(), after=0, until=1)] == [completion.id]
    writer.close()


def test_a_file_whose_writer_is_gone_is_read_as_well(reader, path):
    writer = SqliteWriter(path)
    writer.migrate()
    completion = record()
    writer.put([completion])
    writer.close()

    assert reader.get(completion.id) == completion


def test_a_schema_of_another_version_is_not_misread(reader, path):
    writer = SqliteWriter(path)
    writer.migrate()
    writer._connection().execute("UPDATE alembic_version SET version_num = '9999'")
    writer.close()

    with pytest.raises(StoreUnavailable, match="its schema is at step 9999, and this llm-proxy reads step"):
        reader.find(CompletionQuery())


def test_what_is_no_database_is_unavailable(reader, path):
    path.write_bytes(b"this is no database " * 100)

    with pytest.raises(StoreUnavailable, match="not a database"):
        reader.get("x")
