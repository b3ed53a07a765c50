"""Keys of a real store, watched."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from empty_stores import empty_store
from keyring import added_key
from llm_proxy.errors import StoreUnavailable
from llm_proxy.key_watch import KeyWatch
from llm_proxy.model.completion import Cost
from llm_proxy.model.key_snapshot import Spent, decode_snapshot
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_key_spend import SqlKeySpend
from llm_proxy.store.sqlite import SqliteStore
from records import record
from running import until

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    yield store
    await store.close()


def limited(store):
    return added_key(store, "acme", "proxy", usd_per_day=Decimal(5))


def call(key, name, at, usd):
    owner = {"organization_id": key.organization_id, "key_id": key.id}
    return record(id=name, started_at=at, cost=Cost(usd=Decimal(usd)), **owner)


async def test_a_change_is_told_of_and_one_that_could_not_be_told_is_told_again(store):
    told, failures = [], [StoreUnavailable("the place is away")]

    async def tell(raw):
        if failures:
            raise failures.pop()
        told.append(decode_snapshot(raw))

    watching = asyncio.create_task(KeyWatch(SqlKeySpend(store), tell).run())
    await until(lambda: told, "the first snapshot")
    key = await added_key(store, "acme", "proxy")
    await until(lambda: told[-1].keys, "the key")
    relays = [(one.id, one.relays) for one in told[-1].keys]
    await SqlAccounts(store).expire_key(key.id, None, at=datetime.now(UTC))
    await until(lambda: not told[-1].keys, "its end")
    watching.cancel()

    assert relays == [(key.id, True)]


async def test_what_was_spent_is_of_this_day_and_this_month_whenever_it_was_settled(store):
    key = await limited(store)
    await store.put(
        [
            call(key, "last month", datetime(2026, 10, 31, 23, 59, tzinfo=UTC), "1000"),
            call(key, "this month", NOW - timedelta(days=3), "100"),
            call(key, "this morning", NOW - timedelta(hours=3), "10"),
            call(key, "just now", NOW - timedelta(minutes=3), "1"),
        ]
    )
    watch = KeyWatch(SqlKeySpend(store), None)

    first = (await watch.snapshot(NOW)).keys[0].spent
    await store.put([call(key, "then", NOW + timedelta(seconds=1), "0.5")])
    second = (await watch.snapshot(NOW + timedelta(seconds=3))).keys[0].spent
    tomorrow = (await watch.snapshot(NOW + timedelta(days=1))).keys[0].spent
    at_midnight = (await watch.snapshot(datetime(2026, 12, 1, 0, 0, 5, tzinfo=UTC))).keys[0].spent

    assert first == Spent(Decimal(11), Decimal(111))
    assert second == Spent(Decimal("11.5"), Decimal("111.5"))
    assert tomorrow == Spent(Decimal(0), Decimal("111.5"))
    assert at_midnight == Spent(Decimal(0), Decimal(0))


async def test_just_after_midnight_the_day_begins_with_it_and_not_an_hour_before(store):
    key = await limited(store)
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    await store.put(
        [
            call(key, "before", midnight - timedelta(minutes=5), "100"),
            call(key, "after", midnight + timedelta(minutes=5), "1"),
        ]
    )

    spent = (await KeyWatch(SqlKeySpend(store), None).snapshot(midnight + timedelta(minutes=10))).keys[0].spent

    assert spent == Spent(Decimal(1), Decimal(101))
