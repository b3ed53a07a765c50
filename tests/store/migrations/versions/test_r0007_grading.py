"""The step adds what the tables in the code have besides; older tasks want one answer, of nobody in particular."""

from sqlalchemy import inspect, select

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql_feedback import feedback, feedback_tasks
from llm_proxy.store.sql_grading import grading_holds

_OLD = (
    "INSERT INTO feedback_tasks (id, organization_id, created_at_us, name, instruction, json_schema, tags)"
    " VALUES ('old', 'default', 0, '', '', '{}', '[]')",
    "INSERT INTO feedback (id, organization_id, created_at_us, task_id, json_values, tags)"
    " VALUES ('old', 'default', 0, 'old', '{}', '[]')",
)


def test_the_tables_are_those_that_the_code_names_and_keep_what_they_had(engine):
    with engine.connect() as connection:
        upgrade(connection, to="0006")
        for statement in _OLD:
            connection.exec_driver_sql(statement)

        upgrade(connection, to="0007")

        for table in (feedback_tasks, feedback, grading_holds):
            made = {column["name"] for column in inspect(connection).get_columns(table.name)}
            assert made == set(table.c.keys()) - {"project_id"}
        assert connection.execute(select(feedback_tasks.c.answers_wanted)).scalar_one() == 1
        assert connection.execute(select(feedback.c.given_by)).scalar_one() is None
