"""The steps so far make the tables that sql.py reads."""

import importlib
import pkgutil
import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from llm_proxy import store
from llm_proxy.store import sql
from llm_proxy.store.sqlite_connection import open_writer
from llm_proxy.store.sqlite_writer import SqliteWriter


@pytest.fixture
def connection(tmp_path):
    path = tmp_path / "store.sqlite3"
    writer = SqliteWriter(path)
    writer.migrate()
    writer.close()
    engine = create_engine("sqlite://", creator=lambda: open_writer(path), poolclass=NullPool)
    with engine.connect() as connection:
        yield connection


for _module in pkgutil.iter_modules(store.__path__, "llm_proxy.store."):
    importlib.import_module(_module.name)  # many have tables, which are added to those of sql.py


def test_alembic_finds_no_difference(connection):
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})

    assert compare_metadata(context, sql.metadata) == []


def test_every_table_and_index_is_word_for_word_the_same(connection):
    """Alembic compares neither conditions of indexes nor what is SQLite's own."""
    made = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").all()
    made_sql = {name: _normalised(text) for name, text in made}

    for table in sql.metadata.sorted_tables:
        assert made_sql[table.name] == _normalised(str(CreateTable(table).compile(dialect=sqlite.dialect())))
        for index in table.indexes:
            assert made_sql[index.name] == _normalised(str(CreateIndex(index).compile(dialect=sqlite.dialect())))


def _normalised(statement: str) -> str:
    return re.sub(r"\s+", "", statement)
