"""The stores that the contract holds for."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from llm_proxy.store.base import Store
from llm_proxy.store.sqlite import SqliteStore

#: A new store in a directory of its own, by the name of its technology.
STORES: dict[str, Callable[[Path], Store]] = {
    "sqlite": lambda directory: SqliteStore(directory / "store.sqlite3"),
}


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Opens the same store, as often as it is called."""
    return lambda: STORES[request.param](tmp_path)


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """A store that is ready for use."""
    store = open_store()
    await store.migrate()
    yield store
    await store.close()
