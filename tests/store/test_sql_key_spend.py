"""What proxies have to know of keys, on both stores."""

from datetime import timedelta
from decimal import Decimal

from keyring import added_key
from llm_proxy.model.completion import Cost
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_key_spend import SqlKeySpend
from records import NOON, record


async def test_keys_are_those_of_all_organisations_that_are_valid_then(store):
    keys, accounts = SqlKeySpend(store), SqlAccounts(store)
    acme, other = await added_key(store, "acme", "proxy"), await added_key(store, "other", "read")
    made = [one.created_at for one in await accounts.keys(None)][-1]
    await accounts.expire_key(acme.id, None, at=made + timedelta(hours=1))

    before = await keys.valid_keys(made + timedelta(minutes=59))
    after = await keys.valid_keys(made + timedelta(hours=1))

    assert [one.key.id for one in before] == [acme.id, other.id]
    assert [one.key.id for one in after] == [other.id]
    assert after[0].organization_name == "other"


async def test_what_was_spent_is_summed_exactly_by_key_and_time(store):
    acme, other = await added_key(store, "acme", "proxy"), await added_key(store, "acme", "proxy")
    keys = {one.key.id: one.key for one in await SqlKeySpend(store).valid_keys(NOON)}

    def call(name, minutes, usd, key):
        cost = None if usd is None else Cost(usd=Decimal(usd))
        at = NOON + timedelta(minutes=minutes)
        return record(id=name, organization_id=key.organization_id, key_id=key.id, started_at=at, cost=cost)

    await store.put(
        [
            call("a", 0, "0.1", acme),
            call("b", 1, "0.2", acme),
            call("c", 2, None, acme),
            call("d", 3, "7", acme),
            call("e", 1, "100", other),
        ]
    )
    spend = SqlKeySpend(store)

    within = await spend.spent(keys[acme.id], since=NOON, until=NOON + timedelta(minutes=3))
    since = await spend.spent(keys[acme.id], since=NOON + timedelta(minutes=1))
    nothing = await spend.spent(keys[acme.id], since=NOON + timedelta(hours=1))

    assert (within, since, nothing) == (Decimal("0.3"), Decimal("7.2"), Decimal(0))
