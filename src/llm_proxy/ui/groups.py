"""The lists of sessions and of traces: what calls belong to, and what programs told of that has no calls."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.types import ASGIApp

from llm_proxy.model.account import Principal
from llm_proxy.model.query import Group, Grouping, GroupQuery, Tally
from llm_proxy.store.base import Overviews
from llm_proxy.ui import present
from llm_proxy.ui.calls import cursor_of, session_href, trace_href, written_cursor
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import base_url, page, problem

_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A session or trace in its list."""

    href: str
    name: str
    #: Its id, if it also has a name.
    id: str | None
    calls: str
    failed: str
    tokens: str
    cost: str
    #: What is not known of all calls is so much or more.
    cost_is_least: bool
    last: str
    iso_last: str
    took: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sort:
    """What differs between the two lists."""

    title: str
    path: str
    by: Grouping
    #: How a program says to which one a call belongs.
    example: str


_SESSIONS = _Sort(
    title="Sessions",
    path="/sessions",
    by=Grouping.SESSION,
    example="~session=run-42",
)
_TRACES = _Sort(
    title="Traces",
    path="/traces",
    by=Grouping.TRACE,
    example="~trace=0af7651916cd43dd8448eb211c80319c",
)


def table(overviews: Overviews) -> Table:
    """What is asked for where."""
    return {sort.path: looks(partial(_list, overviews, sort), by_project=True) for sort in (_SESSIONS, _TRACES)}


async def _list(overviews: Overviews, sort: _Sort, request: Request, principal: Principal) -> ASGIApp:
    try:
        after = cursor_of(request.query_params.get("after"))
    except ValueError as exc:
        return problem(400, "No such list", str(exc))
    owner, project = principal.organization_id, principal.project_id
    query = GroupQuery(organization_id=owner, project_id=project, by=sort.by, after=after, limit=_LISTED)
    groups = await overviews.groups(query)
    return page(
        "groups.html",
        title=sort.title,
        path=sort.path,
        lines=[_line(sort, group) for group in groups.groups],
        older=groups.next and f"{sort.path}?{urlencode({'after': written_cursor(groups.next)}, errors='replace')}",
        newest=sort.path if after else None,
        example=f"{base_url(request)}/{sort.example}/v1",
        zone=f"{datetime.now().astimezone():%Z}",
    )


def _line(sort: _Sort, group: Group) -> Line:
    tally = group.tally
    return Line(
        href=_href(sort, group.id),
        name=present.text(group.name or group.id),
        id=present.visible(group.id) if group.name else None,
        calls=present.count(tally.calls),
        failed=present.count(tally.failed) if tally.failed else present.DASH,
        tokens=present.count(_tokens(tally)),
        cost=present.dollars_about(tally.cost_usd),
        cost_is_least=tally.cost_usd is not None and tally.calls_without_cost > 0,
        last=present.time(group.last_at),
        iso_last=group.last_at.isoformat(),
        took=_took(group),
    )


def _took(group: Group) -> str:
    if group.tally.calls == 0:
        return present.duration(None if group.ended_at is None else (group.ended_at - group.first_at).total_seconds())
    seconds = (group.last_at - group.first_at).total_seconds()
    return present.duration(seconds) if group.tally.calls > 1 else present.DASH


def _tokens(tally: Tally) -> int | None:
    """Both ways together, also where no answer said so."""
    if tally.total_tokens is not None or tally.input_tokens is None or tally.output_tokens is None:
        return tally.total_tokens
    return tally.input_tokens + tally.output_tokens


def _href(sort: _Sort, its_id: str) -> str:
    return session_href(its_id) if sort.by is Grouping.SESSION else trace_href(its_id)
