"""The step makes the indexes that the code names."""

from sqlalchemy import NullPool, create_engine, inspect, text

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.sql import completions
from llm_proxy.store.sql_conditions import BESIDE_THE_TIME
from llm_proxy.store.sqlite_connection import open_writer

_INDEXES = text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'completions'")
CHANGED = ("completions_by_time", "completions_by_response_model")


def test_in_sqlite_they_have_the_columns_that_the_code_names(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0016")

        made = {index["name"]: index["column_names"] for index in inspect(connection).get_indexes("completions")}
        named = {str(index.name): list(index.columns.keys()) for index in completions.indexes}
        assert [made[name] for name in CHANGED] == [named[name] for name in CHANGED]


async def test_in_postgresql_the_old_ones_are_gone_and_the_facts_are_included(postgres_url):
    store = PostgresStore(postgres_url)
    await store.migrate()

    found = await store.reading(lambda connection: connection.execute(_INDEXES).all(), otherwise=[])

    by_time = [definition for _, definition in found if "(organization_id, started_at_us, id)" in definition]
    by_answer = [(name, definition) for name, definition in found if "response_model, started_at_us" in definition]
    assert [definition.split(" INCLUDE ")[1] for definition in by_time] == [f"({', '.join(BESIDE_THE_TIME)})"]
    assert [name for name, _ in by_answer] == [CHANGED[1]]
    await store.close()
