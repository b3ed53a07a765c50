"""The pages: the calls, one call, and those of a session, of the organisation of the key that the browser is asked for.

Nothing that a record holds can run: templates escape everything, what is rendered is cleaned, and the policy of every
answer forbids foreign content, frames, and all scripts and styles but our own files.
"""

from collections.abc import Awaitable, Callable
from functools import partial

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import Principal
from llm_proxy.model.account import Scope as KeyScope
from llm_proxy.store.base import Store
from llm_proxy.ui.assets import STATIC, VENDOR
from llm_proxy.ui.call import call
from llm_proxy.ui.calls import calls
from llm_proxy.ui.live import LiveLists, live
from llm_proxy.ui.sessions import session
from llm_proxy.ui.templating import problem

_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}

Admit = Callable[[Headers, KeyScope], Awaitable[Principal]]
_Page = Callable[[Store, Request, Principal], Awaitable[ASGIApp]]


def routes(store: Store, admit: Admit) -> list[Route | Mount]:
    """The routes, showing what is in ``store`` to whom ``admit`` lets in, which raises Refused for others."""
    # Prompts are not for caches. What is static may be kept, but is asked for again and then answered with 304; what
    # has its version in its path need not be.
    guarded, static, fixed = (
        [Middleware(_Guarded, cache=cache)]
        for cache in (b"no-store", b"no-cache", b"public, max-age=31536000, immutable")
    )
    shown: dict[str, _Page] = {
        "/": calls,
        "/live": partial(live, LiveLists()),
        "/calls/{completion_id:path}": call,
        "/sessions/{session_id:path}": session,
    }
    return [
        *(Route(path, partial(_answer, page, store, admit), middleware=guarded) for path, page in shown.items()),
        Mount("/static/vendor", app=StaticFiles(directory=VENDOR), middleware=fixed),
        Mount("/static", app=StaticFiles(directory=STATIC), middleware=static),
    ]


async def _answer(page: _Page, store: Store, admit: Admit, request: Request) -> ASGIApp:
    try:
        return await page(store, request, await admit(request.headers, KeyScope.READ))
    except Refused as exc:
        response = problem(exc.status, "Not open to you", str(exc))
        if exc.status == 401:  # the browser asks for user name and password; the key is the password
            response.headers["www-authenticate"] = 'Basic realm="llm-proxy: any user, a key as the password"'
        return response
    except StoreUnavailable as exc:
        return problem(503, "The store is not available", str(exc))


class _Guarded:
    """Sets the headers that every answer has."""

    def __init__(self, app: ASGIApp, *, cache: bytes) -> None:
        self._app = app
        self._headers = [*_HEADERS.items(), (b"cache-control", cache)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def guarded_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, guarded_send)
