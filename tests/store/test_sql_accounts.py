"""What every place for accounts promises; see ``Accounts``. Runs against each of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from llm_proxy.model.account import (
    ApiKey,
    KnownKey,
    Organization,
    Project,
    Scope,
    new_key,
    new_secret,
    secret_hash,
)
from llm_proxy.model.exchange import new_id
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore
from records import NOON

LATER = NOON + timedelta(minutes=5)


def organization(name="acme"):
    return Organization(id=new_id(), name=name, created_at=NOON)


def project(organization_id, name="search"):
    return Project(id=new_id(), organization_id=organization_id, name=name, created_at=NOON)


def key_of(organization_id, **different):
    secret = new_secret()
    key = new_key(secret, organization_id, scopes=frozenset({Scope.READ, Scope.WRITE}), now=NOON)
    return replace(key, **different), secret_hash(secret)


async def test_there_is_always_the_default_organisation(accounts):
    (only,) = await accounts.organizations()

    assert (only.id, only.name) == ("default", "default")


async def test_an_organisation_is_found_by_its_id_and_by_its_name(accounts):
    acme = await accounts.add_organization(organization())

    assert await accounts.organization(acme.id) == acme
    assert await accounts.organization("acme") == acme
    assert await accounts.organization("none") is None


async def test_an_id_goes_before_a_name_that_is_the_same(accounts):
    acme = await accounts.add_organization(organization())
    await accounts.add_organization(organization(name=acme.id))

    assert await accounts.organization(acme.id) == acme


async def test_of_one_name_there_is_one_organisation_also_when_several_add_it_at_once(accounts):
    added = await asyncio.gather(*(accounts.add_organization(organization()) for _ in range(5)))

    assert len(set(added)) == 1
    assert len(await accounts.organizations()) == 2


async def test_projects_belong_to_their_organisation(accounts):
    one, two = await accounts.add_project(project("a")), await accounts.add_project(project("b"))

    assert (await accounts.projects("a"), await accounts.projects("b")) == ([one], [two])
    assert await accounts.add_project(project("a")) == one


@pytest.mark.parametrize("different", [{}, {"project_id": "p", "label": "nul \x00 and \ud800", "expires_at": LATER}])
async def test_a_key_is_found_by_its_hash_as_it_was_added(accounts, different):
    acme = await accounts.add_organization(organization())
    key, key_hash = key_of(acme.id, **different)

    await accounts.add_key(key, key_hash)

    assert await accounts.known_key(key_hash) == KnownKey(key=key, hash=key_hash, organization_name="acme")
    assert await accounts.known_key(secret_hash("another")) is None


async def test_keys_are_listed_for_their_organisation_or_for_all(accounts):
    (one, one_hash), (two, two_hash) = key_of("a"), key_of("b", created_at=LATER)
    await accounts.add_key(two, two_hash)
    await accounts.add_key(one, one_hash)

    assert await accounts.keys("a") == [one]
    assert await accounts.keys(None) == [one, two]


async def test_a_key_that_was_made_is_never_forgotten(accounts):
    assert not await accounts.has_keys()
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    await accounts.expire_key(key.id, "a", at=NOON)

    assert await accounts.has_keys()


async def test_a_key_can_be_made_to_expire_but_never_to_live_longer(accounts):
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    first = await accounts.expire_key(key.id, "a", at=NOON)
    second = await accounts.expire_key(key.id, None, at=LATER)

    assert first == second == replace(key, expires_at=NOON)
    assert await accounts.keys("a") == [first]


async def test_another_organisations_key_cannot_be_ended_or_replaced(accounts):
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    assert await accounts.expire_key(key.id, "b", at=NOON) is None
    assert await accounts.replace_key(key.id, "b", _successor, now=NOON, until=NOON) is None
    assert await accounts.keys(None) == [key]


def _successor(old: ApiKey) -> tuple[ApiKey, bytes]:
    return replace(old, id="successor", created_at=LATER), b"hash of the successor"


async def test_a_key_is_replaced_in_one_step_and_stays_valid_for_a_while(accounts):
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    new = await accounts.replace_key(key.id, "a", _successor, now=NOON, until=LATER)

    assert new == replace(key, id="successor", created_at=LATER)
    assert await accounts.keys("a") == [replace(key, expires_at=LATER), new]


async def test_a_key_that_has_expired_has_no_successor(accounts):
    key, key_hash = key_of("a", expires_at=NOON)
    await accounts.add_key(key, key_hash)

    assert await accounts.replace_key(key.id, "a", _successor, now=NOON, until=LATER) is None
    assert await accounts.replace_key("none", "a", _successor, now=NOON, until=LATER) is None


async def test_what_fails_half_way_leaves_nothing(accounts):
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    def fail(old):
        raise KeyError(old.id)

    with pytest.raises(KeyError):
        await accounts.replace_key(key.id, "a", fail, now=NOON, until=NOON)

    assert await accounts.keys("a") == [key]


async def test_the_last_use_of_a_key_is_noted(accounts):
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    await accounts.note_use(key.id, LATER)

    assert await accounts.keys("a") == [replace(key, last_used_at=LATER)]


async def test_where_there_are_no_tables_yet_there_is_nothing(tmp_path):
    store = SqliteStore(tmp_path / "none.sqlite3", read_only=True)
    accounts = SqlAccounts(store)

    assert not await accounts.has_keys()
    assert (await accounts.organizations(), await accounts.projects("a"), await accounts.keys(None)) == ([], [], [])
    assert (await accounts.organization("default"), await accounts.known_key(b"")) == (None, None)
    await store.close()


async def test_a_use_that_is_told_of_late_does_not_hide_a_later_one(accounts):
    key, key_hash = key_of("a")
    await accounts.add_key(key, key_hash)

    await accounts.note_use(key.id, LATER)
    await accounts.note_use(key.id, NOON)

    assert (await accounts.keys("a"))[0].last_used_at == LATER
