"""What an operation of our own API takes and gives, said once: requests are read by it, and it is described by it.

A parameter that is unknown or makes no sense is refused and named, never ignored: a filter that is not applied would be
a wrong answer. A list goes on with ``cursor``, the ``next`` of the list before: where that ended, as JSON in Base64, of
use to nobody but us.
"""

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import UnionType
from typing import Any, cast

from starlette.datastructures import QueryParams
from starlette.responses import Response

from llm_proxy.api.resource import Fault, Method, answered, words
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.model.query import Cursor, parse_time

DEFAULT_LIMIT = 50
#: More than that at once would keep the store's process from everybody else.
MAX_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """A word of a query."""

    name: str
    #: What it is for, in a sentence.
    about: str
    #: The value that a text stands for. Raises ValueError, with a message for the caller.
    parse: Callable[[str], Any] = str
    #: JSON schema of the text.
    schema: JsonObject
    #: Whether it may be given more than once; its values are a tuple then.
    many: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Method):
    """A method that is described."""

    #: What it does, in a sentence.
    about: str
    parameters: tuple[Parameter, ...] = ()
    #: The shape of the body that it takes, and whether it may be left out.
    takes: type | None = None
    takes_nothing: bool = False
    #: The shape of the answer; bytes for what is no JSON.
    gives: type
    status: int = 200


def read_query(given: QueryParams, parameters: Iterable[Parameter]) -> dict[str, Any]:
    """The values of a query, by name; None, or an empty tuple, for what is not given. Raises Fault."""
    known = {one.name: one for one in parameters}
    words(given, {name: one.many for name, one in known.items()})
    for one in known.values():
        if one.needed and one.name not in given:
            raise Fault(f"{one.name} is missing", param=one.name)
    return {
        name: tuple(_parsed(one, text) for text in given.getlist(name)) if one.many else _parsed(one, given.get(name))
        for name, one in known.items()
    }


def unknown(kind: str, its_id: str) -> Fault:
    """What is answered about an id that the organisation does not have, whether or not another one has it."""
    return Fault(f"there is no {kind} {its_id!r}", status=404, code="not_found", param="id")


def shaped(value: Mapping[str, object], *, status: int = 200) -> Response:
    """An answer in a shape that a type says."""
    return answered(cast("JsonObject", value), status=status)


def written_place(*place: JsonValue) -> str:
    """A ``next`` for where a list ended."""
    return base64.urlsafe_b64encode(encode_json(place)).decode().rstrip("=")


def read_place(text: str, *kinds: type | UnionType) -> list[Any]:
    """Where the list before ended, which must be values of these kinds. Raises ValueError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        place = decode_json(raw)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{text!r} is not the next of a list") from exc
    if not isinstance(place, list) or len(place) != len(kinds) or not all(map(isinstance, place, kinds)):
        raise ValueError(f"{text!r} is not the next of such a list")
    return place


def written_cursor(cursor: Cursor | None) -> str | None:
    """A ``next`` for a list in the order of time; None if it has ended."""
    return None if cursor is None else written_place(cursor.started_at.isoformat(), cursor.id)


def read_cursor(text: str) -> Cursor:
    """Where the list before, in the order of time, ended. Raises ValueError."""
    time, record_id = read_place(text, str, str)
    try:
        return Cursor(started_at=datetime.fromisoformat(time).astimezone(UTC), id=record_id)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is not the next of a list") from exc


def time_json(time: datetime) -> str:
    """A time in ISO 8601."""
    return time.isoformat(timespec="microseconds")


def _parsed(parameter: Parameter, text: str | None) -> Any:
    try:
        return None if text is None else parameter.parse(text)
    except ValueError as exc:
        raise Fault(f"{parameter.name}: {exc}", param=parameter.name) from exc


def _time(text: str) -> datetime:
    return parse_time(text, now=datetime.now(UTC))


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not 1 <= int(text) <= MAX_LIMIT:
        raise ValueError(f"{text!r} is no number from 1 to {MAX_LIMIT}")
    return int(text)


TEXT: JsonObject = {"type": "string", "minLength": 1}
TIME: JsonObject = {"type": "string", "minLength": 1, "examples": ["15m", "2h", "7d", "2026-01-31T12:00:00Z"]}

SINCE = Parameter(name="since", about="Calls that started then or later.", parse=_time, schema=TIME)
UNTIL = Parameter(name="until", about="Calls that started before then.", parse=_time, schema=TIME)
LIMIT = Parameter(
    name="limit",
    about="How many at most.",
    parse=_limit,
    schema={"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
)
CURSOR = Parameter(name="cursor", about="The `next` of the list before.", parse=read_cursor, schema=TEXT)
