"""Logging in by way of an OpenID provider: to it, and back from it.

Between the two the browser keeps what was asked, signed, in a cookie that goes nowhere else and holds for ten minutes:
who comes back without it, or with what another browser asked, is not logged in.
"""

import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from llm_proxy.api.login import Login, new_login
from llm_proxy.api.login_begun import Begun, begin
from llm_proxy.api.person import PersonRules, person_of
from llm_proxy.api.seal import Seal
from llm_proxy.errors import Refused
from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.store.base import Accounts

START, BACK = "/login/oidc", "/login/oidc/back"
_COOKIE = "llm-proxy-oidc"
#: How long somebody may take at the provider, in seconds.
LIFE_S = 600
_NOT_HERE = "This login was begun in another browser, or more than ten minutes ago. Begin again."


class Provider(Protocol):
    """See ``api.oidc``, which is loaded only where there is one."""

    async def address(self, begun: Begun) -> str: ...

    async def claims(
        self, begun: Begun, code: str, *, issuer: str | None, wanted: Iterable[str]
    ) -> Mapping[str, Any]: ...


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
        scheme = "https" if is_secure else "http"
        here = self.public_url or f"{scheme}://{request.headers.get('host', '')}"
        begun = begin(leads_to, f"{here}{BACK}", life_s=LIFE_S)
        response = RedirectResponse(await self.provider.address(begun), status_code=303)
        kept = self.seal.close(msgspec.json.encode(begun))
        response.set_cookie(_COOKIE, kept, max_age=LIFE_S, path=START, httponly=True, samesite="lax", secure=is_secure)
        return response

    async def end(self, request: Request, keep: Callable[[Request, Response, Login], Response]) -> Response:
        """Back from the provider: logged in, and at the page that was wanted. Raises Refused."""
        begun = self._kept(request)
        said = request.query_params
        if begun is None or not hmac.compare_digest(begun.state.encode(), said.get("state", "").encode()):
            raise Refused(_NOT_HERE, status=400, code="login_not_begun")
        if "code" not in said:
            error = said.get("error", "no code")[:100]
            reason = error if error.isprintable() else "no code"
            raise Refused(f"the provider did not let you in: {reason}", status=403, code="not_let_in")
        claims = await self.provider.claims(begun, said["code"], issuer=said.get("iss"), wanted=self.rules.wanted)
        person = person_of(claims, self.rules)
        login = new_login(
            who=person.who,
            organization=await self._organization(person.organization),
            scopes=person.scopes,
            everywhere=person.operator,
            provider=self.mark,
        )
        response = keep(request, RedirectResponse(begun.leads_to, status_code=303), login)
        response.delete_cookie(_COOKIE, path=START, httponly=True, samesite="lax")
        return response

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
