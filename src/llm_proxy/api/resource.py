"""What all APIs share: who may ask is settled first, then the body is read, and every error is a JSON object.

An API is a table: path, method, and what answers. Several may have the same path; whoever puts them together gives the
tables to ``routes``. Nothing is read of a body before its sender was let in, and never more than ``MAX_BODY_BYTES``.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias, cast

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from llm_proxy.api.auth import Gate
from llm_proxy.errors import Refused, StoreRejected, StoreUnavailable
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.json_text import encode_json

#: A body of more than that is refused: images stand in prompts as text, and several megabytes are normal.
MAX_BODY_BYTES = 32 * 2**20
#: How deep JSON may be nested: more than any API has, and less than what Python can walk.
MAX_DEPTH = 100
#: Prompts are not for caches, and JSON is not for guessing what else it might be.
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_ORGANIZATION = "organization_id"
_TYPES = {401: "authentication_error", 403: "permission_error", 503: "unavailable"}


#: What clients ask for whose base URL lacks its /v1, and what is no page.
_WITHOUT_ROOT = (
    "/chat/completions", "/completions", "/responses", "/embeddings", "/moderations", "/messages", "/models", "/files",
    "/images/{rest:path}", "/audio/{rest:path}",
)  # fmt: skip


class Fault(Refused):
    """The request cannot be answered; ``param`` is what is wrong with it, by its place in query or body."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None,
        status: int = 400,
        code: str = "invalid_parameter",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.param = param
        self.headers = headers or {}


Answer: TypeAlias = Callable[[Request, Principal], Awaitable[Response]]


def error_json(fault: Refused) -> JsonObject:
    """An error in our own shape, which is that of OpenAI."""
    return {
        "error": {
            "message": str(fault),
            "type": _TYPES.get(fault.status, "invalid_request_error"),
            "code": fault.code,
            "param": fault.param if isinstance(fault, Fault) else None,
        }
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What answers one method of one path."""

    answer: Answer
    #: What a key must be for.
    scope: Scope
    #: An error in the shape of this API.
    shape: Callable[[Refused], JsonObject] = error_json
    #: Whether it keeps to the project of its caller; if not, a key of one project is not for it.
    by_project: bool = False


Table: TypeAlias = Mapping[str, Mapping[str, Method]]


def routes(gate: Gate, *tables: Table) -> list[Route]:
    """One route for each path of the tables; what is exact goes before what has parameters."""
    paths: dict[str, dict[str, Method]] = {}
    for table in tables:
        for path, methods in table.items():
            paths.setdefault(path, {}).update(methods)
    return [Route(path, endpoint=_Resource(gate, paths[path])) for path in sorted(paths, key=lambda path: "{" in path)]


def nothing_else() -> list[Route]:
    """What answers where nothing is, below /api and where calls arrive whose base URL is too short, as JSON."""
    missing = _missing("there is nothing at this path")
    forgotten = _missing("calls are below /v1: let the base URL of the client end with it, as in http://HOST:PORT/v1")
    return [Route("/api/{rest:path}", endpoint=missing), *(Route(path, endpoint=forgotten) for path in _WITHOUT_ROOT)]


def _missing(message: str) -> "_App":
    async def answer(scope: Any, receive: Any, send: Any) -> None:
        fault = Fault(message, param=None, status=404, code="not_found")
        await _refusal(fault, error_json)(scope, receive, send)

    return _App(answer)


class _App:
    """Starlette takes a function for an endpoint of its own kind, and any other callable for an ASGI one."""

    def __init__(self, app: Callable[[Any, Any, Any], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


class OneSlash:
    """An ASGI application to which //api is /api: a base URL with a slash at its end makes the one of the other."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer."""
        path = scope.get("path", "")
        if path.startswith("//"):
            scope = {**scope, "path": "/" + path.lstrip("/"), "raw_path": b"/" + scope["raw_path"].lstrip(b"/")}
        await self._app(scope, receive, send)


class _Resource:
    """An ASGI application that answers the methods of one path."""

    def __init__(self, gate: Gate, methods: Mapping[str, Method]) -> None:
        self._gate = gate
        self._methods = methods if "GET" not in methods else {**methods, "HEAD": methods["GET"]}
        self._shape = next(iter(methods.values())).shape

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        method = self._methods.get(request.method)
        try:
            if method is None:
                self._refuse_method(request.method)
            named = request.query_params.getlist(_ORGANIZATION)
            principal = await self._gate.admit(
                request.headers,
                method.scope,
                organizations=named,
                only_looks=request.method in ("GET", "HEAD"),
                by_project=method.by_project,
            )
            response = await method.answer(request, principal)
        except Refused as exc:
            response = _refusal(exc, method.shape if method else self._shape)
        except StoreUnavailable as exc:
            fault = Fault(str(exc), param=None, status=503, code="store_unavailable", headers={"retry-after": "1"})
            response = _refusal(fault, method.shape if method else self._shape)
        except StoreRejected as exc:
            fault = Fault(str(exc), param=None, status=422, code="cannot_be_stored")
            response = _refusal(fault, method.shape if method else self._shape)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    def _refuse_method(self, method: str) -> NoReturn:
        allowed = ", ".join(self._methods)
        message = f"{method} is not possible here; use {' or '.join(name for name in self._methods if name != 'HEAD')}"
        raise Fault(message, param=None, status=405, code="method_not_allowed", headers={"allow": allowed})


def answered(value: JsonValue, *, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(encode_json(value), status, _HEADERS, media_type="application/json")


async def read_body(request: Request, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body. Raises Fault (413) when it is longer than it may be, without reading on."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > max_bytes:
            message = f"the body is longer than {max_bytes} bytes"
            # What is left of it is not read, so that the connection is of no more use.
            raise Fault(message, param=None, status=413, code="body_too_large", headers={"connection": "close"})
        pieces.append(piece)
    return b"".join(pieces)


async def read_object(request: Request, *, needed: bool = True) -> JsonObject:
    """The body as a JSON object; empty if there is none and it is not ``needed``. Raises Fault."""
    raw = await read_body(request)
    if not raw.strip() and not needed:
        return {}
    try:
        value = decode_strictly(raw)
    except ValueError as exc:
        raise Fault(f"the body is no JSON: {exc}", param=None, code="invalid_json") from exc
    if not isinstance(value, dict):
        raise Fault("the body must be a JSON object", param=None, code="invalid_json")
    return value


def decode_strictly(raw: bytes) -> JsonValue:
    """JSON in UTF-8 as the standard has it: no NaN, and not too deep. Raises ValueError."""
    try:
        try:
            value = cast("JsonValue", msgspec.json.decode(raw))
        except msgspec.DecodeError:  # lone surrogates, which are escaped in ASCII, are JSON to all others
            value = json.loads(raw.decode(), parse_constant=_refuse_constant)
        return _checked_depth(value)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}") from None


def words(given: QueryParams, known: Mapping[str, bool]) -> None:
    """Check the names of a query: ``known`` says which there are, and whether more than once. Raises Fault.

    The organisation, which any query may name, was looked at before.
    """
    seen: set[str] = set()
    for name, value in given.multi_items():
        if name == _ORGANIZATION:
            continue
        if name not in known:
            there_are = f"there are {', '.join(known)}" if known else "there are none"
            raise Fault(f"{name} is no parameter; {there_are}", code="unknown_parameter", param=name)
        if not value:
            raise Fault(f"{name} is empty; leave it out", param=name)
        if name in seen and not known[name]:
            raise Fault(f"{name} is given more than once", param=name)
        seen.add(name)


def _refusal(fault: Refused, shape: Callable[[Refused], JsonObject]) -> Response:
    headers = dict(fault.headers) if isinstance(fault, Fault) else {}
    if fault.status == 401:
        headers["www-authenticate"] = 'Bearer realm="llm-proxy"'
    return Response(encode_json(shape(fault)), fault.status, _HEADERS | headers, media_type="application/json")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _checked_depth(value: JsonValue) -> JsonValue:
    level: list[JsonValue] = [value]
    for _ in range(MAX_DEPTH):
        level = [member for one in level for member in _members(one)]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {MAX_DEPTH}")


def _members(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
