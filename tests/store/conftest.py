"""The stores that the contract holds for."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from empty_stores import empty_store
from llm_proxy.store.base import Accounts, FeedbackStore, Store
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sqlite import SqliteStore
from services import PostgresServer


@pytest.fixture
def open_sqlite(tmp_path: Path) -> Callable[[], Store]:
    path = empty_store(tmp_path / "store.sqlite3")
    return lambda: SqliteStore(path)


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_database: str) -> Iterator[str]:
    """An empty store; emptied afterwards, since a database of its own would take longer than most tests."""
    url = postgres.url(postgres_database)
    yield url
    with psycopg.connect(url) as connection:
        # Asked only now, when the modules that add tables are there. All in one round; the organisation that is there
        # from the beginning stays.
        empty = "".join(f"DELETE FROM {table};" for table in metadata.tables)
        connection.execute(empty.replace("organizations;", "organizations WHERE id <> 'default';"))


@pytest.fixture
def open_postgres(postgres_url: str) -> Callable[[], Store]:
    return lambda: PostgresStore(postgres_url)


@pytest.fixture(params=["sqlite", "postgres"])
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


@pytest.fixture
def accounts(store: SqlStore) -> Accounts:
    """Those of the same store."""
    return SqlAccounts(store)


@pytest.fixture
def feedback(store: SqlStore) -> FeedbackStore:
    """That of the same store."""
    return SqlFeedback(store)
