"""What a part of the pages is made of: what is asked for where, what one must be let in for, and who answers.

A change is a form that is posted; its answer leads to a page that can be read again.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp

from llm_proxy.errors import Refused
from llm_proxy.model.account import Principal, Scope

#: A form that is longer was not filled in by hand.
MAX_FORM_BYTES = 2**20
_MAX_FIELDS = 1000

Answer = Callable[[Request, Principal], Awaitable[ASGIApp]]


@dataclass(frozen=True, slots=True)
class Act:
    """Something that can be asked for."""

    scope: Scope
    answer: Answer
    #: Whether it keeps to the project of who asks; what does not is nothing for a key of one project.
    by_project: bool = False


#: By path and method.
Table = Mapping[str, Mapping[str, Act]]


def looks(answer: Answer, scope: Scope = Scope.READ, *, by_project: bool = False) -> dict[str, Act]:
    """What can only be looked at."""
    return {"GET": Act(scope, answer, by_project)}


def changes(answer: Answer, scope: Scope = Scope.WRITE, *, by_project: bool = False) -> dict[str, Act]:
    """What only changes something."""
    return {"POST": Act(scope, answer, by_project)}


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form, in their order. Raises Refused."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused("this takes a form of the page before it", status=415, code="unsupported_media_type")
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > MAX_FORM_BYTES:
            raise Refused("the form is too long", status=413, code="too_large")
    fields: dict[str, list[str]] = {}
    try:
        pairs = parse_qsl(bytes(content).decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError as exc:
        raise Refused("the form cannot be read", status=400, code="invalid_request") from exc
    for name, value in pairs:
        # Browsers send line breaks of texts as CR LF.
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return fields


def first(fields: Mapping[str, list[str]], name: str) -> str:
    """The first value of a field without space around it; empty if there is none."""
    return (fields.get(name) or [""])[0].strip()


def go_to(path: str) -> RedirectResponse:
    """After a change: the page that shows it."""
    return RedirectResponse(path, status_code=303)
