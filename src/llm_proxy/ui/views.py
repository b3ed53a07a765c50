"""Saved views of the list of calls: a filter with its columns under a name.

They are everybody's of the organisation or, made with a key of a project, of that project. Who manages the organisation
sees those of its projects as well, each with the calls of its project alone, can forget one, and give one to everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.keepsake import SavedView
from llm_proxy.store.base import Accounts, Keepsakes
from llm_proxy.ui import present
from llm_proxy.ui.columns import named
from llm_proxy.ui.room import Table, changes, first, go_to, looks, read_form
from llm_proxy.ui.templating import fragment, page

_NAME_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A saved view, and where it leads."""

    #: As it is kept, and as it is shown.
    kept_name: str
    name: str
    filter: str
    href: str
    #: As they are written in the URL.
    columns: str
    #: Of a project: its id, its name, and what the view is where it is everybody's.
    project_id: str = ""
    project: str = ""
    everybodys_name: str = ""
    everybodys_filter: str = ""


@dataclass(frozen=True, slots=True)
class _Kept:
    keepsakes: Keepsakes
    accounts: Accounts


def table(keepsakes: Keepsakes, accounts: Accounts) -> Table:
    """What is asked for where."""
    kept = _Kept(keepsakes, accounts)
    return {
        "/views": {**looks(partial(_views, kept), by_project=True), **changes(partial(_save, kept), by_project=True)},
        "/views/drop": changes(partial(_drop, kept), by_project=True),
    }


async def _views(kept: _Kept, request: Request, principal: Principal) -> ASGIApp:
    """The saved views as a page, or in short for a list."""
    owner, project = principal.organization_id, principal.project_id
    shown = [_shown(view) for view in await kept.keepsakes.views(owner, project_id=project)]
    written = request.query_params.get("q", "")
    if "short" in request.query_params:
        return Response(fragment("view_chips.html", views=shown, written=written), media_type="text/html")
    return page(
        "views.html",
        views=shown,
        of_projects=await _of_projects(kept, owner) if _manages(principal) else (),
        written=present.visible(written),
        columns=present.visible(request.query_params.get("columns", "")),
        fault=None,
    )


async def _of_projects(kept: _Kept, organization_id: str) -> Sequence[View]:
    projects = {project.id: project.name for project in await kept.accounts.projects(organization_id)}
    views = await kept.keepsakes.views_of_projects(organization_id)
    return [_shown_of_project(view, projects.get(view.project_id or "", view.project_id or "")) for view in views]


async def _save(kept: _Kept, request: Request, principal: Principal) -> ASGIApp:
    fields = await read_form(request)
    name, written = first(fields, "name"), first(fields, "q")
    now = datetime.now(UTC)
    if not 0 < len(name) <= _NAME_CHARACTERS:
        message = f"a view needs a name of at most {_NAME_CHARACTERS} characters"
        raise Refused(message, status=400, code="invalid_request")
    try:
        found = parse(written, now=now)
    except ValueError as exc:
        raise Refused(str(exc), status=400, code="invalid_request") from exc
    columns = tuple(column.name for column in named([first(fields, "columns")]))
    view = SavedView(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        name=name,
        filter=str(found),
        columns=columns,
        created_at=now,
    )
    await kept.keepsakes.save_view(view)
    return go_to(_shown(view).href)


async def _drop(kept: _Kept, request: Request, principal: Principal) -> ASGIApp:
    fields = await read_form(request)
    name, project = ((fields.get(field) or [""])[0] for field in ("name", "project"))
    if project and not _manages(principal):
        raise Refused(
            "views of a project are managed by its keys, and by who has `admin`", status=403, code="forbidden"
        )
    project_id = project or principal.project_id
    await kept.keepsakes.drop_view(principal.organization_id, name, project_id=project_id)
    return go_to("/views")


def _manages(principal: Principal) -> bool:
    return principal.project_id is None and Scope.ADMIN in principal.scopes


def _shown(view: SavedView) -> View:
    columns = ",".join(view.columns)
    given = {name: value for name, value in {"q": view.filter, "columns": columns}.items() if value}
    return View(
        kept_name=view.name,
        name=present.visible(view.name),
        filter=present.visible(view.filter),
        href=f"/?{urlencode(given, errors='replace')}",
        columns=columns,
    )


def _shown_of_project(view: SavedView, project: str) -> View:
    within = str(Filter((("project", view.project_id or ""),)))
    narrowed = f"{view.filter} {within}".strip()
    given = {name: value for name, value in {"q": narrowed, "columns": ",".join(view.columns)}.items() if value}
    return View(
        kept_name=view.name,
        name=present.visible(view.name),
        filter=present.visible(narrowed),
        href=f"/?{urlencode(given, errors='replace')}",
        columns=",".join(view.columns),
        project_id=view.project_id or "",
        project=present.visible(project),
        everybodys_name=f"{view.name} ({project})"[:_NAME_CHARACTERS],
        everybodys_filter=narrowed,
    )
