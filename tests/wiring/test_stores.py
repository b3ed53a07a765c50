"""The settings choose the store."""

import subprocess
import sys

import pytest

from llm_proxy.errors import ConfigError, StoreUnavailable
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.stores import open_store, place_of
from records import record


def settings(tmp_path, **store) -> Settings:
    return Settings.model_validate({"data_dir": str(tmp_path), "store": store})


async def test_without_a_url_it_is_the_file_in_the_data_directory(tmp_path):
    store = open_store(settings(tmp_path))
    await store.migrate()

    assert isinstance(store, SqliteStore)
    assert (tmp_path / "store.sqlite3").exists()
    assert place_of(settings(tmp_path)) == str(tmp_path / "store.sqlite3")
    await store.close()


async def test_who_only_looks_changes_no_file(tmp_path):
    store = open_store(settings(tmp_path), read_only=True)

    with pytest.raises(StoreUnavailable, match="reading only"):
        await store.put([record()])

    assert list(tmp_path.iterdir()) == []
    await store.close()


async def test_with_a_url_it_is_that_database(tmp_path, postgres):
    name = postgres.create_database()
    chosen = settings(tmp_path, url=postgres.url(name), connections=2, statement_timeout_s=5.0)
    store = open_store(chosen)
    completion = record()

    await store.migrate()
    await store.put([completion])

    assert await store.get(completion.id) == completion
    assert list(tmp_path.iterdir()) == []
    assert place_of(chosen) == f"PostgreSQL at 127.0.0.1:{postgres.port}/{name}"
    await store.close()
    postgres.drop_database(name)


def test_a_url_that_leads_nowhere_is_a_wrong_setting(tmp_path):
    with pytest.raises(ConfigError, match=r"store\.url: is no URL of PostgreSQL"):
        open_store(settings(tmp_path, url="postgresql://h/store?color=red"))


def test_a_driver_that_is_not_installed_is_named_and_not_needed_for_a_file(tmp_path):
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from llm_proxy.settings.table import Settings\n"
        "from llm_proxy.wiring.stores import open_store\n"
        f"open_store(Settings.model_validate({{'data_dir': {str(tmp_path)!r}}}))\n"
        "open_store(Settings.model_validate({'store': {'url': 'postgresql://h/d'}}))\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "ConfigError: store.url: PostgreSQL needs its driver" in done.stderr
