"""What was written before there were pieces is read, replaced and deleted like everything else."""

import random
import sqlite3

import msgspec
import pytest
from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.model.completion import Bodies
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.bodies import Packer
from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.rows import to_rows
from llm_proxy.store.sql import completions
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.store.sqlite_connection import open_writer
from records import record

STEPS = ("sent_s", "overhead_s", "queued_s", "dns_s", "tcp_s", "tls_s")
OLD_BODIES = Bodies(request_body=b'{"a":"Paris"}', request={"a": "Paris"})


@pytest.fixture
def path(tmp_path):
    """A file as the first step made and filled it."""
    path = tmp_path / "store.sqlite3"
    engine = create_engine("sqlite://", creator=lambda: open_writer(path), poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        upgrade(connection, to="0001")
        connection.commit()
        old = record(id="old", bodies=None)
        there = {column["name"] for column in inspect(connection).get_columns("completions")}
        values = {name: value for name, value in _columns(old).items() if name in there}
        connection.execute(completions.insert().values(values))
        blob = Packer().compress(msgspec.msgpack.encode([b'{"a":"Paris"}', None, b"", None, b"[]", b"[]", b"", b""]))
        connection.exec_driver_sql("INSERT INTO completion_bodies (completion_id, content) VALUES ('old', ?)", (blob,))
    return path


def _columns(completion):
    names = [column.name for column in completions.c if column.name != "change"]
    return dict(zip(names, to_rows(completion, Packer()).completion, strict=True))


@pytest.fixture
async def store(path):
    store = SqliteStore(path)
    await store.migrate()
    yield store
    await store.close()


async def test_an_old_record_is_read_and_found_as_before(store):
    found = await store.get("old")

    later = dict.fromkeys(["project_id", "key_id", *STEPS])
    assert found == record(id="old", context=found.context, bodies=OLD_BODIES, **later)
    page = await store.find(CompletionQuery(search="paris"))
    assert [completion.id for completion in page.completions] == ["old"]


async def test_an_old_record_is_replaced_and_deleted_with_its_bodies(store):
    new = record(id="old")
    await store.put([new])
    assert await store.get("old") == new

    receipt = await store.delete(["old"])

    assert (receipt.rows, receipt.bodies) == (1, 1)


async def test_an_old_file_learns_to_give_space_back_when_first_it_has_to(store, path):
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA auto_vacuum = NONE")
    connection.execute("VACUUM")
    connection.close()
    await store.put([record(id="big", bodies=Bodies(request_body=random.Random(1).randbytes(500_000)))])
    connection = open_writer(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    assert path.stat().st_size > 500_000

    await store.delete(["big"])

    assert path.stat().st_size < 400_000
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    connection.close()
