"""The step makes the columns that the code names, in their order."""

from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql import completions
from llm_proxy.store.sqlite_connection import open_writer


def test_the_columns_are_those_that_the_code_names(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0017")

        assert [column["name"] for column in inspect(connection).get_columns("completions")] == completions.c.keys()
