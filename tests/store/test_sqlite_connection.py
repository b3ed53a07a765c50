"""Connections to one SQLite file."""

import sqlite3
import stat

import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.sqlite_connection import errors_of, open_reader, open_writer, schema_step


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a %41 name? with #signs and é.sqlite3"


@pytest.fixture
def writer(path):
    connection = open_writer(path)
    yield connection
    connection.close()


def pragma(connection: sqlite3.Connection, name: str):
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_all_files_are_for_their_owner_only(path, writer):
    writer.execute("CREATE TABLE t (a)")

    modes = {file.name.removeprefix(path.name): stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"": 0o600, "-wal": 0o600, "-shm": 0o600}


def test_the_mode_of_a_file_that_is_there_already_is_its_owners_choice(path):
    path.touch()
    path.chmod(0o640)

    open_writer(path).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_writer_logs_ahead_waits_for_locks_and_keeps_references_whole(writer):
    assert pragma(writer, "journal_mode") == "wal"
    assert pragma(writer, "synchronous") == 1  # NORMAL
    assert pragma(writer, "busy_timeout") == 10_000
    assert pragma(writer, "foreign_keys") == 1


def test_a_reader_reads_beside_a_writer_and_cannot_write(path, writer):
    writer.execute("CREATE TABLE t (a)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO t VALUES (1)")

    reader = open_reader(path)

    assert reader.execute("SELECT * FROM t").fetchall() == []
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("INSERT INTO t VALUES (2)")
    reader.close()


def test_a_reader_makes_no_file(path):
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_reader(path)

    assert not path.exists()


def test_an_empty_database_is_at_no_step(writer):
    assert schema_step(writer) is None


@pytest.mark.parametrize(("steps", "step"), [([], None), (["0007"], "0007")])
def test_the_step_of_a_schema_is_the_one_that_alembic_noted(writer, steps, step):
    writer.execute("CREATE TABLE alembic_version (version_num TEXT)")
    writer.executemany("INSERT INTO alembic_version VALUES (?)", [(one,) for one in steps])

    assert schema_step(writer) == step


def test_what_the_database_says_no_to_is_unavailable_and_says_which_file(path):
    path.write_bytes(b"this is no database " * 100)

    with pytest.raises(StoreUnavailable, match="file is not a database") as error, errors_of(path):
        open_writer(path)

    assert str(path) in str(error.value)


def test_a_directory_that_is_not_there_is_unavailable(tmp_path):
    path = tmp_path / "none" / "store.sqlite3"

    with pytest.raises(StoreUnavailable, match="No such file or directory"), errors_of(path):
        open_writer(path)
