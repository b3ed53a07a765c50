"""What people keep gets the column that says of which project it is; what there was is of the whole."""

from sqlalchemy import inspect, select

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql_feedback import feedback, feedback_tasks
from llm_proxy.store.sql_keepsakes import saved_views, shares

_OLD = (
    "INSERT INTO feedback_tasks (id, organization_id, created_at_us, name, instruction, json_schema, tags)"
    " VALUES ('old', 'default', 0, '', '', '{}', '[]')",
    "INSERT INTO feedback (id, organization_id, created_at_us, task_id, json_values, tags)"
    " VALUES ('old', 'default', 0, 'old', '{}', '[]')",
    "INSERT INTO shares VALUES ('old', 'default', 'call', 'x', 0, 0)",
    "INSERT INTO saved_views VALUES ('default', 'Nightly', 'tag:nightly', 'cost', 7)",
)


def test_what_there_was_is_of_the_whole_organisation(engine):
    with engine.connect() as connection:
        upgrade(connection, to="0017")
        for statement in _OLD:
            connection.exec_driver_sql(statement)

        upgrade(connection, to="0018")

        for table in (feedback_tasks, feedback, shares):
            assert connection.execute(select(table.c.project_id)).scalar_one() is None
        kept = connection.execute(select(saved_views)).mappings().one()
        key = inspect(connection).get_pk_constraint("saved_views")["constrained_columns"]
    assert dict(kept) == {
        "organization_id": "default",
        "project_id": "",
        "name": "Nightly",
        "filter": "tag:nightly",
        "columns": "cost",
        "created_at_us": 7,
    }
    assert key == saved_views.primary_key.columns.keys()
