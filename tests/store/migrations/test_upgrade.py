"""The steps of the schema, walked by Alembic."""

import sqlite3
import subprocess
import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from llm_proxy.store import migrations
from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sqlite_writer import SqliteWriter

_MIGRATE = (
    "import sys; from pathlib import Path; from llm_proxy.store.sqlite_writer import SqliteWriter;"
    "writer = SqliteWriter(Path(sys.argv[1])); print(); sys.stdout.flush(); sys.stdin.readline(); writer.migrate()"
)


@pytest.fixture
def engine(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(tmp_path / "store.sqlite3"))
    yield engine
    engine.dispose()


def test_the_newest_step_is_the_one_that_the_store_asks_for():
    config = Config()
    config.set_main_option("script_location", migrations.__path__[0])

    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


def test_walking_twice_is_walking_once(engine):
    with engine.connect() as connection:
        upgrade(connection)
        tables = inspect(connection).get_table_names()
        upgrade(connection)

        assert inspect(connection).get_table_names() == tables


def test_an_interrupted_walk_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "store.sqlite3"

    def interrupted(connection):
        upgrade(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr("llm_proxy.store.migrations.upgrade.upgrade", interrupted)
    writer = SqliteWriter(path)
    with pytest.raises(KeyboardInterrupt):
        writer.migrate()

    assert writer._connection().execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
    monkeypatch.undo()
    writer.migrate()
    writer.close()


def test_several_processes_at_once_make_one_schema(tmp_path):
    path = tmp_path / "store.sqlite3"
    command = [sys.executable, "-c", _MIGRATE, str(path)]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        process.stdout.readline()

    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"now\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()

    assert [process.returncode for process in processes] == [0, 0, 0]
    writer = SqliteWriter(path)
    steps = writer._connection().execute("SELECT version_num FROM alembic_version").fetchall()
    writer.close()
    assert steps == [(migrations.HEAD,)]
