"""What was recorded before there were organisations belongs to the default one, which there always is."""

import time

from sqlalchemy import NullPool, create_engine

from llm_proxy.store.migrations.upgrade import upgrade
from llm_proxy.store.sqlite_connection import open_writer


def test_the_default_organisation_is_made_with_the_tables(tmp_path):
    path = tmp_path / "store.sqlite3"
    engine = create_engine("sqlite://", creator=lambda: open_writer(path), poolclass=NullPool)
    before_us = time.time_ns() // 1000
    with engine.connect() as connection:
        upgrade(connection, to="0003")
        connection.commit()

        (made,) = connection.exec_driver_sql("SELECT id, name, created_at_us FROM organizations").all()

    assert made[:2] == ("default", "default")
    assert before_us <= made[2] <= time.time_ns() // 1000
