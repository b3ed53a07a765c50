"""Who is let in, on accounts in a real store."""

import base64
from datetime import UTC, datetime

import pytest
from starlette.datastructures import Headers

from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.errors import Refused
from llm_proxy.model.account import Scope
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore

ADMIN_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(tmp_path / "store.sqlite3")
    await store.migrate()
    yield store
    await store.close()


@pytest.fixture
def accounts(store):
    return SqlAccounts(store)


@pytest.fixture
def gate(accounts):
    return Gate(accounts)


async def refusal(gate, headers, scope=Scope.READ, **others):
    with pytest.raises(Refused) as caught:
        await gate.admit(Headers(headers), scope, **others)
    return caught.value


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:8080", "proxy.localhost"])
async def test_without_keys_everything_is_open_under_the_name_of_this_machine(gate, host):
    principal = await gate.admit(Headers({"host": host, "x-log10-organization": "any"}), Scope.ADMIN)

    assert (principal.organization_id, principal.scopes) == ("default", frozenset(Scope))


@pytest.mark.parametrize("host", ["evil.test", "192.168.0.1", "localhost.evil.test", "127.0.0.1.evil.test", "", "[::1"])
async def test_without_keys_nothing_is_open_under_another_name(gate, host):
    assert (await refusal(gate, {"host": host})).code == "not_open"


async def test_a_page_of_another_site_is_not_let_in_without_a_key(gate):
    headers = {"host": "localhost:8080", "origin": "http://localhost:8080"}

    assert await gate.admit(Headers(headers), Scope.WRITE)
    for origin in ("http://evil.test", "null", "http://localhost:9"):
        assert (await refusal(gate, headers | {"origin": origin})).code == "foreign_origin"


async def test_what_is_open_by_choice_is_open_under_every_name(accounts):
    gate = Gate(accounts, is_open=True)

    assert await gate.admit(Headers({"host": "proxy.test"}), Scope.READ)


def basic(secret):
    return {"authorization": f"Basic {base64.b64encode(f'me:{secret}'.encode()).decode()}"}


@pytest.mark.parametrize(
    "sent",
    [
        lambda secret: {"authorization": f"Bearer {secret}"},
        lambda secret: {"authorization": f"bearer  {secret}"},
        lambda secret: {"x-log10-token": secret},
        lambda secret: {"x-maxim-api-key": secret},
        basic,
    ],
)
async def test_a_key_is_taken_from_the_header_of_any_of_the_apis(gate, store, sent):
    key = await added_key(store, "acme", "read")

    principal = await gate.admit(Headers(sent(key.secret)), Scope.READ)

    assert (principal.organization_id, principal.everywhere) == (key.organization_id, False)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "missing_key"),
        ({"host": "localhost"}, "missing_key"),
        ({"authorization": "Bearer "}, "missing_key"),
        ({"authorization": "Basic ####"}, "missing_key"),
        ({"authorization": "Digest x"}, "missing_key"),
        ({"authorization": "Bearer llmp_unknown"}, "invalid_key"),
        ({"x-log10-token": "llmp_\xff"}, "invalid_key"),
    ],
)
async def test_once_there_is_a_key_nobody_is_let_in_without_one(gate, store, headers, code):
    await added_key(store, "acme", "read")

    refused = await refusal(gate, headers)

    assert (refused.status, refused.code) == (401, code)


async def test_the_beginning_of_a_key_is_no_key(gate, store):
    key = await added_key(store, "acme", "read")

    assert await gate.admit(Headers(key.bearer), Scope.READ)
    for secret in (key.secret[:-1], key.secret[:20], f"{key.secret}x", key.secret.swapcase()):
        assert (await refusal(gate, {"x-log10-token": secret})).code == "invalid_key"


@pytest.mark.parametrize("scope", [Scope.WRITE, Scope.ADMIN, Scope.PROXY])
async def test_a_key_is_for_its_scopes_only(gate, store, scope):
    key = await added_key(store, "acme", "read")

    refused = await refusal(gate, key.bearer, scope)

    assert (refused.status, refused.code) == (403, "insufficient_scope")


async def test_another_organisation_is_refused_in_the_same_words_as_an_unknown_one(gate, store):
    key, other = await added_key(store, "acme", "read"), await added_key(store, "other", "read")
    named = [other.organization_id, "other", "default", "unknown"]

    refusals = [await refusal(gate, key.bearer | {"x-log10-organization": name}) for name in named]
    refusals += [await refusal(gate, key.bearer, organizations=[name]) for name in named]

    assert {(refused.status, refused.code) for refused in refusals} == {(403, "wrong_organization")}
    assert [str(refused) for refused in refusals] == [
        f"the key is not one of the organisation {name!r}" for name in named * 2
    ]


@pytest.mark.parametrize("header", ["X-Log10-Organization", "x-log10-organization-id"])
async def test_the_own_organisation_may_be_named_by_id_or_name(gate, store, header):
    key = await added_key(store, "acme", "read")

    for name in (key.organization_id, "acme"):
        assert await gate.admit(Headers(key.bearer | {header: name}), Scope.READ, organizations=[name])


async def test_a_revoked_key_is_out_at_once_where_it_is_known_and_elsewhere_within_seconds(accounts, gate, store):
    key = await added_key(store, "acme", "read")
    elsewhere = Gate(accounts, remembered_s=0)
    assert await gate.admit(Headers(key.bearer), Scope.READ)

    await accounts.expire_key(key.id, None, at=datetime.now(UTC))

    assert (await refusal(elsewhere, key.bearer)).code == "invalid_key"
    assert await gate.admit(Headers(key.bearer), Scope.READ)
    gate.forget()
    assert (await refusal(gate, key.bearer)).code == "invalid_key"


async def test_when_all_keys_are_revoked_nothing_opens_again(accounts, store):
    key = await added_key(store, "acme", "read")
    await accounts.expire_key(key.id, None, at=datetime.now(UTC))

    assert (await refusal(Gate(accounts), {"host": "localhost"})).code == "missing_key"


async def test_the_first_key_closes_what_was_open(accounts, store):
    gate = Gate(accounts, remembered_s=0)
    assert await gate.admit(Headers({"host": "localhost"}), Scope.READ)

    await added_key(store, "acme", "read")

    assert (await refusal(gate, {"host": "localhost"})).code == "missing_key"


async def test_the_last_use_is_noted_once_a_minute_at_most(accounts, gate, store):
    key = await added_key(store, "acme", "read")

    await gate.admit(Headers(key.bearer), Scope.READ)
    first = (await accounts.keys(None))[0].last_used_at
    await gate.admit(Headers(key.bearer), Scope.READ)
    second = (await accounts.keys(None))[0].last_used_at

    assert first is not None
    assert first == second


async def test_a_key_opens_although_its_use_cannot_be_noted(store, tmp_path):
    key = await added_key(store, "acme", "read")
    looking = SqliteStore(tmp_path / "store.sqlite3", read_only=True)

    assert await Gate(SqlAccounts(looking)).admit(Headers(key.bearer), Scope.READ)
    await looking.close()


async def test_the_key_of_who_runs_the_proxy_opens_every_organisation_that_there_is(accounts, store):
    acme = await added_key(store, "acme", "read")
    gate, headers = Gate(accounts, admin_key=ADMIN_KEY), {"authorization": f"Bearer {ADMIN_KEY}"}

    default = await gate.admit(Headers(headers), Scope.ADMIN)
    there = await gate.admit(Headers(headers | {"x-log10-organization": "acme"}), Scope.WRITE)

    assert (default.organization_id, there.organization_id) == ("default", acme.organization_id)
    assert default.everywhere
    assert (await refusal(gate, headers | {"x-log10-organization": "none"})).code == "wrong_organization"


async def test_with_a_key_of_who_runs_the_proxy_nothing_is_open(accounts):
    gate = Gate(accounts, admin_key=ADMIN_KEY)

    assert (await refusal(gate, {"host": "localhost"})).code == "missing_key"
    assert (await refusal(gate, {"x-log10-token": ADMIN_KEY[:-1]})).code == "invalid_key"
