"""Who is logged in in a browser: a signed cookie that ends by itself, and with the key that it was made with.

The cookie says which key that was by the hash that is kept of it, so that the key is looked up for every request as if
it had been sent. One that was made without a key of an organisation says itself what it opens; all of those end when
the key of who runs the proxy changes, which is a part of what they are signed with.
"""

import base64
import hmac
import time
from collections.abc import Mapping

import msgspec
from starlette.requests import cookie_parser

from llm_proxy.model.account import Principal, Scope

COOKIE = "llm-proxy-login"
#: How long one is logged in, in seconds: a working day.
LIFE_S = 12 * 3600.0
_DIGEST = "sha256"


class Login(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a cookie says."""

    #: Seconds since 1970.
    until: float
    #: Who it is, for people.
    who: str = ""
    #: The hash of the key, in hexadecimal; empty if ``organization`` and ``scopes`` say what it opens.
    key: str = ""
    organization: str = ""
    scopes: tuple[Scope, ...] = ()
    everywhere: bool = False

    @property
    def principal(self) -> Principal:
        """Who it is, where no key says so."""
        return Principal(
            organization_id=self.organization, scopes=frozenset(self.scopes), everywhere=self.everywhere, who=self.who
        )


class Logins:
    """Makes cookies and reads them."""

    def __init__(self, secret: bytes, *, admin_key: str | None = None) -> None:
        """``secret`` is the same for all processes that serve pages."""
        bound = b"login" + (admin_key or "").encode(errors="surrogatepass")
        self._secret = hmac.digest(secret, bound, _DIGEST)

    def cookie(self, login: Login) -> str:
        """The value of the cookie that says this."""
        said = _encoded(msgspec.json.encode(login))
        return f"{said}.{self._signature(said)}"

    def read(self, headers: Mapping[str, str]) -> Login | None:
        """What the cookie of a request says; None without a cookie that is ours and holds."""
        said, _, signature = cookie_parser(headers.get("cookie", "")).get(COOKIE, "").partition(".")
        if not said or not hmac.compare_digest(signature.encode(errors="replace"), self._signature(said).encode()):
            return None
        login = msgspec.json.decode(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)), type=Login)
        return login if time.time() < login.until else None

    def _signature(self, said: str) -> str:
        return _encoded(hmac.digest(self._secret, said.encode(errors="replace"), _DIGEST))


def is_of_this_site(headers: Mapping[str, str]) -> bool | None:
    """Whether a page of this very site asks; None if the request does not say, which browsers do for every change."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return None if origin is None else origin.partition("://")[2] == headers.get("host", "")


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
