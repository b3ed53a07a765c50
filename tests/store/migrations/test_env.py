"""The steps run in the transaction of their caller."""

from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sqlite_connection import open_writer


def test_what_the_caller_takes_back_was_never_there(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)

    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        upgrade(connection)
        assert inspect(connection).get_table_names()
        connection.rollback()

    with engine.connect() as connection:
        assert inspect(connection).get_table_names() == []
