"""The cookie of who is logged in."""

import time

import pytest

from llm_proxy.api.login import COOKIE, Login, Logins, is_of_this_site
from llm_proxy.model.account import Scope

OPERATOR = Login(until=time.time() + 60, who="me", organization="default", scopes=(Scope.READ,), everywhere=True)


def sent(value):
    return {"cookie": f"other=1; {COOKIE}={value}"}


def test_what_a_cookie_says_is_read_back():
    logins = Logins(b"secret")

    read = logins.read(sent(logins.cookie(OPERATOR)))

    assert read == OPERATOR
    assert (read.principal.organization_id, read.principal.scopes) == ("default", {Scope.READ})


def test_a_cookie_that_anybody_changed_says_nothing():
    logins = Logins(b"secret")
    cookie = logins.cookie(OPERATOR)
    changed = [cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :] for at in range(len(cookie) - 1)]

    assert [logins.read(sent(other)) for other in changed] == [None] * len(changed)


@pytest.mark.parametrize("value", ["", ".", "x", "x.y", "\u00e9.\u00e9", "." * 50])
def test_what_is_no_cookie_of_ours_says_nothing(value):
    assert Logins(b"secret").read(sent(value)) is None


def test_a_cookie_ends_by_itself():
    logins = Logins(b"secret")

    assert logins.read(sent(logins.cookie(Login(until=time.time() - 1)))) is None


def test_cookies_end_with_the_key_of_who_runs_the_proxy_and_are_of_one_installation():
    cookie = Logins(b"secret", admin_key="old").cookie(OPERATOR)

    assert Logins(b"secret", admin_key="new").read(sent(cookie)) is None
    assert Logins(b"other", admin_key="old").read(sent(cookie)) is None


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
