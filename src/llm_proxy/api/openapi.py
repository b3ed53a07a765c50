"""Our own API as an OpenAPI 3.1 document, made of the tables that answer it, and a page that shows it.

Only what is described (``Operation``) is in it: the APIs of others have their own documents. Both are open to whoever
reaches the port, since they say nothing of what is recorded. The page needs no script and nothing of any other host.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from llm_proxy import __version__
from llm_proxy.api.operation import Operation, Parameter
from llm_proxy.api.raw import NAMED, TRUNCATED
from llm_proxy.api.resource import Table
from llm_proxy.model.account import Scope
from llm_proxy.model.completion import JsonObject
from llm_proxy.model.json_text import encode_json

DOCUMENT_PATH, PAGE_PATH = "/api/v1/openapi.json", "/api/v1/docs"
_REF = "#/components/schemas/{name}"
_PATH_WORD = re.compile(r"\{(\w+)(?::path)?\}")
#: In the order in which they are shown; what is in a list only says so by its path.
_TAGS = ("completions", "sessions", "users", "traces", "tags", "spend", "keys", "projects", "organizations")
_ABOUT = """\
What was recorded, for programs. Times are ISO 8601 in UTC, durations are seconds, sizes are bytes; what is unknown is
null, never 0. A list goes on with `cursor`, the `next` of the list before. Every error has one shape. A parameter that
is unknown or makes no sense is refused by its name. Everything is bound to the organisation of the key: an id of
another one answers as one that does not exist. As long as no key was made, this is open to the machine itself."""
_SCOPES = {
    Scope.READ: "Needs a key with the scope `read`.",
    Scope.WRITE: "Needs a key with the scope `write`.",
    Scope.ADMIN: "Needs a key with the scope `admin`.",
}


class ErrorFields(TypedDict):
    message: str
    type: str
    code: str | None
    param: str | None


class Error(TypedDict):
    """What is answered when something cannot be: what, and which parameter or member, by its place."""

    error: ErrorFields


def routes(*tables: Table) -> list[Route]:
    """What serves the document and the page about ``tables``."""
    description = document(*tables)
    json, html = encode_json(description), _page(description).encode()
    headers = {"x-content-type-options": "nosniff", "cache-control": "no-cache"}

    async def document_of(_: Request) -> Response:
        return Response(json, headers=headers, media_type="application/json")

    async def page_of(_: Request) -> Response:
        return Response(html, headers=headers | {"content-security-policy": _policy()}, media_type="text/html")

    return [Route(DOCUMENT_PATH, document_of), Route(PAGE_PATH, page_of)]


def document(*tables: Table) -> JsonObject:
    """The OpenAPI document of what is described in ``tables``."""
    described = sorted(_described(tables), key=lambda one: (_TAGS.index(_tag(one[0])), one[0]))
    shapes = [
        Error,
        *(shape for _, _, one in described for shape in (one.takes, one.gives) if shape not in (None, bytes)),
    ]
    references, schemas = msgspec.json.schema_components(list(dict.fromkeys(shapes)), ref_template=_REF)
    schema_of = dict(zip(dict.fromkeys(shapes), references, strict=True))
    # To leave members out is not something that a type can say of all the members of another one.
    if "PartOfRecord" in schemas:
        schemas["PartOfRecord"]["required"] = ["id"]
    paths: dict[str, Any] = {}
    for path, method, operation in described:
        shown = _PATH_WORD.sub(r"{\1}", path)
        paths.setdefault(shown, {})[method.lower()] = _operation(path, method, operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "llm-proxy", "version": __version__, "description": _ABOUT},
        "security": [{"bearer": []}, {"log10": []}, {"maxim": []}],
        "tags": [{"name": tag} for tag in _TAGS if any(_tag(path) == tag for path in paths)],
        "paths": paths,
        "components": {
            "schemas": cast("JsonObject", schemas),
            "responses": {"Error": _answer("The request cannot be answered.", schema_of[Error])},
            "parameters": {"organization_id": _ORGANIZATION},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "log10": {"type": "apiKey", "in": "header", "name": "X-Log10-Token"},
                "maxim": {"type": "apiKey", "in": "header", "name": "x-maxim-api-key"},
            },
        },
    }


_ORGANIZATION: JsonObject = {
    "name": "organization_id",
    "in": "query",
    "description": "Id or name of the organisation that is meant: that of the key, or any for who runs the proxy.",
    "schema": {"type": "string"},
}


def _described(tables: Iterable[Table]) -> Iterator[tuple[str, str, Operation]]:
    for table in tables:
        for path, methods in table.items():
            for name, method in methods.items():
                if isinstance(method, Operation):
                    yield path, name, method


def _operation(path: str, method: str, operation: Operation, schema_of: Mapping[type, Any]) -> JsonObject:
    error: JsonObject = {"$ref": "#/components/responses/Error"}
    body: JsonObject | None = None
    if operation.takes is not None:
        body = {"application/json": {"schema": schema_of[operation.takes]}}
    gives = _bytes() if operation.gives is bytes else _answer("Done.", schema_of[operation.gives])
    refusals = ["401", "403", *(["404"] if _PATH_WORD.search(path) else []), *(["413", "422"] if body else [])]
    described: JsonObject = {
        "operationId": _name(path, method),
        "tags": [_tag(path)],
        "summary": operation.about,
        "description": _SCOPES[operation.scope],
        "parameters": [
            *({"name": word, "in": "path", "required": True, "schema": _ID} for word in _PATH_WORD.findall(path)),
            *map(_parameter, operation.parameters),
            {"$ref": "#/components/parameters/organization_id"},
        ],
        "responses": {str(operation.status): gives, "400": error, **dict.fromkeys(refusals, error), "default": error},
    }
    if body is not None:
        described["requestBody"] = {"required": not operation.takes_nothing, "content": body}
    return described


_ID: JsonObject = {"type": "string", "minLength": 1}


def _parameter(parameter: Parameter) -> JsonObject:
    schema: JsonObject = {"type": "array", "items": parameter.schema} if parameter.many else parameter.schema
    return {
        "name": parameter.name,
        "in": "query",
        "description": parameter.about,
        "required": parameter.needed,
        "schema": schema,
    }


def _answer(about: str, schema: JsonObject) -> JsonObject:
    return {"description": about, "content": {"application/json": {"schema": schema}}}


def _bytes() -> JsonObject:
    named: JsonObject = {header: {"schema": {"type": "string"}} for header in (*NAMED.values(), TRUNCATED)}
    return {"description": "The bytes.", "headers": named, "content": {"application/octet-stream": {"schema": {}}}}


def _tag(path: str) -> str:
    return path.removeprefix("/api/v1/").partition("/")[0]


def _name(path: str, method: str) -> str:
    words = _PATH_WORD.sub(r"by_\1", path.removeprefix("/api/v1/")).split("/")
    return "_".join([method.lower(), *words])


_HERE = Path(__file__).parent / "templates"
_templates = Environment(
    loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def _style() -> str:
    return (_HERE / "openapi.css").read_text(encoding="utf-8")


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _page(description: JsonObject) -> str:
    template = _templates.get_template("openapi.html")
    return template.render(document=description, style=_style(), document_path=DOCUMENT_PATH, type_of=type_of)


def type_of(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, for people."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_of(one) for one in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {type_of(schema['additionalProperties'])}"
    return str(schema.get("type", "any JSON"))
