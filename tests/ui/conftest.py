"""A store, and the pages of it, as if from a host called proxy.test."""

import httpx
import pytest
from starlette.applications import Starlette

from llm_proxy.api.auth import Gate
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui.pages import routes


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite3")
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
async def client(store):
    transport = httpx.ASGITransport(Starlette(routes=routes(store, Gate(SqlAccounts(store), is_open=True).admit)))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test:9000") as client:
        yield client
