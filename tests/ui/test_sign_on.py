"""Logging in by a provider: in a browser before a product, and what does not log in."""

import re
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import expect
from starlette.applications import Starlette

from browsing import check_usable, in_browser, watched
from keyring import added_key
from llm_proxy.api.auth import Gate
from llm_proxy.api.login import COOKIE, Logins
from llm_proxy.api.oidc import Provider, Registration
from llm_proxy.api.person import PersonRules
from llm_proxy.api.seal import Seal
from llm_proxy.model.account import Scope
from llm_proxy.store.sql_accounts import SqlAccounts
from llm_proxy.store.sql_logins import SqlLogins
from llm_proxy.ui.access import Access
from llm_proxy.ui.pages import routes
from llm_proxy.ui.sign_on import BACK, OUT, START, SignOn
from openid import CLIENT, SECRET, openid_provider
from records import record
from running import serve

HERE = {"origin": "http://proxy.test"}


@pytest.fixture
async def there():
    async with openid_provider() as provider:
        yield provider


@pytest.fixture
async def client(store, there, tmp_path):
    """Pages of a store whose people the provider knows; the organisation is what it says in ``org``."""
    accounts = SqlAccounts(store)
    registration = Registration(issuer=there.url, client_id=CLIENT, client_secret=SECRET, scopes=("openid",))
    rules = PersonRules(organization="default", organization_claim="org", scopes=frozenset({Scope.READ}))
    sign_on = SignOn(
        provider=Provider(registration), rules=rules, accounts=accounts, seal=Seal(b"secret", b"oidc"),
        public_url=None, mark="m",
    )  # fmt: skip
    logins = Logins(b"secret", SqlLogins(store), provider="m", remembered_s=0)
    gate = Gate(accounts, is_closed=True, logins=logins)
    access = Access(logins, gate.holder, link=tmp_path / "link", sign_on=sign_on)
    app = Starlette(routes=routes(store, gate.admit, access=access))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://proxy.test") as client:
        yield client


async def sent_there(client, **parameters):
    """What the provider is asked."""
    sent = await client.get(f"{START}?{urlencode(parameters)}")
    assert sent.status_code == 303, sent.text
    return {name: values[0] for name, values in parse_qs(urlsplit(sent.headers["location"]).query).items()}


async def back(client, there, asked, **different):
    answer = {"code": there.code_for(asked), "state": asked["state"], "iss": there.url} | different
    return await client.get(f"{BACK}?{urlencode({k: v for k, v in answer.items() if v is not None})}")


async def test_who_comes_back_is_at_the_page_that_was_wanted_and_of_the_organisation_that_is_told(client, there, store):
    key = await added_key(store, "acme", "read")
    await store.put([record(id="ours", organization_id=key.organization_id), record(id="theirs")])
    there.claims["org"] = "acme"
    assert f"{START}?next=%2F%3Fq%3Dtag%253Ax" in (await client.get("/?q=tag%3Ax")).text

    asked = await sent_there(client, next="/?q=tag%3Ax")
    welcomed = await back(client, there, asked)
    shown = await client.get("/")

    assert asked["redirect_uri"] == f"http://proxy.test{BACK}"
    assert (welcomed.status_code, welcomed.headers["location"]) == (303, "/?q=tag%3Ax")
    assert "HttpOnly" in welcomed.headers["set-cookie"]
    assert "/calls/ours" in shown.text
    assert "theirs" not in shown.text
    assert set(client.cookies) == {COOKIE, "llm-proxy-oidc-token"}
    await client.post("/logout", headers=HERE)
    assert (await client.get("/")).status_code == 401


async def test_who_logs_out_is_led_to_the_provider_with_a_hint_of_who_it_is(client, there):
    there.claims["org"] = "default"
    await back(client, there, await sent_there(client))

    out = await client.post("/logout", headers=HERE)
    leaving = await client.get(out.headers["location"], headers={"sec-fetch-site": "same-origin"})

    address = urlsplit(leaving.headers["refresh"].removeprefix("0; url="))
    asked = {name: values[0] for name, values in parse_qs(address.query).items()}
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{there.url}/logout"
    assert asked["post_logout_redirect_uri"] == "http://proxy.test/login"
    assert (asked["client_id"], asked["id_token_hint"].count(".")) == (CLIENT, 2)
    assert list(client.cookies) == []


async def test_the_page_of_another_site_logs_nobody_out_there(client, there):
    led = await client.get(OUT, headers={"sec-fetch-site": "cross-site"})

    assert (led.status_code, led.headers["location"]) == (303, "/login")


async def test_where_the_provider_has_no_address_for_it_one_is_logged_out_here_alone(client, there):
    there.claims["org"] = "default"
    del there.endpoints["end_session_endpoint"]
    await back(client, there, await sent_there(client))

    out = await client.post("/logout", headers=HERE)
    led = await client.get(out.headers["location"])

    assert (led.status_code, led.headers["location"]) == (303, "/login")
    assert (await client.get("/")).status_code == 401


async def test_an_organisation_that_is_not_there_lets_nobody_in(client, there):
    there.claims["org"] = "<b>nowhere"

    answer = await back(client, there, await sent_there(client))

    assert answer.status_code == 403
    assert "there is no organisation" in answer.text
    assert "<b>nowhere" not in answer.text
    assert COOKIE not in client.cookies


async def test_without_keys_the_pages_are_open_to_nobody_all_the_same(client):
    assert (await client.get("/")).status_code == 401


@pytest.mark.parametrize(
    ("different", "reason"),
    [
        ({"state": "of another"}, "another browser"),
        ({"state": None}, "another browser"),
        ({"code": "unknown"}, "invalid_grant"),
        ({"code": None, "error": "access_denied"}, "did not let you in: access_denied"),
        ({"iss": "https://evil.test"}, "another provider"),
    ],
)
async def test_who_comes_back_with_something_else_is_not_logged_in(client, there, different, reason):
    there.claims["org"] = "default"

    answer = await back(client, there, await sent_there(client), **different)

    assert 400 <= answer.status_code < 503
    assert reason in answer.text
    assert COOKIE not in client.cookies


async def test_another_browser_cannot_be_logged_in_by_an_address_from_elsewhere(client, there):
    there.claims["org"] = "default"
    asked = await sent_there(client)
    client.cookies.clear()

    answer = await back(client, there, asked)

    assert answer.status_code == 400
    assert there.tokens_asked == 0


async def test_a_login_leads_to_no_other_site(client, there):
    there.claims["org"] = "default"

    welcomed = await back(client, there, await sent_there(client, next="//evil.test"))

    assert welcomed.headers["location"] == "/"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(tmp_path_factory):
    """A provider, and a product whose people it knows."""
    directory = tmp_path_factory.mktemp("known")
    async with openid_provider() as provider:
        config = directory / "llm-proxy.toml"
        config.write_text(
            f'[oidc]\nissuer = "{provider.url}"\nclient_id = "{CLIENT}"\nclient_secret_env = "S"\n'
            'role_claim = "groups"\n'
            'email_domains = ["acme.test"]\n'
            '[oidc.roles.admins]\nscopes = ["read", "write", "admin"]\n'
            '[oidc.roles.graders]\nscopes = ["read", "write"]\n'
        )
        env = {"S": SECRET}
        async with serve(directory, "http://127.0.0.1:9/v1", "--config", str(config), env=env) as product:
            yield provider, product


@in_browser
async def test_in_a_browser_somebody_logs_in_is_named_and_logs_out(browser, known):
    provider, product = known
    provider.claims |= {"groups": ["graders"]}
    async with watched(browser, base_url=product.url) as page:
        await page.goto("/grading")
        await page.get_by_role("link", name="Log in with your organisation").click()
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Grading")).to_be_visible()
        assert await page.get_by_role("link", name="Settings").count() == 0
        await expect(page.get_by_title("ann@acme.test")).to_be_visible()

        await page.get_by_title("ann@acme.test").click()
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()
        assert [one["client_id"] for one in provider.left] == [CLIENT]
        await page.goto("/")
        await expect(page.get_by_role("heading", name="Log in")).to_be_visible()


@in_browser
async def test_in_a_browser_somebody_without_a_role_is_told_so(browser, known):
    provider, product = known
    provider.claims |= {"groups": []}
    async with watched(browser, base_url=product.url) as page:
        await page.goto("/")
        await page.get_by_role("link", name="Log in with your organisation").click()
        await page.get_by_role("button", name="Sign in").click()

        await expect(page.get_by_text("You are not let in: you have no role here")).to_be_visible()
        await page.wait_for_url(re.compile("/login/oidc/back"))


@in_browser
async def test_everybody_can_log_in_by_a_provider(browser, known):
    await check_usable(browser, known[1].url, ["/login"])
