"""The rooms around calls."""

from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.calls_rooms import rooms_of_calls


async def test_no_path_is_in_two_rooms(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite3")

    paths = [path for table in rooms_of_calls(store) for path in table]

    assert len(paths) == len(set(paths)) > 0
    await store.close()
