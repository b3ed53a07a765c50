"""Who is logged in in a browser: a signed cookie that ends by itself, by logging out, and with its key.

The cookie says which key that was by the hash that is kept of it, so that the key is looked up for every request as if
it had been sent. One that was made without a key of an organisation says itself what it opens; all of those end when
the key of who runs the proxy changes, which is a part of what they are signed with. Logging out is noted in the store,
so that a copy of the cookie opens nothing either.
"""

import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from starlette.requests import cookie_parser

from llm_proxy.api.seal import Seal
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.exchange import new_id
from llm_proxy.store.base import EndedLogins

COOKIE = "llm-proxy-login"
#: How long one is logged in, in seconds: a working day.
LIFE_S = 12 * 3600.0
#: How long it holds that a login was not ended, in seconds, in a process that did not end it itself.
REMEMBERED_S = 3.0
_REMEMBERED_LOGINS = 10_000


class Login(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a cookie says."""

    #: Seconds since 1970.
    until: float
    #: By which it can be ended.
    id: str = ""
    #: Who it is, for people.
    who: str = ""
    #: The hash of the key, in hexadecimal; empty if ``organization`` and ``scopes`` say what it opens.
    key: str = ""
    organization: str = ""
    scopes: tuple[Scope, ...] = ()
    everywhere: bool = False
    #: Of somebody whom an OpenID provider knows: with which settings; it ends when they change.
    provider: str = ""

    @property
    def principal(self) -> Principal:
        """Who it is, where no key says so."""
        return Principal(
            organization_id=self.organization, scopes=frozenset(self.scopes), everywhere=self.everywhere, who=self.who
        )


def new_login(
    *,
    who: str = "",
    key: str = "",
    organization: str = "",
    scopes: frozenset[Scope] = frozenset(),
    everywhere: bool = False,
    provider: str = "",
) -> Login:
    """One that begins now."""
    return Login(
        id=new_id(),
        until=time.time() + LIFE_S,
        who=who,
        key=key,
        organization=organization,
        scopes=tuple(sorted(scopes)),
        everywhere=everywhere,
        provider=provider,
    )


class _Ends:
    """Which logins were ended; asks the store about each every few seconds."""

    def __init__(self, ended: EndedLogins, *, remembered_s: float = REMEMBERED_S) -> None:
        self._ended = ended
        self._remembered_s = remembered_s
        #: When each was found not to be ended.
        self._good: OrderedDict[str, float] = OrderedDict()

    async def end(self, login: Login) -> None:
        """Let it open nothing any more. Raises StoreUnavailable."""
        await self._ended.end(login.id, until=datetime.fromtimestamp(login.until, UTC))
        self._good.pop(login.id, None)

    async def has_ended(self, login: Login) -> bool:
        """Whether it was ended, here or by another process. Raises StoreUnavailable."""
        found = self._good.get(login.id)
        if found is not None and time.monotonic() - found < self._remembered_s:
            return False
        if await self._ended.has_ended(login.id):
            return True
        self._good[login.id] = time.monotonic()
        self._good.move_to_end(login.id)
        if len(self._good) > _REMEMBERED_LOGINS:
            self._good.popitem(last=False)
        return False


class Logins:
    """Makes cookies, reads them, and ends them before their time."""

    def __init__(
        self,
        secret: bytes,
        ended: EndedLogins,
        *,
        admin_key: str | None = None,
        provider: str = "",
        remembered_s: float = REMEMBERED_S,
    ) -> None:
        """``secret`` is the same for all processes that serve pages; ``provider`` stands for settings: see Login."""
        self._ends = _Ends(ended, remembered_s=remembered_s)
        self._provider = provider
        self._seal = Seal(secret, b"login" + (admin_key or "").encode(errors="surrogatepass"))

    def cookie(self, login: Login) -> str:
        """The value of the cookie that says this."""
        return self._seal.close(msgspec.json.encode(login))

    async def find(self, headers: Mapping[str, str]) -> Login | None:
        """What the cookie of a request says, if it was not ended. Raises StoreUnavailable."""
        login = self.read(headers)
        return None if login is None or await self._ends.has_ended(login) else login

    async def end(self, headers: Mapping[str, str]) -> None:
        """Let the cookie of a request, and every copy of it, open nothing any more. Raises StoreUnavailable."""
        login = self.read(headers)
        if login is not None:
            await self._ends.end(login)

    def read(self, headers: Mapping[str, str]) -> Login | None:
        """What the cookie of a request says; None without a cookie that is ours and holds, or was ended since."""
        content = self._seal.open(cookie_parser(headers.get("cookie", "")).get(COOKIE, ""))
        if content is None:
            return None
        login = msgspec.json.decode(content, type=Login)
        # One without an id is of an earlier version, and could not be ended.
        is_ours = login.id != "" and login.provider in ("", self._provider)
        return login if is_ours and time.time() < login.until else None


def is_of_this_site(headers: Mapping[str, str]) -> bool | None:
    """Whether a page of this very site asks; None if the request does not say, which browsers do for every change."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return None if origin is None else origin.partition("://")[2] == headers.get("host", "")
