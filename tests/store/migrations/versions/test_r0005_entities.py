"""The step is what the tables in the code are, and finds the calls of a trace."""

import sqlite3

from sqlalchemy import create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql_traces import uploads
from llm_proxy.store.trace_rows import entities


def test_the_tables_are_those_that_the_code_names(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(tmp_path / "store.sqlite3"))
    with engine.connect() as connection:
        upgrade(connection, to="0015")
        inspector = inspect(connection)

        for table in (entities, uploads):
            assert [column["name"] for column in inspector.get_columns(table.name)] == table.columns.keys()
            indexed = {index["name"]: index["column_names"] for index in inspector.get_indexes(table.name)}
            assert indexed == {index.name: index.columns.keys() for index in table.indexes}
            assert inspector.get_pk_constraint(table.name)["constrained_columns"] == table.primary_key.columns.keys()
        (by_trace,) = (one for one in inspector.get_indexes("completions") if one["name"] == "completions_by_trace_id")
        assert by_trace["column_names"] == ["organization_id", "trace_id", "started_at_us", "id"]
    engine.dispose()
