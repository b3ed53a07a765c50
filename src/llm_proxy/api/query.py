"""Reading the records over HTTP, for programs.

``GET /api/v1/completions`` lists them newest first, ``GET /api/v1/completions/{id}`` gives one with its bodies; both in
the shape of model/record.py. A list goes on with ``cursor``, the ``next`` of the list before. A parameter that is
unknown or makes no sense is refused and named, never ignored: a filter that is not applied would be a wrong answer.
"""

import base64
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import JsonObject, Status
from llm_proxy.model.json_text import encode_json
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
#: Prompts are not for caches, and JSON is not for guessing what else it might be.
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def routes(store: Store) -> list[Route]:
    """The routes, answering from ``store``."""
    return [
        Route("/api/v1/completions", endpoint=_Resource(partial(_list, store))),
        Route("/api/v1/completions/{completion_id}", endpoint=_Resource(partial(_one, store))),
    ]


async def _list(store: Store, request: Request) -> JsonObject:
    query = _query(request.query_params, now=datetime.now(UTC))
    page = await store.find(query)
    return {
        "completions": [record_json(completion, with_bodies=query.with_bodies) for completion in page.completions],
        "next": _written(page.next) if page.next else None,
    }


async def _one(store: Store, request: Request) -> JsonObject:
    _refuse_unknown(request.query_params, known={})
    completion_id: str = request.path_params["completion_id"]
    completion = await store.get(completion_id)
    if completion is None:
        raise _Refusal(f"there is no completion {completion_id!r}", status=404, code="not_found", param="id")
    return record_json(completion, with_bodies=True)


class _Refusal(Exception):
    """The request cannot be answered, and it is the caller who can mend it."""

    def __init__(self, message: str, *, param: str | None, status: int = 400, code: str = "invalid_parameter") -> None:
        super().__init__(message)
        self.status = status
        self.error: JsonObject = {
            "message": message,
            "type": "invalid_request_error",
            "code": code,
            "param": param,
        }


class _Resource:
    """An ASGI application that answers GET and HEAD; every error comes in the same JSON shape."""

    def __init__(self, answer: Callable[[Request], Awaitable[JsonObject]]) -> None:
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        if request.method not in ("GET", "HEAD"):
            message = f"{request.method} is not possible here; use GET"
            refusal = _Refusal(message, status=405, code="method_not_allowed", param=None)
            return _json({"error": refusal.error}, status=405, headers={"allow": "GET, HEAD"})
        try:
            return _json(await self._answer(request))
        except _Refusal as exc:
            return _json({"error": exc.error}, status=exc.status)
        except StoreUnavailable as exc:
            error: JsonObject = {
                "message": str(exc),
                "type": "unavailable",
                "code": "store_unavailable",
                "param": None,
            }
            return _json({"error": error}, status=503, headers={"retry-after": "1"})


def _json(value: JsonObject, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(encode_json(value), status, _HEADERS | (headers or {}), media_type="application/json")


def _query(given: QueryParams, *, now: datetime) -> CompletionQuery:
    _refuse_unknown(given, known=_PARAMETERS)
    return CompletionQuery(
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


def _refuse_unknown(given: QueryParams, *, known: dict[str, bool]) -> None:
    seen: set[str] = set()
    for name, value in given.multi_items():
        if name not in known:
            there_are = f"there are {', '.join(known)}" if known else "there are none"
            raise _Refusal(f"{name} is no parameter; {there_are}", code="unknown_parameter", param=name)
        if not value:
            raise _Refusal(f"{name} is empty; leave it out", param=name)
        if name in seen and not known[name]:
            raise _Refusal(f"{name} is given more than once", param=name)
        seen.add(name)


def _parsed(given: QueryParams, name: str, parse: Callable[[str], Any]) -> Any:
    """The value of a parameter; None if it is not given. What ``parse`` says in a ValueError is told to the caller."""
    text = given.get(name)
    try:
        return None if text is None else parse(text)
    except ValueError as exc:
        raise _Refusal(f"{name}: {exc}", param=name) from exc


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
