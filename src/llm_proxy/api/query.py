"""Reading the records over HTTP, for programs.

``GET /api/v1/completions`` lists them newest first, ``GET /api/v1/completions/{id}`` gives one with its bodies; both in
the shape of model/record.py, of what the organisation of the caller has. A list goes on with ``cursor``, the ``next``
of the list before. A parameter that is unknown or makes no sense is refused and named, never ignored: a filter that is
not applied would be a wrong answer.
"""

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.resource import Fault, Method, Table, answered, words
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery, Cursor, parse_time
from llm_proxy.model.record import record_json
from llm_proxy.store.base import Store

DEFAULT_LIMIT = 50
#: More than that at once would keep the store's process from everybody else.
MAX_LIMIT = 1000
#: Whether a parameter may be given more than once.
_PARAMETERS = {
    "tag": True,
    "session": False,
    "user": False,
    "model": False,
    "status": False,
    "since": False,
    "until": False,
    "search": False,
    "limit": False,
    "cursor": False,
    "fields": False,
}


def table(store: Store) -> Table:
    """What is answered from ``store``."""
    return {
        "/api/v1/completions": {"GET": Method(scope=Scope.READ, answer=partial(_list, store))},
        "/api/v1/completions/{completion_id}": {"GET": Method(scope=Scope.READ, answer=partial(_one, store))},
    }


async def _list(store: Store, request: Request, principal: Principal) -> Response:
    query = _query(request.query_params, principal.organization_id, now=datetime.now(UTC))
    page = await store.find(query)
    return answered(
        {
            "completions": [record_json(completion, with_bodies=query.with_bodies) for completion in page.completions],
            "next": _written(page.next) if page.next else None,
        }
    )


async def _one(store: Store, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    completion_id: str = request.path_params["completion_id"]
    completion = await store.get(completion_id, principal.organization_id)
    if completion is None:
        raise Fault(f"there is no completion {completion_id!r}", status=404, code="not_found", param="id")
    return answered(record_json(completion, with_bodies=True))


def _query(given: QueryParams, organization_id: str, *, now: datetime) -> CompletionQuery:
    words(given, _PARAMETERS)
    return CompletionQuery(
        organization_id=organization_id,
        tags=tuple(given.getlist("tag")),
        session_id=given.get("session"),
        user_id=given.get("user"),
        model=given.get("model"),
        status=_parsed(given, "status", _status),
        since=_parsed(given, "since", partial(parse_time, now=now)),
        until=_parsed(given, "until", partial(parse_time, now=now)),
        search=given.get("search"),
        after=_parsed(given, "cursor", _cursor),
        limit=_parsed(given, "limit", _limit) or DEFAULT_LIMIT,
        with_bodies=_parsed(given, "fields", _with_bodies) or False,
    )


def _parsed(given: QueryParams, name: str, parse: Callable[[str], Any]) -> Any:
    """The value of a parameter; None if it is not given. What ``parse`` says in a ValueError is told to the caller."""
    text = given.get(name)
    try:
        return None if text is None else parse(text)
    except ValueError as exc:
        raise Fault(f"{name}: {exc}", param=name) from exc


def _status(text: str) -> Status:
    if text not in list(Status):
        raise ValueError(f"{text!r} is no status; there are {', '.join(Status)}")
    return Status(text)


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError(f"{text!r} is no number from 1 to {MAX_LIMIT}")
    return int(text)


def _with_bodies(text: str) -> bool:
    if text != "bodies":
        raise ValueError(f"{text!r} is unknown; there is bodies")
    return True


def _written(cursor: Cursor) -> str:
    place = f"{cursor.started_at.isoformat()} {cursor.id}"
    return base64.urlsafe_b64encode(place.encode(errors="surrogatepass")).decode().rstrip("=")


def _cursor(text: str) -> Cursor:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        time, _, completion_id = raw.decode(errors="surrogatepass").partition(" ")
        return Cursor(started_at=datetime.fromisoformat(time).astimezone(UTC), id=completion_id)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is not the next of a list") from exc
