"""What proxies have to know of keys, from the tables of a SqlStore: which are valid, and what their calls have cost."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, or_, select

from llm_proxy.model.account import ApiKey, KnownKey
from llm_proxy.store.rows import restored, storable, to_micros
from llm_proxy.store.sql import completions
from llm_proxy.store.sql_accounts import api_keys, key_of, organizations
from llm_proxy.store.sql_amounts import sum_of_amounts
from llm_proxy.store.sql_store import SqlStore


class SqlKeySpend:
    """See ``KeySpend``."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store

    async def valid_keys(self, now: datetime) -> Sequence[KnownKey]:
        """All that are valid at ``now``, of all organisations, oldest first."""
        valid = or_(api_keys.c.expires_at_us.is_(None), api_keys.c.expires_at_us > to_micros(now))
        wanted = select(api_keys, organizations.c.name.label("organization_name")).where(valid)
        wanted = wanted.join_from(api_keys, organizations, organizations.c.id == api_keys.c.organization_id)
        wanted = wanted.order_by(api_keys.c.created_at_us, api_keys.c.id)

        def read(connection: Connection) -> list[KnownKey]:
            return [
                KnownKey(key=key_of(row), hash=bytes(row["hash"]), organization_name=restored(row["organization_name"]))
                for row in connection.execute(wanted).mappings()
            ]

        return await self._store.reading(read, otherwise=[])

    async def spent(self, key: ApiKey, *, since: datetime, until: datetime | None = None) -> Decimal:
        """What those calls of a key have cost that began within these times, as far as it is known."""
        calls = select(sum_of_amounts(completions.c.cost_usd)).where(
            completions.c.organization_id == storable(key.organization_id),
            completions.c.key_id == storable(key.id),
            completions.c.started_at_us >= to_micros(since),
        )
        if until is not None:
            calls = calls.where(completions.c.started_at_us < to_micros(until))
        summed = await self._store.reading(lambda connection: connection.execute(calls).scalar(), otherwise=None)
        return Decimal(0) if summed is None else Decimal(summed)
