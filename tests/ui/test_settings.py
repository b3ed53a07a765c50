"""The settings on a page, from a real store and in a browser."""

import re
from datetime import UTC, datetime

import httpx
import pytest
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, in_browser
from grading import post
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.login import COOKIE, Logins
from llm_proxy.attribution.context import attribute
from llm_proxy.model.account import Scope, secret_hash
from llm_proxy.model.completion import Status
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_logins import SqlLogins
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.ui.access import Access
from llm_proxy.ui.pages import routes
from llm_proxy.ui.settings import House, ShownUpstream, table
from llm_proxy.wiring.passage import passage
from reading import ATTACKS, HOSTILE, read
from records import record

ADMIN_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def logins(store):
    return Logins(b"secret", SqlLogins(store))


@pytest.fixture
def app(store, logins, tmp_path):
    gate = Gate(SqlAccounts(store), admin_key=ADMIN_KEY, remembered_s=60)
    return app_behind(gate, store, logins, tmp_path)


def app_behind(gate, store, logins, tmp_path):
    house = House(
        accounts=SqlAccounts(store),
        statistics=SqlSeries(store),
        upstreams=(ShownUpstream(name="default", base_url="https://a.example/v1", provider="openai", has_key=False),),
        left_alone=lambda: {"default": 1, "other": 1},
        forget=gate.forget,
        keep_in=Access(logins, gate.holder, link=tmp_path / "link").keep_in,
        attribute=lambda headers: attribute(tuple(headers), None, None),
        passage=passage,
    )
    return Starlette(routes=routes(store, gate.admit, table(house)))


def client_of(app, secret):
    headers = {"authorization": f"Bearer {secret}"}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test", headers=headers)


@pytest.fixture
async def operator(app):
    async with client_of(app, ADMIN_KEY) as client:
        yield client


async def test_a_key_is_made_and_shown_once_rotated_and_revoked(operator, app, store):
    made = await post(operator, "/settings/keys", label="ci", scope="read")
    secret = re.search(r"llmp_[\w-]{40,}", made.text)[0]
    again = (await read(operator, "/settings", authorization=f"Bearer {ADMIN_KEY}")).text
    async with client_of(app, secret) as client:
        assert (await client.get("/")).status_code == 200
        [key] = await SqlAccounts(store).keys("default")

        rotated = await post(operator, "/settings/keys/rotate", id=key.id, grace="1h")
        assert (await client.get("/")).status_code == 200
        revoked = await post(operator, "/settings/keys/revoke", id=key.id)
        assert (await client.get("/")).status_code == 401

    assert secret not in again
    assert (key.label, key.scopes) == ("ci", {Scope.READ})
    successor = re.search(r"llmp_[\w-]{40,}", rotated.text)[0]
    assert await SqlAccounts(store).known_key(secret_hash(successor)) is not None
    assert "opens nothing any more" in revoked.text


async def test_a_key_for_calls_is_made_with_its_terms_which_are_listed(operator, store):
    made = await post(operator, "/settings/keys", label="ci", scope="proxy", models="gpt-*", usd_per_day="5")
    refused = await post(operator, "/settings/keys", label="ci", scope="read", models="gpt-*")

    [key] = await SqlAccounts(store).keys("default")
    assert (key.terms.models, key.terms.usd_per_day) == (("gpt-*",), 5)
    assert "models gpt-* · 5 USD a day" in made.text
    assert refused.status_code == 422
    assert "only a key of the scope proxy" in refused.text


async def test_headers_that_are_pasted_are_told_with_what_goes_on_and_what_is_recorded(operator):
    shown = await post(
        operator, "/settings/headers", headers="X-LLM-Tags: a\nX-<b>: 1\nAuthorization: Bearer sk-12345678"
    )

    assert "<td><code>X-LLM-Tags</code></td><td>no</td><td>name and value</td>" in shown.text
    assert "X-&lt;b&gt;" in shown.text
    assert "fingerprint of the key" in shown.text


async def test_who_makes_the_first_key_stays_in(store, logins, tmp_path):
    gate = Gate(SqlAccounts(store), is_open=True, remembered_s=60, logins=logins)
    transport = httpx.ASGITransport(app_behind(gate, store, logins, tmp_path))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test") as client:
        made = await post(client, "/settings/keys", label="ci", scope="read")
        shown = await client.get("/settings")
        again = await post(client, "/settings/keys", label="second", scope="read")
        async with httpx.AsyncClient(transport=transport, base_url="http://proxy.test") as stranger:
            turned_away = await stranger.get("/settings")

    assert COOKIE in made.cookies
    assert "Log out" in made.text
    assert shown.status_code == 200
    assert (again.status_code, COOKIE in again.cookies) == (200, False)
    assert turned_away.status_code == 401


@pytest.mark.parametrize(
    ("path", "fields", "fault"),
    [
        ("keys", {"label": "x"}, "is no scope"),
        ("keys", {"label": "x", "scope": "root"}, "is no scope"),
        ("keys", {"label": "\x07", "scope": "read"}, "visible text"),
        ("keys", {"scope": "read", "project": "none"}, "no such project"),
        ("keys/revoke", {"id": "none"}, "no such key"),
        ("keys/rotate", {"id": "none"}, "no such key"),
        ("keys/rotate", {"id": "none", "grace": "1y"}, "can go on"),
        ("projects", {"name": ""}, "the name must be"),
        ("headers", {"headers": "nothing"}, "a line each"),
    ],
)
async def test_what_cannot_be_done_is_said(operator, path, fields, fault):
    refused = await post(operator, f"/settings/{path}", **fields)

    assert refused.status_code == 422
    assert fault in refused.text


async def test_an_organisation_manages_itself_alone(app, store):
    key = await added_key(store, "acme", "admin")
    other = await added_key(store, "other", "read")
    async with client_of(app, key.secret) as client:
        project = await post(client, "/settings/projects", name="web")
        organization = await post(client, "/settings/organizations", name="mine")
        shown = (await client.get("/settings")).text

        assert "There is the project web" in project.text
        assert organization.status_code == 422
        assert "other" not in re.findall(r'class="button" href="/settings[^>]*>([^<]*)<', shown)
        assert (await client.get(f"/settings?organization={other.organization_id}")).status_code == 403
        assert (await post(client, "/settings/keys/revoke", id=other.id)).status_code == 422
    async with client_of(app, other.secret) as client:
        assert (await client.get("/settings")).status_code == 403


async def test_who_runs_the_proxy_manages_every_organisation(operator, store):
    await post(operator, "/settings/organizations", name="acme")
    acme = await SqlAccounts(store).organization("acme")

    made = await post(operator, f"/settings/keys?organization={acme.id}", scope="read")

    assert made.status_code == 200
    assert len(await SqlAccounts(store).keys(acme.id)) == 1


async def test_upstreams_are_shown_as_loaded_with_what_they_did_lately(operator, store):
    now = datetime.now(UTC)
    await store.put([record(started_at=now, bodies=None), record(started_at=now, status=Status.FAILED, bodies=None)])

    text = (await read(operator, "/settings", authorization=f"Bearer {ADMIN_KEY}")).text

    assert "https://a.example/v1" in text
    assert "bad 2 calls, 1 failed" in text
    assert text.count("left alone for now") == 1


async def test_what_headers_say_is_derived_as_the_proxy_does(operator):
    pasted = "> X-LLM-Tags: nightly, ci\r\nHelicone-Session-Id: run-42\nX-LLM-User-Id: <b>u</b>\n"

    text = (await post(operator, "/settings/headers", headers=pasted)).text

    assert "nightly, ci" in text
    assert "run-42" in text
    assert "&lt;b&gt;u&lt;/b&gt;" in text


async def test_nothing_in_a_name_becomes_anything_but_text(operator):
    name = "".join(filter(str.isprintable, HOSTILE))
    for path in ("organizations", "projects"):
        await post(operator, f"/settings/{path}", name=name)
    await post(operator, "/settings/keys", label=name, scope="read")

    page = await read(operator, "/settings", authorization=f"Bearer {ADMIN_KEY}")

    assert "b" not in {tag for tag, _ in page.elements}
    assert page.text.count("{{ 7*7 }}") >= 3


@in_browser
async def test_everybody_can_use_the_settings(browser, page, stand):
    await page.goto("/settings")
    await page.get_by_label("Name of a new project").fill("web")
    await page.get_by_label("Name of a new project").press("Enter")
    await expect(page.get_by_text("There is the project web")).to_be_visible()
    await page.get_by_label("Headers of a request").fill("X-LLM-Tags: by-hand")
    await page.get_by_role("button", name="Derive").click()
    await expect(page.get_by_text("by-hand").last).to_be_visible()

    await check_usable(browser, stand.url, ["/settings"])


@in_browser
async def test_in_a_browser_nothing_runs_that_others_have_named_or_that_is_pasted(page, stand):
    here = {"origin": stand.url}
    for attack in ATTACKS[::2]:
        for path in ("organizations", "projects"):
            made = await page.request.post(f"/settings/{path}", form={"name": attack[:200]}, headers=here)
            assert made.status in (200, 422)
    await page.goto("/settings")
    await expect(page.get_by_role("heading", name="Settings")).to_be_visible()

    await page.locator("#headers").fill("\n".join(f"X-LLM-Tags: {attack}\n{attack}: x" for attack in ATTACKS[::2]))
    await page.get_by_role("button", name="Derive").click()

    await expect(page.get_by_role("columnheader", name="On record")).to_be_visible()
