"""Logging in and out: with a key, with the link of the start, or by an OpenID provider; a cookie keeps it.

Whoever is not let in sees the form in the place of the page, which comes once the form is filled in.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from llm_proxy.api.login import COOKIE, LIFE_S, Login, Logins, is_of_this_site, new_login
from llm_proxy.api.login_link import redeem
from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import Principal, Scope, secret_hash
from llm_proxy.model.completion import DEFAULT_ORGANIZATION
from llm_proxy.ui.present import visible
from llm_proxy.ui.room import first, read_form
from llm_proxy.ui.sign_on import BACK, OUT, START, SignOn
from llm_proxy.ui.templating import page, problem

Holder = Callable[[str], Awaitable[Principal]]
#: As whom one is logged in without a key of an organisation.
_OPERATOR = "whoever runs the proxy"
_NOT_FOR_LOOKING = "This key is not for looking at records: it has no scope read."
_FOREIGN = "The form was not sent by a page of this site."
_USED_UP = "This link was used already, or is too old. Start the program again for a new one, or log in with a key."


class Access:
    """Lets in, and remembers whom by a cookie."""

    def __init__(self, logins: Logins, holder: Holder, *, link: Path, sign_on: SignOn | None = None) -> None:
        """``holder`` tells whose a key is, or raises Refused; ``link`` is the file of the link that logs in once.

        Without ``sign_on`` there is no provider to log in by.
        """
        self._sign_on = sign_on
        self._logins = logins
        self._holder = holder
        self._link = link

    def routes(self, middleware: list[Middleware]) -> list[Route]:
        """The form, and what it does."""
        acts = {"/login": {"GET": self.form, "POST": self.log_in}, "/logout": {"POST": self.log_out}}
        if self._sign_on is not None:
            acts |= {START: {"GET": self.sign_on}, BACK: {"GET": self.back}, OUT: {"GET": self.leave}}
        return [
            Route(path, partial(self._answered, answer), methods=[method], middleware=middleware)
            for path, methods in acts.items()
            for method, answer in methods.items()
        ]

    async def form(self, request: Request) -> Response:
        """The form; or, of a link that logs in once, what it leads to."""
        token = request.query_params.get("once")
        if token is None:
            return self.asked(request, status=200)
        if request.method != "GET" or not redeem(self._link, token):
            return self.asked(request, status=403, fault=_USED_UP)
        return self.keep(request, RedirectResponse("/", status_code=303), _operator())

    async def log_in(self, request: Request) -> Response:
        """What the key that was filled in opens."""
        fields = await read_form(request)
        leads_to = _local(first(fields, "next"))
        if is_of_this_site(request.headers) is False:
            return self.asked(request, status=403, fault=_FOREIGN, leads_to=leads_to)
        key = first(fields, "key")
        try:
            principal = await self._holder(key)
        except Refused as exc:
            return self.asked(request, status=exc.status, fault=_sentence(exc), leads_to=leads_to)
        if Scope.READ not in principal.scopes:
            return self.asked(request, status=403, fault=_NOT_FOR_LOOKING, leads_to=leads_to)
        return self.keep(request, RedirectResponse(leads_to, status_code=303), _login(key, principal))

    async def sign_on(self, request: Request) -> Response:
        """To the provider."""
        assert self._sign_on is not None
        leads_to = _local(request.query_params.get("next", "/"))
        return await self._sign_on.begin(request, leads_to, is_secure=is_behind_tls(request))

    async def back(self, request: Request) -> Response:
        """Back from the provider."""
        assert self._sign_on is not None
        return await self._sign_on.end(request, self.keep, is_secure=is_behind_tls(request))

    async def leave(self, request: Request) -> Response:
        """To the provider, to log out there; another site's page leads nobody out."""
        assert self._sign_on is not None
        if is_of_this_site(request.headers) is False:
            return RedirectResponse("/login", status_code=303)
        return await self._sign_on.leave(request, is_secure=is_behind_tls(request))

    async def log_out(self, request: Request) -> Response:
        """Forget who it was, here and in whatever has a copy of the cookie."""
        if is_of_this_site(request.headers) is False:
            return self.asked(request, status=403, fault=_FOREIGN)
        login = self._logins.read(request.headers)
        await self._logins.end(request.headers)
        is_by_provider = self._sign_on is not None and login is not None and login.provider
        response = RedirectResponse(OUT if is_by_provider else "/login", status_code=303)
        response.delete_cookie(COOKIE, httponly=True, samesite="lax")
        return response

    def keep_in(self, request: Request, response: Response) -> Response:
        """``response``, with which whoever runs the proxy is logged in from now on."""
        return self.keep(request, response, _operator())

    def keep(self, request: Request, response: Response, login: Login) -> Response:
        """``response``, with which one is logged in from now on."""
        response.set_cookie(
            COOKIE,
            self._logins.cookie(login),
            max_age=int(LIFE_S),
            httponly=True,
            samesite="lax",
            # Who ends TLS before us says so; whoever lies about it keeps the cookie from nobody but himself.
            secure=is_behind_tls(request),
        )
        return response

    def asked(
        self, request: Request, *, status: int = 401, fault: str | None = None, leads_to: str | None = None
    ) -> Response:
        """The form, which leads to the page that was asked for, or to ``leads_to``."""
        wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        on_the_way = request.url.path in ("/login", "/logout", START, BACK, OUT) or request.method == "POST"
        default = request.query_params.get("next", "/") if on_the_way else wanted
        leads_to = _local(leads_to or default)
        by_provider = None if self._sign_on is None else f"{START}?{urlencode({'next': leads_to})}"
        return page("login.html", status=status, fault=fault, leads_to=leads_to, by_provider=by_provider)

    async def _answered(self, answer: Callable[[Request], Awaitable[Response]], request: Request) -> Response:
        try:
            return await answer(request)
        except Refused as exc:
            return self.asked(request, status=exc.status, fault=_sentence(exc))
        except StoreUnavailable as exc:
            return problem(503, "The store is not available", str(exc))


def _sentence(exc: Refused) -> str:
    text = visible(str(exc))
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."


def is_behind_tls(request: Request) -> bool:
    """Whether the browser came here by TLS."""
    return request.headers.get("x-forwarded-proto") == "https" or request.url.scheme == "https"


def _login(key: str, principal: Principal) -> Login:
    # The key of who runs the proxy was thought of by people: its hash might be enough to guess it, so it is not sent.
    return _operator() if principal.everywhere else new_login(key=secret_hash(key).hex())


def _operator() -> Login:
    return new_login(who=_OPERATOR, organization=DEFAULT_ORGANIZATION, scopes=frozenset(Scope), everywhere=True)


def _local(path: str) -> str:
    """``path`` if it is one of this site, which no other begins like; or else the first page."""
    is_local = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable()
    return path if is_local else "/"
