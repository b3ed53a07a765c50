"""The step makes the index that the code names."""

from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sqlite_connection import open_writer
from llm_proxy.store.trace_rows import entities


def test_the_index_is_the_one_that_the_code_names(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0015")

        made = {index["name"]: index["column_names"] for index in inspect(connection).get_indexes("entities")}
    (named,) = (index for index in entities.indexes if index.name == "entities_by_kind")
    assert made["entities_by_kind"] == [column.name for column in named.columns]
