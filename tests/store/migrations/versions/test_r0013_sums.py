"""The step makes the table that the code names."""

from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql_sums import hour_sums
from llm_proxy.store.sqlite_connection import open_writer


def test_the_table_is_the_one_that_the_code_names(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0013")

        columns = {column["name"] for column in inspect(connection).get_columns("hour_sums")}
        assert columns >= set(hour_sums.c.keys())
