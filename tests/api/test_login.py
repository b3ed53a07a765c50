"""The cookie of who is logged in."""

import time

import pytest

from empty_stores import empty_store
from llm_proxy.api.login import COOKIE, Login, Logins, is_of_this_site, new_login
from llm_proxy.model.account import Scope
from llm_proxy.store.sql_logins import SqlLogins
from llm_proxy.store.sqlite import SqliteStore

OPERATOR = new_login(who="me", organization="default", scopes=frozenset({Scope.READ}), everywhere=True)


def logins_of(secret, **options):
    return Logins(secret, SqlLogins(None), **options)


def sent(value):
    return {"cookie": f"other=1; {COOKIE}={value}"}


def test_what_a_cookie_says_is_read_back():
    logins = logins_of(b"secret")

    read = logins.read(sent(logins.cookie(OPERATOR)))

    assert read == OPERATOR
    assert (read.principal.organization_id, read.principal.scopes) == ("default", {Scope.READ})


def test_a_cookie_that_anybody_changed_says_nothing():
    logins = logins_of(b"secret")
    cookie = logins.cookie(OPERATOR)
    changed = [cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :] for at in range(len(cookie) - 1)]

    assert [logins.read(sent(other)) for other in changed] == [None] * len(changed)


@pytest.mark.parametrize("value", ["", ".", "x", "x.y", "\u00e9.\u00e9", "." * 50])
def test_what_is_no_cookie_of_ours_says_nothing(value):
    assert logins_of(b"secret").read(sent(value)) is None


def test_a_cookie_ends_by_itself():
    logins = logins_of(b"secret")

    assert logins.read(sent(logins.cookie(Login(id="1", until=time.time() - 1)))) is None


def test_cookies_end_with_the_key_of_who_runs_the_proxy_and_are_of_one_installation():
    cookie = logins_of(b"secret", admin_key="old").cookie(OPERATOR)

    assert logins_of(b"secret", admin_key="new").read(sent(cookie)) is None
    assert logins_of(b"other", admin_key="old").read(sent(cookie)) is None


def test_a_cookie_without_an_id_which_could_not_be_ended_says_nothing():
    logins = logins_of(b"secret")

    assert logins.read(sent(logins.cookie(Login(until=time.time() + 60)))) is None


def test_those_whom_a_provider_knows_are_out_once_its_settings_change():
    by_provider = logins_of(b"secret", provider="old")
    cookie, of_key = by_provider.cookie(new_login(provider="old")), by_provider.cookie(new_login(key="aa"))
    changed = logins_of(b"secret", provider="new")

    assert by_provider.read(sent(cookie)) is not None
    assert changed.read(sent(cookie)) is None
    assert changed.read(sent(of_key)) is not None


async def test_what_one_process_ends_is_over_in_another(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    here, there = (Logins(b"secret", SqlLogins(store), remembered_s=seconds) for seconds in (60, 0))
    cookie, other = sent(here.cookie(new_login(key="aa"))), sent(here.cookie(new_login(key="aa")))
    assert (await here.find(cookie), await there.find(cookie)) == (here.read(cookie), here.read(cookie))

    await here.end(cookie)

    assert (await here.find(cookie), await there.find(cookie)) == (None, None)
    assert (await here.find(other), await there.find(other)) == (here.read(other), here.read(other))
    await store.close()


@pytest.mark.parametrize(
    ("headers", "claim"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "same-site", "origin": "http://proxy", "host": "proxy"}, False),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"origin": "http://proxy:1", "host": "proxy:1"}, True),
        ({"origin": "http://proxy:2", "host": "proxy:1"}, False),
        ({"origin": "null", "host": "proxy:1"}, False),
        ({"host": "proxy:1"}, None),
    ],
)
def test_a_request_says_whether_a_page_of_this_site_asks(headers, claim):
    assert is_of_this_site(headers) is claim
