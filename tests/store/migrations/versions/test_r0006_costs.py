"""The step adds what the tables in the code have besides; of an older record, none of it is known."""

from sqlalchemy import inspect

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.rows import to_completion
from llm_proxy.store.sql import completions

_OLD = (
    "INSERT INTO completions (id, organization_id, started_at_us, status, method, path, endpoint, truncated, usage)"
    " VALUES ('old', 'default', 0, 'finished', 'POST', '/', 'chat.completions', false, '{}')"
)


def test_the_columns_are_those_that_the_code_names(engine):
    with engine.connect() as connection:
        upgrade(connection, to="0006")

        names = [column["name"] for column in inspect(connection).get_columns("completions")]

    assert names == completions.c.keys()[: len(names)]
    assert names[-1] == "cost"


def test_an_older_record_has_no_cost(engine):
    with engine.connect() as connection:
        upgrade(connection, to="0005")
        connection.exec_driver_sql(_OLD)

        upgrade(connection)
        old = to_completion(connection.execute(completions.select()).mappings().one())

    assert old.cost is None
    assert old.usage is not None
    assert old.usage.audio_input_tokens is None
