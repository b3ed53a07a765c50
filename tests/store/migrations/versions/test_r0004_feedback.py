"""The tables of feedback come with the step, and take nothing away."""

from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sqlite_connection import open_writer


def test_the_tables_are_made_beside_the_others(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "store.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0003")
        before = set(inspect(connection).get_table_names())
        upgrade(connection, to="0004")
        connection.commit()

        made = set(inspect(connection).get_table_names()) - before

    assert made == {"feedback", "feedback_tasks", "feedback_completions"}
