"""Bodies: from the bytes of the wire to events, or to JSON that can be stored.

JSON that comes out can be written as UTF-8 JSON again and is nested at most ``MAX_DEPTH`` deep. What JSON allows and
its storage does not is changed: a lone surrogate becomes U+FFFD, NaN and the infinities become null, an integer of
thousands of digits becomes a string. Integers beyond 64 bits stay integers. Of duplicate keys the last one wins.
Nothing in here raises for what a body contains, and no problem quotes it.
"""

import json
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator

import msgspec

from llm_proxy.decode.codings import Plain, undo_codings
from llm_proxy.decode.sse import Event, looks_like_events, parse_events
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.exchange import Exchange, RecordedHeaders

#: Levels of lists and objects: far more than any call has, far less than what recursive code can walk.
MAX_DEPTH = 200
#: A level takes two bytes at least: what is shorter need not be walked.
_SURELY_FLAT_BYTES = 2 * MAX_DEPTH
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels"

_parse_fast = msgspec.json.Decoder().decode


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange whose bodies were read: what a decoder starts from."""

    exchange: Exchange
    #: The request body without its content codings.
    asked: Plain
    request: JsonValue
    #: The JSON of an answer that is no stream.
    response: JsonValue
    #: None for an answer that is no stream.
    events: list[Event] | None
    #: The response body without its content codings.
    plain: Plain
    #: What is wrong with the bodies, each in a few words.
    problems: tuple[str, ...]

    def arrival_s(self, end: int) -> float | None:
        """When the first ``end`` bytes of the plain response body had arrived; None if that is not known."""
        chunks = self.exchange.chunks
        if not self.plain.ends:
            return chunks.arrival_s(end - 1)
        piece = bisect_left(self.plain.ends, end)
        return chunks.times_us[piece] / 1e6 if piece < len(chunks.times_us) else None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The response of a call in the shape that it has, or would have, without streaming."""

    response: JsonValue
    #: Whether a stream came to its own end mark; None for what is no stream.
    ended: bool | None = None
    #: End of the first event of a stream that bears content; None without one.
    first_content_end: int | None = None
    #: Whole events of a stream that should have been JSON objects and were not.
    unreadable_events: int = 0


def has_failed(exchange: Exchange) -> bool:
    """Whether the answer is an error by its status."""
    return exchange.http_status is not None and exchange.http_status >= 400


def read_call(
    exchange: Exchange, max_decoded_bytes: int, *, request_is_json: bool = True, response_is_json: bool = True
) -> Call:
    """Undo the content codings of both bodies and parse them; what is said to be no JSON stays bytes."""
    asked = plain_body(exchange.request_body, exchange.request_headers, (), max_decoded_bytes)
    plain = plain_body(exchange.response_body, exchange.response_headers, exchange.chunks.sizes, max_decoded_bytes)
    events: list[Event] | None = None
    response, response_problem = None, plain.problem
    if is_stream(plain.content, exchange.response_headers):
        events = parse_events(plain.content)
    elif response_is_json:
        response, response_problem = _parse(plain, max_decoded_bytes)
    request, request_problem = _parse(asked, max_decoded_bytes) if request_is_json else (None, asked.problem)
    problems = {"the request body": request_problem, "the response body": response_problem}
    return Call(
        exchange=exchange,
        asked=asked,
        request=request,
        response=response,
        events=events,
        plain=plain,
        problems=tuple(f"{which} {problem}" for which, problem in problems.items() if problem),
    )


def parse_json(raw: bytes, *, errors: str = "strict") -> tuple[JsonValue, str | None]:
    """The JSON value of ``raw``, or None and what is wrong; ``errors`` is what happens to bytes that are no UTF-8."""
    try:
        value: JsonValue = _parse_fast(raw)
    except ValueError:
        return _parse_leniently(raw, errors)
    except RecursionError:
        return None, _TOO_DEEP
    # A level takes a bracket that opens it: few bodies have so many that they must be walked.
    if len(raw) > _SURELY_FLAT_BYTES and raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and _is_too_deep(value):
        return None, _TOO_DEEP
    return value, None


def member(value: JsonValue, key: str) -> JsonValue:
    """A member of what may be an object; None if there is none."""
    return value.get(key) if isinstance(value, dict) else None


def text_member(value: JsonValue, key: str) -> str | None:
    """A member that is a string and not empty."""
    found = member(value, key)
    return found if isinstance(found, str) and found else None


def object_member(value: JsonValue, key: str) -> JsonObject:
    """A member that is an object, or an empty one."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def object_members(value: JsonValue, key: str) -> list[JsonObject]:
    """The objects in a member that is a list."""
    found = member(value, key)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def header_members(headers: RecordedHeaders, name: str) -> list[str]:
    """The comma-separated members of a header over all its lines, in lower case; so is ``name``."""
    lines = [value for key, value in headers if value is not None and key.lower() == name]
    return [one for line in lines for part in line.lower().split(",") if (one := part.strip())]


def media_type(headers: RecordedHeaders) -> str | None:
    """The content type without its parameters, in lower case; None without one."""
    types = header_members(headers, "content-type")
    return types[0].partition(";")[0].strip() or None if types else None


def plain_body(body: bytes | None, headers: RecordedHeaders, sizes: Iterable[int], limit: int) -> Plain:
    """A body without its content codings; ``sizes`` are those of the pieces in which it came."""
    codings = [coding for coding in header_members(headers, "content-encoding") if coding != "identity"]
    if not body or not codings:
        return Plain(content=body or b"")
    return undo_codings(list(_cut(body, sizes)), codings, limit=limit)


def _cut(body: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    start = 0
    for size in sizes:
        yield body[start : start + size]
        start += size
    if start < len(body):
        yield body[start:]


def is_stream(content: bytes, headers: RecordedHeaders) -> bool:
    """Whether an answer is server-sent events: by its content type and, as some servers mislabel, by how it begins."""
    # Errors come as JSON under the content type of the stream that was hoped for.
    if content[:64].lstrip().startswith((b"{", b"[")):
        return False
    types = header_members(headers, "content-type")
    return any(one.startswith("text/event-stream") for one in types) or looks_like_events(content[:64])


def _parse(plain: Plain, limit: int) -> tuple[JsonValue, str | None]:
    # What was cut at the limit is no longer JSON, or not what it was; to try takes memory and time for all of it.
    if not plain.content or (plain.problem and len(plain.content) >= limit):
        return None, plain.problem
    value, problem = parse_json(plain.content)
    return value, plain.problem or problem


def _is_too_deep(value: JsonValue) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _members(outer) if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def _members(value: JsonValue) -> Iterable[JsonValue]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _parse_leniently(raw: bytes, errors: str) -> tuple[JsonValue, str | None]:
    """Read what msgspec refuses and the standard library does not: NaN, lone surrogates, a byte order mark, 1e999."""
    try:
        text = raw.decode("utf-8-sig", errors)
        value: JsonValue = json.loads(text, parse_float=_float, parse_int=_int, parse_constant=lambda _: None)
    except RecursionError:
        return None, _TOO_DEEP
    except ValueError as exc:
        return None, f"is no JSON: {exc}"
    return (None, _TOO_DEEP) if _is_too_deep(value) else (_storable(value), None)


def _float(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _int(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:  # longer than sys.get_int_max_str_digits()
        return digits


def _storable(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _without_lone_surrogates(value)
    if isinstance(value, list):
        return [_storable(one) for one in value]
    if isinstance(value, dict):
        return {_without_lone_surrogates(key): _storable(one) for key, one in value.items()}
    return value


def _without_lone_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
