"""The step adds what the tables in the code have besides; a key and a record of before are none of a project's."""

from sqlalchemy import inspect

from llm_proxy.model.key_terms import Terms, terms_from_text
from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.rows import to_completion
from llm_proxy.store.sql import completions
from llm_proxy.store.sql_accounts import api_keys

_OLD = (
    "INSERT INTO completions (id, organization_id, started_at_us, status, method, path, endpoint, truncated)"
    " VALUES ('old', 'default', 0, 'finished', 'POST', '/', 'chat.completions', false)"
)
_OLD_KEY = (
    "INSERT INTO api_keys (id, organization_id, scopes, hash, shown, created_at_us)"
    " VALUES ('k', 'default', 'read', {hash}, 'llmp_0…0', 0)"
)


def test_the_columns_are_those_that_the_code_names(engine):
    with engine.connect() as connection:
        upgrade(connection, to="0008")

        columns = {table.name: inspect(connection).get_columns(table.name) for table in (completions, api_keys)}

    names = [column["name"] for column in columns["completions"]]
    assert names == completions.c.keys()[: len(names)]
    assert names[-1] == "tags_edited"
    assert [column["name"] for column in columns["api_keys"]] == api_keys.c.keys()


def test_what_was_there_before_is_of_no_project_and_without_limits(engine):
    with engine.connect() as connection:
        upgrade(connection, to="0007")
        connection.exec_driver_sql(_OLD)
        connection.exec_driver_sql(
            _OLD_KEY.format(hash="x'00'" if engine.dialect.name == "sqlite" else "'\\x00'::bytea")
        )

        upgrade(connection)
        old = to_completion(connection.execute(completions.select()).mappings().one())
        key = connection.execute(api_keys.select()).mappings().one()

    assert (old.project_id, old.key_id, old.tags_edited) == (None, None, False)
    assert terms_from_text(key["terms"]) == Terms()
