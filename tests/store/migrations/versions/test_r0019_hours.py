"""The step keeps the sums that hold, and finds the hours that have none."""

from sqlalchemy import NullPool, create_engine, inspect, text

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sql_hours import HOUR_US, summed_hours
from llm_proxy.store.sql_sums import day_sums, hour_sums
from llm_proxy.store.sqlite_connection import open_writer

_CALL = text(
    "INSERT INTO completions (change, id, organization_id, started_at_us, status, method, path, endpoint, truncated)"
    " VALUES (:change, :change, 'o', :at, 'finished', 'POST', '/', 'chat', 0)"
)
_SUM = text("INSERT INTO hour_sums VALUES ('o', '', :at, :of, :held, :last_change, :held, '')")
SUBSTITUTE = "\x1a"


def test_sums_that_hold_stay_and_others_are_made_anew(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0018")
        for change, hour in ((1, 0), (2, 0), (3, 1), (4, 2), (5, -1)):
            connection.execute(_CALL, {"change": change, "at": hour * HOUR_US + 1})
        for hour, held, last_change in ((0, 2, 2), (1, 2, 3), (7, 1, 9)):
            values = {"at": hour * HOUR_US, "of": SUBSTITUTE, "held": held, "last_change": last_change}
            connection.execute(_SUM, values)

        upgrade(connection, to="0019")

        hours = connection.execute(text("SELECT at_us, newest, summed_to FROM summed_hours ORDER BY at_us")).all()
        assert hours == [(-HOUR_US, 5, 0), (0, 2, 2), (HOUR_US, 3, 0), (2 * HOUR_US, 4, 0)]
        kept = connection.execute(text("SELECT at_us FROM hour_sums ORDER BY at_us")).scalars().all()
        assert kept == [0, HOUR_US]
        for table in (summed_hours, day_sums, hour_sums):
            columns = {column["name"] for column in inspect(connection).get_columns(table.name)}
            assert columns == set(table.c.keys())
