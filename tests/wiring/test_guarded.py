"""Whether the pages will ask for a key."""

import pytest

from keyring import added_key
from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.guarded import is_guarded
from llm_proxy.wiring.layout import DataDir


def test_without_a_store_and_without_keys_they_do_not(tmp_path):
    settings = Settings(data_dir=tmp_path)
    assert not is_guarded(settings)
    assert not DataDir(tmp_path).database.exists()

    DataDir(tmp_path).database.write_bytes(b"this is no database " * 100)
    assert not is_guarded(settings)


async def test_with_a_key_in_the_store_they_do(tmp_path):
    store = SqliteStore(DataDir(tmp_path).database)
    await store.migrate()
    assert not is_guarded(Settings(data_dir=tmp_path))
    await added_key(store, "acme", "read")

    assert is_guarded(Settings(data_dir=tmp_path))
    await store.close()


@pytest.mark.parametrize("different", [{"auth": {"admin_key": "x" * 32}}, {"store": {"url": "postgresql://h/n"}}])
def test_they_do_where_the_settings_say_so(tmp_path, different):
    assert is_guarded(Settings.model_validate({"data_dir": tmp_path, **different}))
