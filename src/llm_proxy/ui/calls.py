"""The list of calls: a filter and a place, both in the URL, and the rows between two places.

An id that is pasted into the filter bar is no filter: it opens what it is the id of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.filter_words import WORDS
from llm_proxy.model.filters import Filter, parse
from llm_proxy.model.query import Cursor, Page
from llm_proxy.store.base import Store
from llm_proxy.ui import present
from llm_proxy.ui.columns import COLUMNS, chosen, remember
from llm_proxy.ui.reach import asked, call_of
from llm_proxy.ui.templating import base_url, page

#: Calls on a page.
LATEST = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHOWN_STATUS = {Status.STARTED: "running"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A call in the list, and where its parts lead."""

    row: present.Row
    status: str
    #: Where it stands, for whoever puts new ones beside it: larger is newer, as text.
    place: str
    href: str
    session_href: str | None
    model_href: str | None
    user_href: str | None
    #: Each as it is shown, and where it leads.
    tags: tuple[tuple[str, str], ...]


async def calls(store: Store, request: Request, principal: Principal) -> Response:
    """The page of the calls that the filter of the URL lets through."""
    written = request.query_params.get("q", "").strip()
    now = datetime.now(UTC)
    try:
        found = parse(written, now=now)
        after, before = (cursor_of(request.query_params.get(name)) for name in ("after", "before"))
    except ValueError as exc:
        if opened := await _opened(store, written, principal):
            return RedirectResponse(opened, status_code=303)
        return _listed(request, Filter(), written=written, fault=str(exc))
    query = asked(principal, found, now=now, after=after or before, limit=LATEST)
    if before is None:
        return _listed(request, found, written=str(found), result=await store.find(query), after=after)
    newer = await store.find(replace(query, oldest_first=True))
    if newer.next is None or not newer.completions:  # there is no page between this one and the newest, which is live
        return RedirectResponse(href(found), status_code=303)
    last = newer.completions[0]
    turned = Page(completions=newer.completions[::-1], next=Cursor(started_at=last.started_at, id=last.id))
    return _listed(request, found, written=str(found), result=turned, after=before)


def lines(completions: Sequence[Completion], found: Filter) -> list[Line]:
    """The lines of a list to which ``found`` is applied."""
    return [_line(completion, found) for completion in completions]


def href(found: Filter, **place: str) -> str:
    """The list to which ``found`` is applied, ``after`` or ``before`` a place."""
    words = str(found)
    given = {**({"q": words} if words else {}), **place}
    return f"/?{urlencode(given, errors='replace')}" if given else "/"


def call_href(completion_id: str) -> str:
    """The page of a call."""
    return f"/calls/{quote(completion_id, safe='', errors='replace')}"


def again_href(completion_id: str) -> str:
    """The page from which a call is sent again."""
    return f"/playground/{quote(completion_id, safe='', errors='replace')}"


def session_href(session_id: str) -> str:
    """The page of a session."""
    return f"/sessions/{quote(session_id, safe='', errors='replace')}"


def trace_href(trace_id: str) -> str:
    """The page of a trace."""
    return f"/traces/{quote(trace_id, safe='', errors='replace')}"


def feedback_href(kind: str, its_id: str) -> str:
    """The page of the feedback to a ``call``, a ``session`` or a ``trace``."""
    return f"/feedback?{urlencode({kind: its_id}, errors='replace')}"


def place(completion: Completion) -> str:
    """Where a record stands in the order of the lists, as text that sorts as they do."""
    return written_cursor(Cursor(started_at=completion.started_at, id=completion.id))


def written_cursor(cursor: Cursor) -> str:
    """A place as text that sorts as the places do."""
    return f"{(cursor.started_at - _EPOCH) // _MICROSECOND:017}-{cursor.id}"


def cursor_of(written: str | None) -> Cursor | None:
    """The place that ``written_cursor`` wrote; None for none. Raises ValueError."""
    if not written:
        return None
    micros, _, completion_id = written.partition("-")
    try:
        return Cursor(started_at=_EPOCH + int(micros) * _MICROSECOND, id=completion_id)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{written!r} is no place in a list") from exc


async def _opened(store: Store, written: str, principal: Principal) -> str | None:
    """The page of what ``written`` is the id of; None if it is none."""
    if not written or len(written.split()) > 1:
        return None
    if await call_of(store, written, principal) is not None:
        return call_href(written)
    for key, page_of in (("session", session_href), ("trace", trace_href)):
        query = asked(principal, Filter(((key, written),)), now=datetime.now(UTC), limit=1)
        if (await store.find(query)).completions:
            return page_of(written)
    return None


def _listed(
    request: Request,
    found: Filter,
    *,
    written: str,
    result: Page | None = None,
    after: Cursor | None = None,
    fault: str | None = None,
) -> Response:
    result = result or Page(completions=())
    listed = lines(result.completions, found)
    full = len(listed) == LATEST
    # Of a text that is looked for, a page may end early: then the next one goes on from where reading stopped.
    older = None if result.next is None else written_cursor(result.next)
    floor = {"floor": listed[-1].place} if full else {}
    live = after is None and fault is None
    columns = chosen(request)
    given = {"q": written} if written else {}
    response = page(
        "calls.html",
        status=400 if fault else 200,
        lines=listed,
        written=present.visible(written),
        fault=fault and present.visible(fault),
        filtered=bool(found.words),
        words=WORDS,
        older=older and href(found, after=older),
        older_base=href(found, after="-"),
        newer=href(found, before=listed[0].place) if after and listed else None,
        searched_to=present.time(result.next.started_at) if result.next and not full else None,
        newest=href(found) if after else None,
        live=f"/live?{urlencode({'q': str(found), **floor}, errors='replace')}" if live else None,
        zone=_zone(result.completions),
        base_url=base_url(request),
        columns=columns,
        all_columns=COLUMNS.values(),
        export_href=_with("/export", given),
        save_href=_with("/views", given, columns=",".join(column.name for column in columns)),
    )
    remember(request, response, columns)
    return response


def _with(path: str, given: dict[str, str], **more: str) -> str:
    query = urlencode({**given, **more}, errors="replace")
    return f"{path}?{query}" if query else path


def _line(completion: Completion, found: Filter) -> Line:
    row = present.row(completion)
    context, model = completion.context, completion.model or completion.response_model
    return Line(
        row=row,
        status=_SHOWN_STATUS.get(completion.status, completion.status.value),
        place=place(completion),
        href=call_href(completion.id),
        session_href=session_href(context.session_id) if context.session_id else None,
        model_href=href(found.also("model", model)) if model else None,
        user_href=href(found.also("user", context.user_id)) if context.user_id else None,
        tags=tuple((present.visible(tag), href(found.also("tag", tag))) for tag in context.tags if tag),
    )


def _zone(completions: Sequence[Completion]) -> str:
    """The name of the time zone that the times of a list are in."""
    return next((f"{completion.started_at.astimezone():%Z}" for completion in completions), "")
