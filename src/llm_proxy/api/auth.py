"""Who asks: from the headers of a request to a principal, for every API and page.

A key may come in the header of any of the APIs that the store speaks. It is looked up by its whole hash, and compared
once more in constant time; what was found is remembered for seconds, so that a revoked key is out within them. What
does not open says so in the same words whatever the reason: unknown, expired and revoked are one answer.

While no key was ever made, the default organisation is open to whoever reaches the port by the name of this machine.
A browser sends the name it was given: a foreign page can neither read nor write here by having its own name lead here.

What a browser sends by itself (the cookie of who is logged in, and a password) is not enough for a change: it must also
say that a page of this very site asks for it.
"""

import base64
import hmac
import time
from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from llm_proxy.api.login import Logins, is_of_this_site
from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import KnownKey, Principal, Scope, secret_hash
from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.store.base import Accounts

#: How long what was found of a key holds, in seconds.
REMEMBERED_S = 3.0
_REMEMBERED_KEYS = 10_000
#: How often a key's last use is noted at most, in seconds.
_NOTED_EVERY_S = 60.0
#: Headers that hold a key as it is: that of Log10, and that of Maxim.
_KEY_HEADERS = ("x-log10-token", "x-maxim-api-key")
#: Headers that name an organisation: that of Log10's API, and that of log10-io.
_ORGANIZATION_HEADERS = ("x-log10-organization", "x-log10-organization-id")
_ALL = frozenset(Scope)
_NO_KEY = "this needs a key: send it as `Authorization: Bearer …`, `X-Log10-Token: …` or `x-maxim-api-key: …`"
_BAD_KEY = "the key is unknown or no longer valid"
_BAD_ORGANIZATION = "the key is not one of the organisation {!r}"
_WHOLE = "this is about the whole organisation, and the key is one of a project: use a key without a project"
_FROM_AFAR = (
    "as long as there are no keys, this is open under the name of this machine only (localhost, 127.0.0.1);"
    " make a key with `llm-proxy keys create`"
)


class Gate:
    """Lets in who has a key, or everybody as long as there are none."""

    def __init__(
        self,
        accounts: Accounts,
        *,
        admin_key: str | None = None,
        is_open: bool = False,
        is_closed: bool = False,
        remembered_s: float = REMEMBERED_S,
        logins: Logins | None = None,
    ) -> None:
        """``admin_key`` opens everything; with ``is_open`` the default organisation is open under every name as long
        as there are no keys, and with ``is_closed`` it is not open even then.

        Without ``logins``, no cookie opens anything.
        """
        self._logins = logins
        self._accounts = accounts
        self._admin_hash = None if admin_key is None else secret_hash(admin_key)
        self._is_open = is_open
        self._remembered_s = remembered_s
        self._known: OrderedDict[bytes, tuple[float, KnownKey]] = OrderedDict()
        self._noted: dict[str, float] = {}
        self._closed = is_closed or admin_key is not None
        self._looked = float("-inf")

    async def admit(
        self,
        headers: Headers,
        scope: Scope,
        *,
        organizations: Iterable[str] = (),
        only_looks: bool = False,
        by_project: bool = False,
    ) -> Principal:
        """Who sends these headers, if they may do what ``scope`` is for; ``only_looks``: without changing anything.

        ``organizations`` are those that the request names beside its headers. Unless what is asked for keeps to the
        project of its caller (``by_project``), a key of one project is not for it. Raises Refused: 401 without a valid
        key, 403 if it is not for this scope, not for this project or not for an organisation that is named.
        """
        changes = not only_looks and scope is not Scope.READ
        if not await self._is_closed():
            self._check_origin(headers)
            if changes:
                _check_change(headers, of_itself=False)
            return Principal(organization_id=DEFAULT_ORGANIZATION, scopes=_ALL, everywhere=True)
        secret = _credential(headers)
        if secret is not None:
            principal = await self.holder(secret)
            if changes and headers.get("authorization", "").lower().startswith("basic "):
                _check_change(headers, of_itself=False)
        else:
            principal = await self._logged_in(headers)
            if changes:
                _check_change(headers, of_itself=True)
        if scope not in principal.scopes:
            message = f"the key is not for this: it has no scope {scope}"
            raise Refused(message, status=403, code="insufficient_scope")
        if principal.project_id is not None and not by_project:
            raise Refused(_WHOLE, status=403, code="organization_needed")
        named = [value for header in _ORGANIZATION_HEADERS if (value := headers.get(header))]
        for word in [*named, *organizations]:
            principal = await self.within(principal, word)
        return principal

    async def holder(self, secret: str) -> Principal:
        """Who has this key. Raises Refused: 401 if it opens nothing."""
        return await self._holder(secret_hash(secret))

    async def within(self, principal: Principal, organization: str) -> Principal:
        """``principal`` as one of the organisation of this id or name. Raises Refused if it is not."""
        if not await self._is_closed() or organization == principal.organization_id:
            return principal
        found = await self._accounts.organization(organization)
        if found is None or (found.id != principal.organization_id and not principal.everywhere):
            raise Refused(_BAD_ORGANIZATION.format(organization), status=403, code="wrong_organization")
        return replace(principal, organization_id=found.id)

    def forget(self) -> None:
        """Ask again for every key: some were changed."""
        self._known.clear()
        self._looked = float("-inf")

    async def _is_closed(self) -> bool:
        now = time.monotonic()
        if not self._closed and now - self._looked >= self._remembered_s:
            # Closed once, closed for ever: keys are never deleted.
            self._closed = await self._accounts.has_keys()
            self._looked = now
        return self._closed

    def _check_origin(self, headers: Headers) -> None:
        host = headers.get("host", "")
        if not self._is_open and not _is_this_machine(host):
            raise Refused(_FROM_AFAR, status=403, code="not_open")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused("no other site's page may ask here without a key", status=403, code="foreign_origin")

    async def _logged_in(self, headers: Headers) -> Principal:
        login = None if self._logins is None else await self._logins.find(headers)
        if login is None:
            raise Refused(_NO_KEY, status=401, code="missing_key")
        return await self._holder(bytes.fromhex(login.key)) if login.key else login.principal

    async def _holder(self, key_hash: bytes) -> Principal:
        if self._admin_hash is not None and hmac.compare_digest(key_hash, self._admin_hash):
            return Principal(organization_id=DEFAULT_ORGANIZATION, scopes=_ALL, everywhere=True)
        known, now = await self._look_up(key_hash), datetime.now(UTC)
        if known is None or not hmac.compare_digest(known.hash, key_hash) or not known.key.is_valid(now):
            raise Refused(_BAD_KEY, status=401, code="invalid_key")
        await self._note_use(known.key.id, now)
        key = known.key
        return Principal(
            organization_id=key.organization_id,
            project_id=key.project_id,
            scopes=key.scopes,
            who=key.label or key.shown,
        )

    async def _look_up(self, key_hash: bytes) -> KnownKey | None:
        found = self._known.get(key_hash)
        if found is not None and time.monotonic() - found[0] < self._remembered_s:
            return found[1]
        # What is not known is not remembered, so that whoever tries keys cannot fill the memory with them.
        known = await self._accounts.known_key(key_hash)
        self._known.pop(key_hash, None)
        if known is not None:
            self._known[key_hash] = time.monotonic(), known
            if len(self._known) > _REMEMBERED_KEYS:
                self._known.popitem(last=False)
        return known

    async def _note_use(self, key_id: str, now: datetime) -> None:
        last = self._noted.get(key_id, float("-inf"))
        if time.monotonic() - last < _NOTED_EVERY_S:
            return
        self._noted[key_id] = time.monotonic()
        # A store that takes no writes for a moment still shows what it has.
        with suppress(StoreUnavailable):
            await self._accounts.note_use(key_id, now)


def _check_change(headers: Headers, *, of_itself: bool) -> None:
    """Refuse a change that another site's page may have asked for; ``of_itself``: what opens is a cookie."""
    of_this_site = is_of_this_site(headers)
    if of_this_site is False or (of_itself and of_this_site is None):
        raise Refused("only a page of this very site may change something here", status=403, code="foreign_origin")


def _credential(headers: Headers) -> str | None:
    """The key in a request; None if there is none."""
    for header in _KEY_HEADERS:
        if key := headers.get(header):
            return key
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":  # what browsers ask for: any user name, and the key as the password
        return _password(rest.strip())
    return rest.strip() if scheme.lower() == "bearer" and rest.strip() else None


def _password(text: str) -> str | None:
    try:
        return base64.b64decode(text, validate=True).decode().partition(":")[2] or None
    except ValueError:
        return None


def _is_this_machine(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name in ("localhost", "127.0.0.1", "::1") or name.endswith(".localhost")
