"""Logging in and out, from a real store, and in a browser before a product that has keys."""

import re
from urllib.parse import urlencode

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect
from sqlalchemy.schema import DropTable
from starlette.applications import Starlette

from browsing import hindrances, in_browser, watched
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.login import COOKIE, Logins
from llm_proxy.api.login_link import issue
from llm_proxy.model.account import Scope
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_logins import SqlLogins, ended_logins
from llm_proxy.ui.access import Access
from llm_proxy.ui.pages import routes
from llm_proxy.ui.room import changes, go_to, looks
from reading import ATTACKS
from records import record
from running import serve

ADMIN_KEY = "0123456789abcdef0123456789abcdef"
HERE = {"origin": "http://proxy.test:9000"}


async def _done(request, principal):
    return go_to("/")


@pytest.fixture
async def client(store, tmp_path):
    """Pages that somebody may change something on, at ``/grade`` and ``/settings``."""
    logins = Logins(b"secret", SqlLogins(store), admin_key=ADMIN_KEY, remembered_s=0)
    gate = Gate(SqlAccounts(store), admin_key=ADMIN_KEY, remembered_s=0, logins=logins)
    table = {"/grade": changes(_done), "/settings": looks(_done, Scope.ADMIN)}
    access = Access(logins, gate.holder, link=tmp_path / "link")
    app = Starlette(routes=routes(store, gate.admit, table, access=access))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test:9000") as client:
        yield client


async def log_in(client, key, leads_to="/", **headers):
    return await client.post("/login", data={"key": key, "next": leads_to}, headers=HERE | headers)


async def test_a_key_logs_in_and_leads_to_the_page_that_was_wanted(client, store):
    key = await added_key(store, "acme", "read")
    await store.put([record(id="ours", organization_id=key.organization_id), record(id="theirs")])

    asked = await client.get("/?q=status:finished")
    welcomed = await log_in(client, key.secret, "/?q=status:finished")
    shown = await client.get("/")

    assert asked.status_code == 401
    assert 'value="/?q=status:finished"' in asked.text
    assert (welcomed.status_code, welcomed.headers["location"]) == (303, "/?q=status:finished")
    assert "/calls/ours" in shown.text
    assert "theirs" not in shown.text
    assert key.secret not in str(client.cookies)


async def test_the_cookie_is_for_this_site_and_no_script(client, store):
    key = await added_key(store, "acme", "read")

    plain = (await log_in(client, key.secret)).headers["set-cookie"]
    behind_tls = (await log_in(client, key.secret, **{"x-forwarded-proto": "https"})).headers["set-cookie"]

    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=43200"} <= set(plain.split("; "))
    assert "Secure" not in plain
    assert "Secure" in behind_tls.split("; ")


async def test_a_login_ends_with_its_key(client, store):
    key = await added_key(store, "acme", "read")
    await log_in(client, key.secret)
    assert (await client.get("/")).status_code == 200

    accounts = SqlAccounts(store)
    [kept] = await accounts.keys(key.organization_id)
    await accounts.expire_key(key.id, key.organization_id, at=kept.created_at)

    assert (await client.get("/")).status_code == 401


async def test_who_logs_out_has_to_log_in_again(client, store):
    key = await added_key(store, "acme", "read")
    await log_in(client, key.secret)

    left = await client.post("/logout", headers=HERE)

    assert (left.status_code, left.headers["location"]) == (303, "/login")
    assert COOKIE not in client.cookies
    assert (await client.get("/")).status_code == 401


async def test_logging_out_ends_every_copy_of_the_cookie_and_no_other_login(client, store):
    key = await added_key(store, "acme", "read")
    await log_in(client, key.secret)
    copied = {"cookie": f"{COOKIE}={client.cookies[COOKIE]}"}
    client.cookies.clear()
    await log_in(client, key.secret)
    second = dict(client.cookies)
    client.cookies.clear()

    await client.post("/logout", headers=HERE | copied)

    assert (await client.get("/", headers=copied)).status_code == 401
    client.cookies.update(second)
    assert (await client.get("/")).status_code == 200


async def test_while_the_store_is_away_nobody_is_told_that_he_is_logged_out(client, store):
    key = await added_key(store, "acme", "read")
    await log_in(client, key.secret)
    await store.writing(lambda connection: connection.execute(DropTable(ended_logins)))

    left = await client.post("/logout", headers=HERE)

    assert left.status_code == 503
    assert COOKIE in client.cookies


@pytest.mark.parametrize("leads_to", ["//evil.test", "/\\evil.test", "https://evil.test", "evil", "/x\r\ny", ""])
async def test_logging_in_leads_to_no_other_site(client, leads_to):
    assert (await log_in(client, ADMIN_KEY, leads_to)).headers["location"] == "/"


async def test_a_wrong_key_and_one_that_is_not_for_looking_are_told_so(client, store):
    key = await added_key(store, "acme", "write")

    wrong, not_for_looking = await log_in(client, "llmp_wrong"), await log_in(client, key.secret)

    assert (wrong.status_code, not_for_looking.status_code) == (401, 403)
    assert "unknown or no longer valid" in wrong.text
    assert "it has no scope read" in not_for_looking.text
    assert COOKIE not in client.cookies


@pytest.mark.parametrize(
    ("scopes", "may_grade", "may_set"),
    [("read", False, False), ("read,write", True, False), ("read,admin", False, True)],
)
async def test_what_one_may_do_is_what_the_key_is_for(client, store, scopes, may_grade, may_set):
    key = await added_key(store, "acme", scopes)
    await log_in(client, key.secret)

    graded, set_up = await client.post("/grade", headers=HERE), await client.get("/settings")

    assert (graded.status_code == 303, graded.status_code == 403) == (may_grade, not may_grade)
    assert (set_up.status_code == 303, set_up.status_code == 403) == (may_set, not may_set)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "origin": "http://proxy.test:9000"},
    ],
)
async def test_another_sites_page_changes_nothing(client, headers):
    await log_in(client, ADMIN_KEY)

    by_cookie = await client.post("/grade", headers=headers)
    logged_out = await client.post("/logout", headers=headers)

    assert by_cookie.status_code == 403
    assert (logged_out.status_code == 403) == bool(headers)


async def test_another_sites_page_logs_nobody_in(client):
    answer = await log_in(client, ADMIN_KEY, origin="http://evil.test")

    assert answer.status_code == 403
    assert COOKIE not in client.cookies


async def test_a_key_as_the_password_opens_pages_too_and_changes_nothing_for_others(client):
    by_hand = {"auth": ("anybody", ADMIN_KEY)}

    assert (await client.get("/", **by_hand)).status_code == 200
    assert (await client.post("/grade", **by_hand)).status_code == 303
    assert (await client.post("/grade", headers={"origin": "http://evil.test"}, **by_hand)).status_code == 403


async def test_the_link_of_the_start_logs_in_once(client, tmp_path):
    token = issue(tmp_path / "link")

    looked_at = await client.head(f"/login?once={token}")
    welcomed = await client.get(f"/login?once={token}")
    shown = await client.get("/settings")
    client.cookies.clear()
    again = await client.get(f"/login?once={token}")

    assert (looked_at.status_code, COOKIE in looked_at.cookies) == (403, False)
    assert (welcomed.status_code, welcomed.headers["location"]) == (303, "/")
    assert shown.status_code == 303
    assert again.status_code == 403
    assert "used already" in again.text


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def guarded(tmp_path_factory):
    """A product with the key of who runs it."""
    there = tmp_path_factory.mktemp("guarded")
    async with serve(there, "http://127.0.0.1:9/v1", env={"LLM_PROXY_ADMIN_KEY": ADMIN_KEY}) as product:
        yield product


@in_browser
async def test_in_a_browser_the_printed_link_logs_in_and_a_key_does_again(browser, guarded):
    link = re.search(r"http://\S+/login\?once=\S+", guarded.printed())[0]
    async with watched(browser, base_url=guarded.url) as page:
        await page.goto(link)
        await expect(page.get_by_role("heading", name="Calls", exact=True)).to_be_visible()
        json = await page.request.get("/api/v1/completions")
        assert json.status == 200
        await page.get_by_role("button", name="Log out").click()
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert (await page.request.get("/api/v1/completions")).status == 401

        await page.goto("/?q=tag:x")
        await page.keyboard.type("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("unknown or no longer valid")).to_be_visible()
        await page.get_by_label("Key", exact=True).fill(ADMIN_KEY)
        await page.keyboard.press("Enter")

        await page.wait_for_url(re.compile(r"/\?q=tag:x$"))
        await expect(page.locator("#filter")).to_have_value("tag:x")


@pytest.mark.parametrize("theme", ["light", "dark"])
@in_browser
async def test_everybody_can_log_in(browser, guarded, theme):
    options = {"base_url": guarded.url, "color_scheme": theme, "viewport": {"width": 400, "height": 900}}
    async with watched(browser, **options) as page:
        await page.goto("/")
        assert await hindrances(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 400


@in_browser
async def test_nothing_runs_that_is_in_an_address_or_was_typed_in(browser, guarded):
    async with watched(browser, base_url=guarded.url) as page:
        for attack in ATTACKS[::4]:
            await page.goto(f"/login?{urlencode({'next': '/' + attack, 'once': attack})}")
            await expect(page.locator("#fault")).to_be_visible()
            await page.get_by_label("Key", exact=True).fill(attack)
            await page.get_by_label("Key", exact=True).press("Enter")
            await expect(page.get_by_text("unknown or no longer valid")).to_be_visible()
