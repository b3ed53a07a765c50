"""The stores that the contract holds for."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from llm_proxy.store.base import Accounts, FeedbackStore, Store
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sqlite import SqliteStore
from services import PostgresServer


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


@pytest.fixture(scope="session")
def postgres_database(postgres: PostgresServer) -> str:
    """A database with an empty store, made once."""
    name = postgres.create_database()

    async def make() -> None:
        store = PostgresStore(postgres.url(name))
        await store.migrate()
        await store.close()

    asyncio.run(make())
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer, postgres_database: str) -> Iterator[str]:
    """An empty store; emptied afterwards, since a database of its own would take longer than most tests."""
    url = postgres.url(postgres_database)
    yield url
    with psycopg.connect(url) as connection:
        for table in metadata.tables:
            connection.execute(f"DELETE FROM {table}" + (" WHERE id <> 'default'" if table == "organizations" else ""))


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
