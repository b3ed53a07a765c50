"""The bytes of a call over HTTP, as they went over the wire: ``GET /api/v1/completions/{id}/request``, ``…/response``.

Of a session over a WebSocket also what was in its frames, as JSON lines: ``…/events``.

Whoever sent them may have meant them for a browser: they are given as a file of no type, never to be shown or guessed
at. Of which type they are, and in which content coding they still stand, is said in headers of our own.
"""

import re
from functools import partial
from typing import Literal

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from llm_proxy.api.calls import call_of
from llm_proxy.api.operation import Operation, unknown
from llm_proxy.api.resource import Fault, Table, words
from llm_proxy.decode.socket_events import json_lines, session_events
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Bodies, Completion
from llm_proxy.model.exchange import Endpoint, RecordedHeaders
from llm_proxy.store.base import Store

#: The header in which each recorded header is named.
NAMED = {"content-type": "X-LLM-Recorded-Content-Type", "content-encoding": "X-LLM-Recorded-Content-Encoding"}
TRUNCATED = "X-LLM-Recorded-Truncated"
_SAFE = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
}
_UNSAFE = re.compile(r"[^\x20-\x7e]")
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]")

_Side = Literal["request", "response"]


def table(store: Store) -> Table:
    """What is answered from ``store``."""

    def of(side: _Side) -> Operation:
        about = f"The bytes of the {side} as they went over the wire, in their content coding."
        return Operation(scope=Scope.READ, by_project=True, answer=partial(_raw, store, side), about=about, gives=bytes)

    return {
        "/api/v1/completions/{completion_id}/request": {"GET": of("request")},
        "/api/v1/completions/{completion_id}/response": {"GET": of("response")},
        "/api/v1/completions/{completion_id}/events": {
            "GET": Operation(
                scope=Scope.READ,
                by_project=True,
                answer=partial(_events, store),
                about="What both sides said over a WebSocket, in its order, as JSON lines.",
                gives=bytes,
            )
        },
    }


async def _raw(store: Store, side: _Side, request: Request, principal: Principal) -> Response:
    completion = await _call(store, request, principal)
    bodies = completion.bodies or Bodies()
    body = bodies.request_body if side == "request" else bodies.response_body
    if body is None:
        raise Fault(f"no bytes of its {side} are kept", status=404, code="not_kept", param="id")
    recorded = bodies.request_headers if side == "request" else bodies.response_headers
    headers = _headers(completion, side) | _named(recorded)
    return Response(body, headers=headers, media_type="application/octet-stream")


async def _events(store: Store, request: Request, principal: Principal) -> Response:
    completion = await _call(store, request, principal)
    bodies = completion.bodies or Bodies()
    if completion.endpoint is not Endpoint.REALTIME or completion.http_status != 101:
        raise Fault("it is no session over a WebSocket", status=404, code="not_kept", param="id")
    if bodies.request_body is None and bodies.response_body is None:
        raise Fault("no bytes of it are kept", status=404, code="not_kept", param="id")
    # Line by line, in a thread: those of a long session are never in memory at once.
    lines = json_lines(session_events(bodies))
    return StreamingResponse(lines, headers=_headers(completion, "events.jsonl"), media_type="application/octet-stream")


async def _call(store: Store, request: Request, principal: Principal) -> Completion:
    words(request.query_params, {})
    completion_id: str = request.path_params["completion_id"]
    completion = await call_of(store, completion_id, principal)
    if completion is None:
        raise unknown("completion", completion_id)
    return completion


def _headers(completion: Completion, what: str) -> dict[str, str]:
    file_name = f"{_UNSAFE_IN_NAMES.sub('_', completion.id)[:100]}.{what}"
    cut = {TRUNCATED: "true"} if completion.truncated else {}
    return _SAFE | {"content-disposition": f'attachment; filename="{file_name}"'} | cut


def _named(recorded: RecordedHeaders) -> dict[str, str]:
    """What was recorded of the type and the coding of the bytes."""
    named: dict[str, list[str]] = {}
    for name, value in recorded:
        header = NAMED.get(name.lower())
        if header is not None and value is not None:
            named.setdefault(header, []).append(_UNSAFE.sub("?", value).strip())
    return {header: ", ".join(values) for header, values in named.items()}
