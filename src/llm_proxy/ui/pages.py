"""The pages: the latest calls, and one call, of the organisation of the key that the browser is asked for.

Nothing that a record holds can become anything but text: templates escape everything, and the policy of every answer
forbids scripts, foreign content and frames even if one did not.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from llm_proxy.errors import Refused, StoreUnavailable
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Bodies, Completion
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.base import Store
from llm_proxy.ui import present

#: Calls on the first page.
LATEST = 50
#: Characters of a body on its page: more is slow to render and nobody scrolls there; the API has the rest.
SHOWN_CHARACTERS = 200_000

_HERE = Path(__file__).parent
_HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'self'; "
        b"frame-ancestors 'none'"
    ),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
}
#: A name or an address with or without a port; anything else is not repeated on a page.
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_DEFAULT_HOST = "127.0.0.1:8080"

_templates = Environment(
    loader=FileSystemLoader(_HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals["dash"] = present.DASH

Admit = Callable[[Headers, Scope], Awaitable[Principal]]
_Page = Callable[[Store, Request, Principal], Awaitable[Response]]


def routes(store: Store, admit: Admit) -> list[Route | Mount]:
    """The routes, showing what is in ``store`` to whom ``admit`` lets in, which raises Refused for others."""
    # Prompts are not for caches; what is static may be kept, but is asked for again and then answered with 304.
    guarded, static = [Middleware(_Guarded, cache=b"no-store")], [Middleware(_Guarded, cache=b"no-cache")]
    return [
        Route("/", endpoint=partial(_answer, _latest, store, admit), middleware=guarded),
        Route("/calls/{completion_id}", endpoint=partial(_answer, _one, store, admit), middleware=guarded),
        Mount("/static", app=StaticFiles(directory=_HERE / "static"), middleware=static),
    ]


async def _answer(page: _Page, store: Store, admit: Admit, request: Request) -> Response:
    try:
        return await page(store, request, await admit(request.headers, Scope.READ))
    except Refused as exc:
        response = _render("problem.html", status=exc.status, title="Not open to you", reason=str(exc))
        if exc.status == 401:  # the browser asks for user name and password; the key is the password
            response.headers["www-authenticate"] = 'Basic realm="llm-proxy: any user, a key as the password"'
        return response
    except StoreUnavailable as exc:
        return _render("problem.html", status=503, title="The store is not available", reason=str(exc))


async def _latest(store: Store, request: Request, principal: Principal) -> Response:
    page = await store.find(CompletionQuery(organization_id=principal.organization_id, limit=LATEST))
    return _render(
        "latest.html",
        rows=[present.row(completion) for completion in page.completions],
        more=page.next is not None,
        zone=_zone(page.completions),
        base_url=f"http://{_host(request)}",
    )


async def _one(store: Store, request: Request, principal: Principal) -> Response:
    completion_id: str = request.path_params["completion_id"]
    completion = await store.get(completion_id, principal.organization_id)
    if completion is None:
        reason = f"There is no call {present.visible(completion_id)}."
        return _render("problem.html", status=404, title="Not found", reason=reason)
    bodies = completion.bodies or Bodies()
    sent = present.body(bodies.request, bodies.request_body, bodies.request_headers, limit=SHOWN_CHARACTERS)
    answered = present.body(bodies.response, bodies.response_body, bodies.response_headers, limit=SHOWN_CHARACTERS)
    return _render(
        "call.html",
        row=present.row(completion),
        sections=present.sections(completion),
        bodies=(("Request", sent), ("Response", answered)),
    )


class _Guarded:
    """Sets the headers that every answer has."""

    def __init__(self, app: Any, *, cache: bytes) -> None:
        self._app = app
        self._headers = [*_HEADERS.items(), (b"cache-control", cache)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def guarded_send(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, guarded_send)


def _render(template: str, *, status: int = 200, **values: object) -> Response:
    html = _templates.get_template(template).render(values)
    return Response(html.encode(errors="replace"), status, media_type="text/html")


def _host(request: Request) -> str:
    host = request.headers.get("host", "")
    return host if _HOST.fullmatch(host) else _DEFAULT_HOST


def _zone(completions: tuple[Completion, ...]) -> str:
    """The name of the time zone that the times of a list are in."""
    return next((f"{completion.started_at.astimezone():%Z}" for completion in completions), "")
