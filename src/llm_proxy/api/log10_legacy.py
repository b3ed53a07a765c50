"""What log10-io and log10js use of Log10 that is in no specification: their own paths, words and envelopes.

They log by ``POST /api/completions``, which gives an id, and by rows under that id, or under one of their own making.
log10-io's commands list and show completions by the rest. Errors are JSON objects with an ``error``, which it prints.
"""

import base64
import binascii
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import call_of
from llm_proxy.api.log10 import Log10, page_of, query_of
from llm_proxy.api.log10_json import legacy_completion_json, legacy_listed_json
from llm_proxy.api.log10_rows import checked_id, legacy_row_of
from llm_proxy.api.resource import Fault, Method, Table, answered, decode_strictly, read_object
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Completion, JsonObject
from llm_proxy.model.query import CompletionQuery, Page

#: Beyond that a list is not paged through: it is read from its beginning every time.
MAX_OFFSET = 100_000
_MAX_FOUND_TAGS = 100


def table(log10: Log10) -> Table:
    """What is answered."""
    read = partial(Method, scope=Scope.READ, by_project=True)
    write = partial(Method, scope=Scope.WRITE, by_project=True)
    return {
        "/api/completions": {
            "GET": read(answer=partial(_list, log10)),
            "POST": write(answer=partial(_reserve, log10)),
        },
        "/api/completions/{completion_id}": {
            "GET": read(answer=partial(_get, log10)),
            "POST": write(answer=partial(_row, log10)),
        },
        "/api/sessions": {"POST": write(answer=partial(_create_session, log10))},
        "/api/tags/search": {"GET": read(answer=partial(_search_tags, log10))},
    }


async def _reserve(log10: Log10, request: Request, principal: Principal) -> Response:
    principal = await log10.sender(principal, await read_object(request, needed=False))
    # Its older classes take nothing but a UUID of version 4. There is no record before there is a row.
    return answered({"completionID": str(uuid4()), "organizationSlug": principal.organization_id})


async def _row(log10: Log10, request: Request, principal: Principal) -> Response:
    completion_id = checked_id(request.path_params["completion_id"], "completionId")
    given = await read_object(request)
    principal = await log10.sender(principal, given)
    completion = await log10.told(principal, completion_id, legacy_row_of(given))
    return answered({"id": completion.id, "status": completion.status.value})


async def _get(log10: Log10, request: Request, principal: Principal) -> Response:
    completion_id: str = request.path_params["completion_id"]
    completion = await call_of(log10.store, completion_id, principal)
    if completion is None:
        raise Fault(f"there is no completion {completion_id!r}", status=404, code="not_found", param="completionId")
    return answered({"data": legacy_completion_json(completion, _tag_ids(completion))})


async def _list(log10: Log10, request: Request, principal: Principal) -> Response:
    words = query_of(request, "offset", "limit")
    offset, limit = page_of(words)
    if offset > MAX_OFFSET:
        raise Fault(f"offset must not be beyond {MAX_OFFSET}", param="offset")
    since, until = _created(words)
    query = CompletionQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        tags=_tags(words),
        since=since,
        until=until,
        limit=limit,
    )
    ids = str(words.get("ids", ""))
    if ids:
        named = [await call_of(log10.store, one, principal) for one in ids.split(",")[: query.limit]]
        found = [one for one in named if one is not None]
    else:
        found = await log10.with_bodies((await _page(log10, query, offset)).completions)
    return answered({"data": [legacy_listed_json(one, _tag_ids(one)) for one in found]})


async def _page(log10: Log10, query: CompletionQuery, offset: int) -> Page:
    if not offset:
        return await log10.store.find(query)
    before = await log10.store.find(replace(query, limit=offset))
    return await log10.store.find(replace(query, after=before.next)) if before.next else Page(completions=())


async def _create_session(log10: Log10, request: Request, principal: Principal) -> Response:
    await log10.sender(principal, await read_object(request, needed=False))
    return answered({"sessionID": str(uuid4())})


async def _search_tags(log10: Log10, request: Request, principal: Principal) -> Response:
    wanted = str(query_of(request).get("query", ""))
    found = await log10.store.tags(
        principal.organization_id, wanted, project_id=principal.project_id, limit=_MAX_FOUND_TAGS
    )
    return answered({"data": [{"id": _tag_id(tag), "name": tag} for tag in found]})


def _created(words: JsonObject) -> tuple[datetime | None, datetime | None]:
    given = words.get("createdFilter")
    if not isinstance(given, str):
        return None, None
    try:
        span = decode_strictly(given.encode(errors="surrogatepass"))
        told = [span.get(name) for name in ("from", "to")] if isinstance(span, dict) else [given]
        times = [None if time is None else _time(str(time)) for time in told]
    except (ValueError, OverflowError) as exc:
        raise Fault("createdFilter must be a JSON object with from and to, in ISO 8601", param="createdFilter") from exc
    return times[0], times[1]


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _tags(words: JsonObject) -> tuple[str, ...]:
    given = str(words.get("tagFilter", ""))
    try:
        return tuple(_tag(one) for one in given.split(",") if one)
    except ValueError as exc:
        raise Fault("tagFilter must be ids of tags, with commas between them", param="tagFilter") from exc


def _tag_ids(completion: Completion) -> dict[str, str]:
    return {tag: _tag_id(tag) for tag in completion.context.tags}


def _tag_id(tag: str) -> str:
    """A word without a comma that stands for the tag: ids of tags are joined by commas."""
    return base64.urlsafe_b64encode(tag.encode(errors="surrogatepass")).decode().rstrip("=")


def _tag(tag_id: str) -> str:
    try:
        raw = base64.b64decode(tag_id + "=" * (-len(tag_id) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise ValueError(tag_id) from exc
    return raw.decode(errors="surrogatepass")
