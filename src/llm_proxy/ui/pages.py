"""The pages: the calls, one call, and those of a session, and what other rooms there are, each as a table of its own.

Nothing that a record holds can run: templates escape everything, what is rendered is cleaned, and the policy of every
answer forbids foreign content, frames, and all scripts and styles but our own files.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from llm_proxy.api.login import COOKIE
from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import Principal
from llm_proxy.model.account import Scope as KeyScope
from llm_proxy.store.base import Store
from llm_proxy.ui.access import Access
from llm_proxy.ui.assets import STATIC, VENDOR
from llm_proxy.ui.call import call
from llm_proxy.ui.calls import calls
from llm_proxy.ui.live import LiveLists, live
from llm_proxy.ui.room import Act, Table, looks
from llm_proxy.ui.sharing import Sharing
from llm_proxy.ui.templating import Visitor, problem, visitor

_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        b"media-src data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    # With no-referrer, browsers would not say either that it is a page of ours that sends a form.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}


class Admit(Protocol):
    """Lets in who may do what a scope is for, and raises Refused for others."""

    async def __call__(self, headers: Headers, scope: KeyScope, *, only_looks: bool, by_project: bool) -> Principal: ...


_Page = Callable[[Store, Request, Principal], Awaitable[ASGIApp]]


def routes(
    store: Store, admit: Admit, *tables: Table, access: Access | None = None, sharing: Sharing | None = None
) -> list[Route | Mount]:
    """The routes, showing what is in ``store`` to whom ``admit`` lets in, which raises Refused for others.

    ``tables`` are those of further rooms. Without ``access`` nobody can log in, and without ``sharing`` nothing is
    shared by a link.
    """
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
    }
    calls_table = {path: looks(partial(page, store), by_project=True) for path, page in shown.items()}
    shares_table = {} if sharing is None else sharing.table()
    acts = {path: methods for table in (calls_table, shares_table, *tables) for path, methods in table.items()}
    return [
        *(
            Route(path, partial(_answer, methods, admit, access), methods=list(methods), middleware=guarded)
            for path, methods in acts.items()
        ),
        *([] if access is None else access.routes(guarded)),
        *([] if sharing is None else sharing.routes(guarded)),
        Mount("/static/vendor", app=StaticFiles(directory=VENDOR), middleware=fixed),
        Mount("/static", app=StaticFiles(directory=STATIC), middleware=static),
    ]


async def _answer(methods: Mapping[str, Act], admit: Admit, access: Access | None, request: Request) -> ASGIApp:
    act = methods["GET" if request.method == "HEAD" else request.method]
    visitor.set(None)
    try:
        only_looks = request.method != "POST"
        principal = await admit(request.headers, act.scope, only_looks=only_looks, by_project=act.by_project)
        visitor.set(Visitor(principal, logged_in=COOKIE in request.cookies))
        return await act.answer(request, principal)
    except Refused as exc:
        if exc.status == 401:
            return problem(401, "Not open to you", str(exc)) if access is None else access.asked(request)
        return problem(exc.status, "Not open to you" if exc.status == 403 else "Not done", str(exc))
    except StoreUnavailable as exc:
        return problem(503, "The store is not available", str(exc))


async def nowhere(request: Request, _: Exception) -> Response:
    """What answers where nothing is: a page to who reads pages, a line to others."""
    if "text/html" not in request.headers.get("accept", ""):
        return PlainTextResponse("Not Found", 404)
    visitor.set(None)
    answer = problem(404, "Not found", "There is no such page.")
    answer.headers.update({name.decode(): value.decode() for name, value in _HEADERS.items()})
    return answer


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
