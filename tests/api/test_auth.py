"""Who is let in, on accounts in a real store."""

import base64
import re
from datetime import UTC, datetime

import httpx
import pytest
from msgspec.structs import replace
from starlette.applications import Starlette
from starlette.datastructures import Headers

from empty_stores import empty_store
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.errors import Refused
from llm_proxy.model.account import Project, Scope
from llm_proxy.model.completion import Context
from llm_proxy.model.feedback import Feedback, FeedbackTask
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_feedback import SqlFeedback
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.store import _routes
from records import record

ADMIN_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def store(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
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


#: What another organisation has; every one of these begins so, but for ids that are made here.
MARK = "theirs-"
#: Of everything that is served, by the parameter of its path.
NAMES = {"session_id": f"{MARK}session", "trace_id": f"{MARK}trace", "user_id": f"{MARK}user", "tag": f"{MARK}tag"}
CALL = {"organization_id": "ours", "status": "finished", "kind": "chat", "tags": ["ours"]}
#: What is sent where something must be sent, with the ids that stand in it.
BODIES = {
    "/api/v1/completions": lambda ids: {**CALL, "id": ids["completion_id"]},
    "/api/v1/completions/{completion_id}": lambda ids: CALL,
    "/api/completions/{completion_id}": lambda ids: CALL,
    "/api/v1/feedback": lambda ids: {
        "task_id": ids["task_id"],
        "json_values": {},
        "completion_ids": [ids["completion_id"]],
    },
    "/api/v1/keys": lambda ids: {"scopes": ["read"], "project_id": ids["project_id"]},
}


#: Ids of calls are chosen by callers, and are those of the organisation: that one is taken shows.
SHARED_IDS = {
    ("POST", "/api/v1/completions"),
    ("POST", "/api/v1/completions/{completion_id}"),
    ("POST", "/api/completions/{completion_id}"),
}


@pytest.mark.parametrize("apart", ["organisation", "project"])
async def test_no_endpoint_tells_or_changes_anything_of_another_one(store, tmp_path, apart):
    data = DataDir(tmp_path)
    data.prepare()
    paths = [route for route in _routes(Settings(data_dir=tmp_path), store) if hasattr(route.app, "_methods")]
    served = [(method, route.path) for route in paths for method in route.app._methods if method != "HEAD"]
    theirs, ours = (
        await added_key(store, "theirs", "read,write,admin"),
        await added_key(store, "ours", "read,write,admin")
        if apart == "organisation"
        else await added_key(store, "theirs", "read,write,admin", project_id="our-project"),
    )
    ids = await their_ids(store, theirs)
    before = await their_things(store, theirs, ids)
    unknown = {name: f"unknown-{name}" for name in ids}
    seen = 0
    transport = httpx.ASGITransport(Starlette(routes=paths))

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=ours.bearer) as client:
        # Reading goes first: what is written under these ids is ours then.
        for method, path in sorted(served, key=lambda one: one[0] != "GET"):
            answers = [await asked(client, path, method, names) for names in (ids, unknown)]
            (their_status, their_text), (unknown_status, unknown_text) = answers
            if apart == "organisation" or (method, path) not in SHARED_IDS:
                assert (their_status, without(their_text, ids)) == (unknown_status, without(unknown_text, unknown)), (
                    path
                )
            assert MARK not in without(their_text, ids), path
            seen += 1

    assert seen > 30
    assert await their_things(store, theirs, ids) == before


async def test_a_key_of_a_project_sees_and_changes_what_is_its(store, tmp_path):
    data = DataDir(tmp_path)
    data.prepare()
    ours = await added_key(store, "acme", "read,write,admin", project_id="our-project")
    owner = {"organization_id": ours.organization_id}
    about = Context(session_id="s", trace_id="t", user_id="u", tags=("a",))
    await store.put(
        [
            record(id="ours", project_id="our-project", context=about, **owner),
            record(id="theirs", project_id="their-project", context=replace(about, tags=("a", "apart")), **owner),
            record(id="nobodys", project_id=None, context=about, **owner),
        ]
    )
    transport = httpx.ASGITransport(Starlette(routes=_routes(Settings(data_dir=tmp_path), store)))

    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=ours.bearer) as client:

        async def found(path):
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            return answer.json()

        made = await client.post("/api/v1/completions", json={**CALL, "organization_id": ours.organization_id})
        lists = [(await found(path))["completions"] for path in ("/api/v1/completions", "/api/v1/sessions/s")]
        sessions = (await found("/api/v1/sessions"))["sessions"]
        spent = (await found("/api/v1/spend?by=model&since=2020-01-01"))["spend"]
        listed = (await found("/api/completions"))["data"]
        tags = (await found("/api/v1/tags?prefix=a"))["tags"]
        named = (await found("/api/tags/search?query=a"))["data"]
        page = await client.get("/")
        tagged = await client.patch("/api/v1/completions/ours", json={"tags": ["b"]})
        removed = await client.delete("/api/v1/sessions/s")

    assert made.status_code == 201
    assert {one["id"] for one in lists[0]} == {"ours", made.json()["id"]}
    assert [one["id"] for one in lists[1]] == ["ours"]
    assert [one["calls"] for one in sessions] == [1]
    assert sum(one["calls"] for one in spent) == 2
    assert {one["id"] for one in listed} == {"ours", made.json()["id"]}
    assert [(one["tag"], one["calls"]) for one in tags] == [("a", 1)]
    assert [one["name"] for one in named] == ["a"]
    assert page.status_code == 200
    assert "/calls/ours" in page.text
    assert tagged.json()["tags"] == ["b"]
    assert removed.json()["removed"]["rows"] == 1
    assert await store.get("theirs", ours.organization_id) is not None


async def their_ids(store, theirs):
    """The ids of one thing of each kind, by the parameter that they are."""
    organization_id, now = theirs.organization_id, datetime.now(UTC)
    context = Context(
        tags=(NAMES["tag"],), session_id=NAMES["session_id"], user_id=NAMES["user_id"], trace_id=NAMES["trace_id"]
    )
    call = record(id=f"{MARK}call", organization_id=organization_id, context=context, preview=f"{MARK}preview")
    await store.put([call])
    feedback, accounts = SqlFeedback(store), SqlAccounts(store)
    task = FeedbackTask(
        id=f"{MARK}task", organization_id=organization_id, created_at=now, name=f"{MARK}name", json_schema={}
    )
    await feedback.add_task(task)
    given = Feedback(
        id=f"{MARK}feedback",
        organization_id=organization_id,
        created_at=now,
        task_id=task.id,
        json_values={},
        completion_ids=(call.id,),
    )
    await feedback.add(given)
    project = Project(id=f"{MARK}project", organization_id=organization_id, name=f"{MARK}project", created_at=now)
    await accounts.add_project(project)
    known = {"completion_id": call.id, "task_id": task.id, "feedback_id": given.id, "project_id": project.id}
    return {**NAMES, **known, "key_id": theirs.id}


async def their_things(store, theirs, ids):
    feedback, accounts = SqlFeedback(store), SqlAccounts(store)
    return [
        await store.get(ids["completion_id"], theirs.organization_id),
        await feedback.task(theirs.organization_id, ids["task_id"]),
        await feedback.get(theirs.organization_id, ids["feedback_id"]),
        await accounts.projects(theirs.organization_id),
        [(one.id, one.expires_at) for one in await accounts.keys(theirs.organization_id)],
    ]


async def asked(client, path, method, ids):
    named = re.sub(r"\{(\w+)(:\w+)?\}", lambda match: ids.get(match[1], ids["completion_id"]), path)
    body = BODIES.get(path, lambda ids: {})(ids) if method != "GET" else None
    answer = await client.request(method, named, json=body)
    assert answer.status_code < 500, (method, named, answer.text)
    return answer.status_code, answer.text


def without(text, ids):
    """A text but for these ids, and for what is made anew for every answer."""
    for one in sorted(ids.values(), key=len, reverse=True):
        text = text.replace(one, "ID")
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "NEW", text)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?|llmp_[\w…-]+", "NEW", text)
