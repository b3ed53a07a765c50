"""The lists of sessions and of traces: what calls belong to, and what programs told of that has no calls.

Filter and place are in the URL, as those of the list of calls are.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.types import ASGIApp

from llm_proxy.model.account import Principal
from llm_proxy.model.filter_words import GROUP_WORDS, SUMMED
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.query import Cursor, Group, Grouping, GroupPage
from llm_proxy.store.base import Overviews
from llm_proxy.ui import present
from llm_proxy.ui.calls import cursor_of, session_href, trace_href, written_cursor
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import base_url, page

_LISTED = 50
#: How long to look for what the filter says, in seconds; then the page ends where it is.
_PATIENCE_S = 1.0
#: Times that are one click away.
_RANGES = ("1h", "24h", "7d", "30d")


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
    written, now = request.query_params.get("q", "").strip(), datetime.now(UTC)
    try:
        found = parse(written, now=now, words=GROUP_WORDS)
        after = cursor_of(request.query_params.get("after"))
    except ValueError as exc:
        return _listed(request, sort, Filter(), written=written, fault=str(exc))
    owner, project = principal.organization_id, principal.project_id
    query = found.group_query(sort.by, owner, project_id=project, now=now, after=after)
    groups = await overviews.groups(replace(query, limit=_LISTED, patience_s=_PATIENCE_S if found.words else None))
    return _listed(
        request, sort, found, written=str(found), groups=groups, after=after, of_a_call=query.some is not None
    )


def _listed(
    request: Request,
    sort: _Sort,
    found: Filter,
    *,
    written: str,
    groups: GroupPage | None = None,
    after: Cursor | None = None,
    of_a_call: bool = False,
    fault: str | None = None,
) -> ASGIApp:
    groups = groups or GroupPage()
    timed = found.without("since", "until") != found
    is_short = groups.next is not None and len(groups.groups) < _LISTED
    return page(
        "groups.html",
        status=400 if fault else 200,
        title=sort.title,
        path=sort.path,
        written=present.visible(written),
        fault=fault and present.visible(fault),
        filtered=bool(found.words),
        of_a_call=of_a_call,
        timed=timed,
        summed=SUMMED,
        of_calls={word: known for word, known in GROUP_WORDS.items() if word not in (*SUMMED, "since", "until")},
        ranges=[(ago, _address(sort, found.without("until").also("since", ago))) for ago in _RANGES],
        everything=_address(sort, found.without("since", "until")) if timed else None,
        lines=[_line(sort, group) for group in groups.groups],
        searched_to=present.time(groups.next.started_at) if groups.next is not None and is_short else None,
        older=groups.next and _address(sort, found, after=written_cursor(groups.next)),
        newest=_address(sort, found) if after else None,
        example=f"{base_url(request)}/{sort.example}/v1",
        zone=f"{datetime.now().astimezone():%Z}",
    )


def _address(sort: _Sort, found: Filter, **place: str) -> str:
    words = str(found)
    given = {**({"q": words} if words else {}), **place}
    return f"{sort.path}?{urlencode(given, errors='replace')}" if given else sort.path


def _line(sort: _Sort, group: Group) -> Line:
    tally = group.tally
    return Line(
        href=_href(sort, group.id),
        name=present.text(group.name or group.id),
        id=present.visible(group.id) if group.name else None,
        calls=present.count(tally.calls),
        failed=present.count(tally.failed) if tally.failed else present.DASH,
        tokens=present.count(tally.tokens),
        cost=present.dollars_about(tally.cost_usd),
        cost_is_least=tally.cost_usd is not None and tally.calls_without_cost > 0,
        last=present.time(group.matched_at or group.last_at),
        iso_last=(group.matched_at or group.last_at).isoformat(),
        took=_took(group),
    )


def _took(group: Group) -> str:
    if group.tally.calls == 0:
        return present.duration(None if group.ended_at is None else (group.ended_at - group.first_at).total_seconds())
    seconds = (group.last_at - group.first_at).total_seconds()
    return present.duration(seconds) if group.tally.calls > 1 else present.DASH


def _href(sort: _Sort, its_id: str) -> str:
    return session_href(its_id) if sort.by is Grouping.SESSION else trace_href(its_id)
