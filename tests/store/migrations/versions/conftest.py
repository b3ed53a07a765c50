"""Empty databases that steps are taken in."""

import pytest
from sqlalchemy import NullPool, create_engine

from llm_proxy.store.sqlite_connection import open_writer


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request, tmp_path):
    """One on each of the two databases, without a table."""
    if request.param == "sqlite":
        yield create_engine("sqlite://", creator=lambda: open_writer(tmp_path / "s.sqlite3"), poolclass=NullPool)
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database()
    yield create_engine(postgres.url(name).replace("postgresql:", "postgresql+psycopg:"), poolclass=NullPool)
    postgres.drop_database(name)
