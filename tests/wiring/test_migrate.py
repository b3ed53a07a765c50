"""Migrating by hand, and asking whether it is needed."""

import sqlite3

import psycopg
import pytest

from llm_proxy.errors import StoreUnavailable
from llm_proxy.settings.table import Settings
from llm_proxy.store.migrations import HEAD
from llm_proxy.wiring.migrate import migrate


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request, tmp_path):
    if request.param == "sqlite":
        yield Settings.model_validate({"data_dir": str(tmp_path / "data")})
    else:
        postgres = request.getfixturevalue("postgres")
        name = postgres.create_database()
        yield Settings.model_validate({"store": {"url": postgres.url(name)}})
        postgres.drop_database(name)


def set_step(settings, step: str) -> None:
    statement = f"UPDATE alembic_version SET version_num = '{step}'"
    if settings.store.url is None:
        connection = sqlite3.connect(settings.data_dir / "store.sqlite3")
    else:
        connection = psycopg.connect(settings.store.url.get_secret_value())
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_check_says_what_is_missing_and_changes_nothing(settings, capsys):
    assert migrate(settings, check=True) == 1
    assert migrate(settings, check=True) == 1

    assert capsys.readouterr().out.count(f"the schema has no tables, and this llm-proxy needs step {HEAD}") == 2
    if settings.store.url is None:
        assert not settings.data_dir.exists()


def test_migrating_twice_is_migrating_once(settings, capsys):
    assert migrate(settings) == 0
    assert f"the schema is now at step {HEAD}" in capsys.readouterr().out

    assert migrate(settings) == 0
    assert migrate(settings, check=True) == 0
    assert capsys.readouterr().out.count(f"the schema is at step {HEAD}, which is the newest") == 2


def test_what_a_newer_llm_proxy_wrote_is_left_alone(settings, capsys):
    migrate(settings)
    set_step(settings, "9999")

    with pytest.raises(StoreUnavailable, match="newer llm-proxy"):
        migrate(settings)

    assert migrate(settings, check=True) == 1
    assert "the schema is at step 9999" in capsys.readouterr().out


def test_a_server_that_is_away_is_said():
    settings = Settings.model_validate({"store": {"url": "postgresql://127.0.0.1:1/none"}})

    with pytest.raises(StoreUnavailable, match=r"PostgreSQL at 127\.0\.0\.1:1/none: .*refused"):
        migrate(settings)
