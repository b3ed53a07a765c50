"""A store and the pages of it, as if from a host called proxy.test; and a running product before a browser."""

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from browsing import chromium, standing, watched
from empty_stores import empty_store
from llm_proxy.api.auth import Gate
from llm_proxy.api.seal import Seal
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_keepsakes import SqlKeepsakes
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.ui.pages import routes
from llm_proxy.ui.sharing import Sharing
from llm_proxy.wiring.calls_rooms import rooms_of_calls


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    yield store
    await store.close()


@pytest.fixture
async def client(store):
    sharing = Sharing(store, SqlKeepsakes(store), Seal(b"secret", b"share"))
    admit = Gate(SqlAccounts(store), is_open=True).admit
    transport = httpx.ASGITransport(Starlette(routes=routes(store, admit, *rooms_of_calls(store), sharing=sharing)))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test:9000") as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stand(tmp_path_factory):
    """A running product for all tests in a browser."""
    async with standing(tmp_path_factory.mktemp("product")) as stand:
        yield stand


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    async with chromium() as browser:
        yield browser


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser, stand):
    """A page that nothing may go wrong on; paths are those of the product."""
    async with watched(browser, base_url=stand.url, viewport={"width": 1280, "height": 900}) as page:
        yield page
