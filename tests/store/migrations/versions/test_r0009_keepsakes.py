"""The step makes the tables that the code names."""

import pytest
from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql_keepsakes import saved_views, shares
from llm_proxy.store.sqlite_connection import open_writer


@pytest.mark.parametrize("table", [saved_views, shares], ids=str)
def test_the_tables_are_those_that_the_code_names(tmp_path, table):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0009")

        made = {column["name"] for column in inspect(connection).get_columns(table.name)}
        assert made == set(table.c.keys()) - {"project_id"}
