"""The step makes the table and the column that the code names."""

import pytest
from sqlalchemy import NullPool, create_engine, inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql import completions, conversation_turns
from llm_proxy.store.sqlite_connection import open_writer


@pytest.mark.parametrize("table", [completions, conversation_turns], ids=str)
def test_the_columns_and_indexes_are_those_that_the_code_names(tmp_path, table):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0011")

        inspected = inspect(connection)
        later = {"sent_s", "overhead_s", "queued_s", "dns_s", "tcp_s", "tls_s"}
        named = [name for name in table.c.keys() if name not in later]  # noqa: SIM118  # a table is no dict
        assert [column["name"] for column in inspected.get_columns(table.name)] == named
        assert {index["name"] for index in inspected.get_indexes(table.name)} == {index.name for index in table.indexes}
