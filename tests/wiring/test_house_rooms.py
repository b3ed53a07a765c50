"""The pages about the whole, as they are put together."""

from llm_proxy.settings.table import Settings
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.house_rooms import rooms_of_the_house


async def test_no_two_rooms_answer_the_same_path(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite3")

    paths = [
        path
        for table in rooms_of_the_house(
            Settings(data_dir=tmp_path), store, forget=list, keep_in=lambda request, response: response
        )
        for path in table
    ]

    assert "/grading" in paths
    assert len(set(paths)) == len(paths)
    await store.close()
