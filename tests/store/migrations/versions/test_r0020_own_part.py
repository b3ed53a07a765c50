"""The step lets all sums be made anew, since those that there are lack what it adds."""

from sqlalchemy import NullPool, create_engine, text

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sqlite_connection import open_writer


def test_no_hour_counts_as_summed_up_any_more(tmp_path):
    engine = create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
    with engine.connect() as connection:
        upgrade(connection, to="0019")
        connection.execute(text("INSERT INTO hour_sums VALUES ('o', '', 0, 'x', 2, '')"))
        connection.execute(text("INSERT INTO day_sums VALUES ('o', '', 0, 'x', 2, '')"))
        connection.execute(text("INSERT INTO summed_hours VALUES ('o', 0, 7, 7, 3)"))

        upgrade(connection, to="0020")

        left = "SELECT (SELECT count(*) FROM hour_sums) + (SELECT count(*) FROM day_sums)"
        assert connection.execute(text(left)).scalar() == 0
        assert connection.execute(text("SELECT * FROM summed_hours")).all() == [("o", 0, 7, 0, 3)]
