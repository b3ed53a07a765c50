"""Templates of the pages, and what all of them know. Everything that is put into one is escaped."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.model.account import Principal, Scope
from llm_proxy.ui import present
from llm_proxy.ui.assets import script, scripts, vendor

#: A name or an address with or without a port; anything else is not repeated on a page.
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_DEFAULT_HOST = "127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Room:
    """What the bar at the top leads to, and the key that does so behind ``g``."""

    name: str
    href: str
    key: str
    #: Who lacks this does not see it there.
    scope: Scope = Scope.READ
    #: Whether a key of one project sees it there.
    by_project: bool = False


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page."""

    principal: Principal
    #: Whether there is something to log out of.
    logged_in: bool


#: Of the request that is being answered; None as long as nobody was let in.
visitor: ContextVar[Visitor | None] = ContextVar("visitor", default=None)

#: A page says which of these it belongs to by ``{% set here = "Calls" %}``.
ROOMS = (
    Room("Calls", "/", "c", by_project=True),
    Room("Sessions", "/sessions", "s", by_project=True),
    Room("Traces", "/traces", "t", by_project=True),
    Room("Dashboard", "/dashboard", "d", by_project=True),
    Room("Grading", "/grading", "r", by_project=True),
    Room("Pipeline", "/pipeline", "p"),
    Room("Settings", "/settings", "e", Scope.ADMIN, by_project=True),
)


def _rooms() -> list[Room]:
    """Those that the visitor may go to."""
    seen_by = visitor.get()
    if seen_by is None:
        return []
    return [room for room in ROOMS if room.scope in seen_by.principal.scopes and (room.by_project or _whole())]


def _whole() -> bool:
    """Whether the visitor may see what is the whole organisation's."""
    seen_by = visitor.get()
    return seen_by is not None and seen_by.principal.project_id is None


_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    auto_reload=False,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {
    "dash": present.DASH,
    "scripts": scripts(),
    "script": script,
    "vendor": vendor,
    "rooms": _rooms,
    "whole": _whole,
    "visitor": visitor.get,
}


def page(template: str, *, status: int = 200, **values: object) -> Response:
    """The page that ``template`` makes of ``values``."""
    return Response(fragment(template, **values), status, media_type="text/html")


def problem(status: int, title: str, reason: str) -> Response:
    """A page that says why there is no other."""
    return page("problem.html", status=status, title=title, reason=reason)


def fragment(template: str, **values: object) -> bytes:
    """What ``template`` makes of ``values``, in UTF-8; what that cannot say is a question mark."""
    return _templates.get_template(template).render(values).encode(errors="replace")


def base_url(request: Request) -> str:
    """Where the one who asks reaches this proxy, without a slash at its end."""
    host = request.headers.get("host", "")
    return f"http://{host if _HOST.fullmatch(host) else _DEFAULT_HOST}"
