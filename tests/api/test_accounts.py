"""Keys and what they belong to over HTTP, on accounts in a real store."""

import httpx
import pytest
from starlette.applications import Starlette

from empty_stores import empty_store
from keyring import added_key
from llm_proxy.api import query
from llm_proxy.api.accounts import table
from llm_proxy.api.auth import Gate
from llm_proxy.api.resource import routes
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sqlite import SqliteStore

ADMIN = {"authorization": "Bearer 0123456789abcdef0123456789abcdef"}


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    yield store
    await store.close()


@pytest.fixture
async def client(store):
    accounts = SqlAccounts(store)
    gate = Gate(accounts, admin_key=ADMIN["authorization"].removeprefix("Bearer "))
    transport = httpx.ASGITransport(Starlette(routes=routes(gate, table(accounts, gate), query.table(store))))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


def of(key):
    return {"authorization": f"Bearer {key}"}


async def made(client, path, body, *, headers=ADMIN, **named):
    answer = await client.post(f"/api/v1/{path}", json=body, headers=headers, params=named)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def test_a_key_is_made_used_rotated_and_revoked(client):
    acme = await made(client, "organizations", {"name": "acme"})
    project = await made(client, "projects", {"name": "search"}, organization_id=acme["id"])

    key = await made(
        client,
        "keys",
        {"scopes": ["read"], "label": "the dashboard", "project_id": project["id"]},
        organization_id="acme",
    )
    assert (await client.get("/api/v1/completions", headers=of(key["key"]))).status_code == 200
    new = await made(client, f"keys/{key['id']}/rotate", {"grace_s": 60}, organization_id="acme")
    both = [(await client.get("/api/v1/completions", headers=of(one["key"]))).status_code for one in (key, new)]
    for one in (key, new):
        await client.delete(f"/api/v1/keys/{one['id']}", headers=ADMIN, params={"organization_id": "acme"})
    after = [(await client.get("/api/v1/completions", headers=of(one["key"]))).status_code for one in (key, new)]

    assert (key["organization_id"], key["project_id"], key["label"]) == (acme["id"], project["id"], "the dashboard")
    assert (new["scopes"], new["project_id"], new["label"]) == (["read"], project["id"], "the dashboard")
    assert (both, after) == ([200, 200], [401, 401])


async def test_a_key_without_grace_ends_when_its_successor_begins(client):
    key = await made(client, "keys", {"scopes": ["read"]})

    new = await made(client, f"keys/{key['id']}/rotate", None)

    assert (await client.get("/api/v1/completions", headers=of(key["key"]))).status_code == 401
    assert (await client.get("/api/v1/completions", headers=of(new["key"]))).status_code == 200


async def test_a_list_never_shows_a_key(client):
    key = await made(client, "keys", {"scopes": ["read", "write"]})

    (listed,) = (await client.get("/api/v1/keys", headers=ADMIN)).json()["keys"]

    assert listed == {name: value for name, value in key.items() if name != "key"}
    assert key["key"] not in (await client.get("/api/v1/keys", headers=ADMIN)).text


async def test_making_a_name_twice_is_making_it_once(client):
    first = await made(client, "organizations", {"name": "acme"})

    assert await made(client, "organizations", {"name": " acme "}) == first
    assert await made(client, "projects", {"name": "p"}) == await made(client, "projects", {"name": "p"})


async def test_an_admin_of_an_organisation_sees_and_changes_only_what_is_its_own(client, store):
    ours, theirs = await added_key(store, "acme", "admin"), await added_key(store, "other", "read,admin")
    their_project = await made(client, "projects", {"name": "p"}, headers=theirs.bearer)

    organizations = (await client.get("/api/v1/organizations", headers=ours.bearer)).json()["organizations"]
    keys = (await client.get("/api/v1/keys", headers=ours.bearer)).json()["keys"]
    projects = (await client.get("/api/v1/projects", headers=ours.bearer)).json()["projects"]
    elsewhere = ours.bearer | {"x-log10-organization": "other"}
    of_their_project = {"scopes": ["read"], "project_id": their_project["id"]}
    refused = [
        await client.post("/api/v1/organizations", json={"name": "third"}, headers=ours.bearer),
        await client.post("/api/v1/keys", json={"scopes": ["read"]}, headers=elsewhere),
        await client.post("/api/v1/keys", json=of_their_project, headers=ours.bearer),
    ]

    assert [one["name"] for one in organizations] == ["acme"]
    assert [one["id"] for one in keys] == [ours.id]
    assert projects == []
    assert [answer.status_code for answer in refused] == [403, 403, 400]
    for path, send in (("", client.delete), ("/rotate", client.post)):
        answers = [await send(f"/api/v1/keys/{one}{path}", headers=ours.bearer) for one in (theirs.id, "none")]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].text.replace(theirs.id, "none") == answers[1].text
    assert (await client.get("/api/v1/completions", headers=theirs.bearer)).status_code == 200


async def test_a_key_without_the_scope_manages_nothing(client, store):
    key = await added_key(store, "acme", "read,write,proxy")

    for method, path in [("GET", "keys"), ("POST", "keys"), ("POST", "organizations"), ("DELETE", f"keys/{key.id}")]:
        answer = await client.request(method, f"/api/v1/{path}", headers=key.bearer)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("path", "body", "param", "message"),
    [
        ("organizations", {}, "name", "name must be a string"),
        ("organizations", {"name": "a\nb"}, "name", "name: must be visible text of one line"),
        ("projects", {"name": 1}, "name", "name must be a string"),
        ("projects", {"nme": "x"}, "nme", "nme is no member; there are name"),
        ("keys", {}, "scopes", "scopes must be a list of proxy, write, read, admin"),
        ("keys", {"scopes": "read"}, "scopes", "scopes must be a list"),
        ("keys", {"scopes": []}, "scopes", "is no scope"),
        ("keys", {"scopes": ["all"]}, "scopes", "scopes: 'all' is no scope"),
        ("keys", {"scopes": ["read"], "label": ""}, "label", "label: must be visible"),
        ("keys", {"scopes": ["read"], "project_id": []}, "project_id", "there is no project"),
        ("keys/x/rotate", {"grace_s": -1}, "grace_s", "grace_s must be a number from 0 to"),
        ("keys/x/rotate", {"grace_s": True}, "grace_s", "grace_s must be a number"),
        ("keys", [], None, "the body must be a JSON object"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_named(client, path, body, param, message):
    answer = await client.post(f"/api/v1/{path}", json=body, headers=ADMIN)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert message in answer.json()["error"]["message"]


async def test_a_key_that_relays_calls_keeps_the_terms_that_it_was_made_on(client):
    terms = {"models": ["gpt-4o*"], "requests_per_minute": 60, "usd_per_day": "5"}

    key = await made(client, "keys", {"scopes": ["proxy"], "terms": terms})
    successor = await made(client, f"keys/{key['id']}/rotate", {})

    listed = (await client.get("/api/v1/keys", headers=ADMIN)).json()["keys"]
    assert [one["terms"] for one in listed] == [terms, terms]
    assert key["terms"] == successor["terms"] == terms


@pytest.mark.parametrize(
    ("scopes", "terms", "said"),
    [
        (["proxy"], {"budget": 1}, "budget is no member"),
        (["proxy"], {"concurrent": 0}, "concurrent must be"),
        (["proxy"], [], "must be an object"),
        (["read"], {"concurrent": 1}, "scope proxy"),
    ],
)
async def test_terms_that_make_no_sense_are_refused_and_named(client, scopes, terms, said):
    answer = await client.post("/api/v1/keys", json={"scopes": scopes, "terms": terms}, headers=ADMIN)

    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "terms"
    assert said in answer.json()["error"]["message"]


async def test_a_key_of_a_project_manages_the_keys_of_that_project(client, store):
    owner = await added_key(store, "acme", "admin")
    mine, other = [await made(client, "projects", {"name": name}, headers=owner.bearer) for name in ("mine", "other")]
    admin = await added_key(store, "acme", "admin", project_id=mine["id"])
    theirs = await added_key(store, "acme", "admin", project_id=other["id"])

    new = await made(client, "keys", {"scopes": ["read"]}, headers=admin.bearer)
    keys = (await client.get("/api/v1/keys", headers=admin.bearer)).json()["keys"]
    projects = (await client.get("/api/v1/projects", headers=admin.bearer)).json()["projects"]
    not_his = [
        await client.post("/api/v1/keys", json={"scopes": ["read"], "project_id": other["id"]}, headers=admin.bearer),
        await client.post(f"/api/v1/keys/{theirs.id}/rotate", headers=admin.bearer),
        await client.delete(f"/api/v1/keys/{theirs.id}", headers=admin.bearer),
        await client.delete(f"/api/v1/keys/{owner.id}", headers=admin.bearer),
        await client.post("/api/v1/projects", json={"name": "third"}, headers=admin.bearer),
    ]
    removed = await client.delete(f"/api/v1/keys/{new['id']}", headers=admin.bearer)

    assert new["project_id"] == mine["id"]
    assert {one["id"] for one in keys} == {admin.id, new["id"]}
    assert projects == [mine]
    assert [one.status_code for one in not_his] == [400, 404, 404, 404, 403]
    assert removed.status_code == 200
    assert [one.expires_at for one in await SqlAccounts(store).keys(owner.organization_id)].count(None) == 3
