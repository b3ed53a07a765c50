"""The write path of SQLite when something is in its way."""

import random
import sqlite3
import subprocess
import sys

import pytest

from empty_stores import empty_store
from llm_proxy.errors import StoreRejected, StoreUnavailable
from llm_proxy.model.completion import Bodies
from llm_proxy.store.sqlite_connection import open_writer
from llm_proxy.store.sqlite_writer import SqliteWriter
from records import bare, record, tagged


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite3"


@pytest.fixture
def writer(path):
    writer = SqliteWriter(empty_store(path))
    yield writer
    writer.close()


def count(path, table="completions") -> int:
    connection = sqlite3.connect(path)
    (number,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    connection.close()
    return number


def test_a_locked_database_is_unavailable_and_takes_the_same_batch_later(writer, path):
    writer._connection().execute("PRAGMA busy_timeout = 1")
    other = open_writer(path)
    other.execute("BEGIN EXCLUSIVE")

    with pytest.raises(StoreUnavailable, match="locked"):
        writer.put([record()])

    other.execute("ROLLBACK")
    other.close()
    writer.put([record()])
    assert count(path) == 1


def test_a_full_disk_is_unavailable_and_takes_nothing_of_the_batch(writer, path):
    connection = writer._connection()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages + 5}")
    big = record(bodies=Bodies(request_body=random.Random(1).randbytes(100_000)))

    with pytest.raises(StoreUnavailable, match="full"):
        writer.put([record(), big])

    assert count(path) == 0
    connection.execute("PRAGMA max_page_count = 1000000")
    writer.put([record(), big])
    assert count(path) == 2


def test_a_store_that_was_not_migrated_is_unavailable(path):
    writer = SqliteWriter(path)

    with pytest.raises(StoreUnavailable, match="no such table"):
        writer.put([record()])

    writer.close()


@pytest.mark.parametrize(
    "bad",
    [
        record(bodies=Bodies(request_body=random.Random(1).randbytes(200_000))),
        record(preview="x" * 200_000),
        record(chunk_count=2**63),
        tagged("fine", "x" * 200_000),
    ],
    ids=["bodies", "text", "number", "tag"],
)
def test_what_is_too_big_is_rejected_by_name_and_nothing_of_its_batch_is_written(writer, path, bad):
    # The real limit is 1 GB, which would take its time.
    writer._connection().setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 100_000)

    with pytest.raises(StoreRejected, match=bad.id):
        writer.put([record(), bad, record()])

    assert count(path) == 0
    writer.put([record()])
    assert count(path) == 1


def test_what_breaks_a_constraint_is_rejected_by_name(writer, path):
    writer._connection().execute("CREATE UNIQUE INDEX only_one ON completions (preview)")
    writer.put([record()])
    second = record()

    with pytest.raises(StoreRejected, match=f"{second.id}: UNIQUE constraint failed"):
        writer.put([second])

    assert count(path) == 1


def test_an_error_that_no_record_of_the_batch_has_alone_blames_none(writer, path):
    writer._connection().execute("CREATE UNIQUE INDEX only_one ON completions (preview)")

    with pytest.raises(StoreUnavailable, match="UNIQUE constraint failed"):
        writer.put([record(), record()])

    assert count(path) == 0


def test_what_is_replaced_leaves_nothing_behind(writer, path):
    first = tagged("a", "b")
    writer.put([first])

    writer.put([tagged(id=first.id, bodies=None)])

    assert [count(path, table) for table in ("completions", "completion_tags", "completion_bodies")] == [1, 0, 0]


def test_who_gives_space_back_waits_for_no_reader(writer, path):
    writer.put([record(id="1", bodies=Bodies(request_body=random.Random(1).randbytes(500_000)))])
    reader = sqlite3.connect(path)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM completions").fetchone()
    removed = writer.delete(["1"], bodies_only=False)

    writer.reclaim(removed)

    connection = writer._connection()
    assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (10_000,)
    assert path.with_name(f"{path.name}-wal").stat().st_size > 0  # to be taken in when the reader has gone
    reader.close()
    writer.reclaim(removed)
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0


def test_every_write_has_a_greater_number_even_if_the_newest_was_deleted(writer):
    connection = writer._connection()
    numbers = []
    for _ in range(3):
        writer.put([record()])
        numbers += connection.execute("SELECT change FROM completions").fetchone()
        connection.execute("DELETE FROM completions")

    assert numbers == sorted(set(numbers))


def test_a_late_start_is_no_write(writer, path):
    ended = record()
    writer.put([ended])

    writer.put([bare(id=ended.id), bare()])

    assert count(path) == 2
    (changes,) = writer._connection().execute("SELECT max(change) FROM completions").fetchone()
    assert changes == 2


def test_a_file_that_is_made_by_a_newer_version_is_left_alone(writer, path):
    writer._connection().execute("UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(StoreUnavailable, match="newer llm-proxy"):
        writer.migrate()

    (step,) = writer._connection().execute("SELECT version_num FROM alembic_version").fetchone()
    assert step == "9999"


def test_closing_twice_is_closing_once_and_the_next_write_opens_again(writer, path):
    writer.close()
    writer.close()

    writer.put([record()])

    assert count(path) == 1


def test_alembic_is_not_imported_by_who_need_not_migrate(writer, path):
    code = (
        "import sys; from pathlib import Path; from llm_proxy.store.sqlite_writer import SqliteWriter;"
        f"SqliteWriter(Path({str(path)!r})).migrate(); sys.exit('alembic' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
