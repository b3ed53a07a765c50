"""Logins that were ended before their time, in a table of a SqlStore.

Each is kept for as long as its cookie would have held.
"""

from datetime import UTC, datetime

from sqlalchemy import BigInteger, Column, Connection, Table, Text, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from llm_proxy.store.rows import storable, to_micros
from llm_proxy.store.sql import metadata
from llm_proxy.store.sql_store import SqlStore

ended_logins = Table(
    "ended_logins",
    metadata,
    Column("id", Text, primary_key=True),
    # When its cookie opens nothing anyway.
    Column("until_us", BigInteger, nullable=False),
)


class SqlLogins:
    """See ``EndedLogins``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def end(self, login_id: str, *, until: datetime) -> None:
        """Let a login that would hold until then open nothing any more, and forget those that are over anyway."""
        row = {"id": storable(login_id), "until_us": to_micros(until)}

        def note(connection: Connection) -> None:
            connection.execute(delete(ended_logins).where(ended_logins.c.until_us < to_micros(datetime.now(UTC))))
            insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
            connection.execute(insert(ended_logins).values(row).on_conflict_do_nothing())

        await self._store.writing(note)

    async def has_ended(self, login_id: str) -> bool:
        """Whether it was ended."""
        wanted = select(select(ended_logins.c.id).where(ended_logins.c.id == storable(login_id)).exists())
        return await self._store.reading(lambda connection: bool(connection.scalar(wanted)), otherwise=False)
