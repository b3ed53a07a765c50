"""Logging in by way of an OpenID provider: to it, and back from it; and logging out there.

Between the two the browser keeps what was asked, signed, in a cookie that goes nowhere else and holds for ten minutes:
who comes back without it, or with what another browser asked, is not logged in. Then it keeps the token of the provider
in another such cookie, as the hint of who is to be logged out; nothing is opened by it.
"""

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from llm_proxy.api.login import LIFE_S as LOGIN_S
from llm_proxy.api.login import Login, new_login
from llm_proxy.api.login_begun import Begun, begin
from llm_proxy.api.person import PersonRules, person_of
from llm_proxy.api.seal import Seal
from llm_proxy.errors import Refused
from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.store.base import Accounts
from llm_proxy.ui.templating import page

START, BACK, OUT = "/login/oidc", "/login/oidc/back", "/login/oidc/out"
_COOKIE, _TOKEN = "llm-proxy-oidc", "llm-proxy-oidc-token"
#: Of the cookie with the token; browsers take 4096 with its name and all. Without it, the provider asks who it is.
_MAX_TOKEN_CHARACTERS = 3800
#: How long somebody may take at the provider, in seconds.
LIFE_S = 600
_NOT_HERE = "This login was begun in another browser, or more than ten minutes ago. Begin again."


class Identity(Protocol):
    """See ``api.oidc``."""

    @property
    def claims(self) -> Mapping[str, Any]: ...

    @property
    def token(self) -> str: ...


class Provider(Protocol):
    """See ``api.oidc``, which is loaded only where there is one."""

    async def address(self, begun: Begun) -> str: ...

    async def identity(self, begun: Begun, code: str, *, issuer: str | None, wanted: Iterable[str]) -> Identity: ...

    async def farewell(self, token: str, back: str) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SignOn:
    """A provider, and what its people may do here."""

    provider: Provider
    rules: PersonRules
    accounts: Accounts
    seal: Seal
    #: Of the pages in browsers; None if it is as the request has it.
    public_url: str | None
    #: Stands for the settings: see ``Login``.
    mark: str

    async def begin(self, request: Request, leads_to: str, *, is_secure: bool) -> Response:
        """To the provider. Raises Refused."""
        begun = begin(leads_to, f"{self._here(request, is_secure=is_secure)}{BACK}", life_s=LIFE_S)
        response = RedirectResponse(await self.provider.address(begun), status_code=303)
        kept = self.seal.close(msgspec.json.encode(begun))
        response.set_cookie(_COOKIE, kept, max_age=LIFE_S, path=START, httponly=True, samesite="lax", secure=is_secure)
        return response

    async def end(
        self, request: Request, keep: Callable[[Request, Response, Login], Response], *, is_secure: bool
    ) -> Response:
        """Back from the provider: logged in, and at the page that was wanted. Raises Refused."""
        begun = self._kept(request)
        said = request.query_params
        if begun is None or not hmac.compare_digest(begun.state.encode(), said.get("state", "").encode()):
            raise Refused(_NOT_HERE, status=400, code="login_not_begun")
        if "code" not in said:
            error = said.get("error", "no code")[:100]
            reason = error if error.isprintable() else "no code"
            raise Refused(f"the provider did not let you in: {reason}", status=403, code="not_let_in")
        found = await self.provider.identity(begun, said["code"], issuer=said.get("iss"), wanted=self.rules.wanted)
        person = person_of(found.claims, self.rules)
        login = new_login(
            who=person.who,
            organization=await self._organization(person.organization),
            scopes=person.scopes,
            everywhere=person.operator,
            provider=self.mark,
        )
        response = keep(request, RedirectResponse(begun.leads_to, status_code=303), login)
        response.delete_cookie(_COOKIE, path=START, httponly=True, samesite="lax")
        if len(found.token) <= _MAX_TOKEN_CHARACTERS:
            response.set_cookie(
                _TOKEN, found.token, max_age=int(LOGIN_S), path=START, httponly=True, samesite="lax", secure=is_secure
            )
        return response

    async def leave(self, request: Request, *, is_secure: bool) -> Response:
        """To the provider, to be logged out there, too, and then to the form; or to the form. Raises Refused."""
        form = f"{self._here(request, is_secure=is_secure)}/login"
        address = await self.provider.farewell(request.cookies.get(_TOKEN, ""), form)
        if address is None:
            response: Response = RedirectResponse("/login", status_code=303)
        else:
            response = page("leaving.html", address=address)
            # What a form leads to by redirects must be of this site: by our policy, and browsers hold to it.
            response.headers["refresh"] = f"0; url={address}"
        response.delete_cookie(_TOKEN, path=START, httponly=True, samesite="lax")
        return response

    def _here(self, request: Request, *, is_secure: bool) -> str:
        return self.public_url or f"{'https' if is_secure else 'http'}://{request.headers.get('host', '')}"

    def _kept(self, request: Request) -> Begun | None:
        content = self.seal.open(request.cookies.get(_COOKIE, ""))
        begun = None if content is None else msgspec.json.decode(content, type=Begun)
        return begun if begun is not None and time.time() < begun.until else None

    async def _organization(self, word: str) -> str:
        found = await self.accounts.organization(word)
        if found is None and word != DEFAULT_ORGANIZATION:
            raise Refused(
                f"you are not let in: there is no organisation {word!r} here", status=403, code="wrong_organization"
            )
        return DEFAULT_ORGANIZATION if found is None else found.id
