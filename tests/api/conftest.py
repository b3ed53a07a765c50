"""A store, and the APIs on it."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from empty_stores import empty_store
from faces import served
from llm_proxy.store.sqlite import SqliteStore
from whole_app import ADMIN_KEY, whole_app_client


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    yield store
    await store.close()


@pytest.fixture
async def log10(database: SqliteStore) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the Log10 APIs."""
    async with served(database) as client:
        yield client


@pytest.fixture
async def api(database: SqliteStore, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of everything that is served, with the key of who runs the proxy."""
    async with whole_app_client(database, tmp_path) as client:
        client.headers["authorization"] = f"Bearer {ADMIN_KEY}"
        yield client
