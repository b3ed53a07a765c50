"""The stores that the contract holds for."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from llm_proxy.store.base import Store
from llm_proxy.store.sqlite import SqliteStore


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store, made once, since its migrations take longer than most tests."""
    path = tmp_path_factory.mktemp("template") / "store.sqlite3"

    async def make() -> None:
        store = SqliteStore(path)
        await store.migrate()
        await store.close()

    asyncio.run(make())
    return path


@pytest.fixture
def open_sqlite(sqlite_template: Path, tmp_path: Path) -> Callable[[], Store]:
    shutil.copy(sqlite_template, tmp_path)
    return lambda: SqliteStore(tmp_path / sqlite_template.name)


@pytest.fixture(params=["sqlite"])
def open_store(request: pytest.FixtureRequest) -> Callable[[], Store]:
    """Opens the same store, as often as it is called."""
    opened: Callable[[], Store] = request.getfixturevalue(f"open_{request.param}")
    return opened


@pytest.fixture
async def store(open_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """A store that is ready for use."""
    store = open_store()
    await store.migrate()
    yield store
    await store.close()
