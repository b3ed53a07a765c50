"""The form in which files are uploaded, read for what it says of them: their names, types and sizes, not their bytes.

RFC 7578. A file that is cut off has no size, and a field that is cut off is left out; nothing in here raises for what a
body contains.
"""

import re

from msgspec.structs import replace

from llm_proxy.decode.body import Call, media_type, read_call
from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.exchange import Exchange, RecordedHeaders

MEDIA_TYPE = "multipart/form-data"
#: Of a field that is no file; prompts are longer than all others.
_MOST_VALUE_BYTES = 2**16
_MOST_HEAD_BYTES = 2**13
_MOST_PARTS = 200
_BOUNDARY = re.compile(r'boundary=(?:"([^"]{1,200})"|([^;\s]{1,200}))', re.IGNORECASE)
_PARAMETER = re.compile(rb'(?:^|[;\s])(name|filename)="((?:[^"\\]|\\.)*)"', re.IGNORECASE)
_PART_TYPE = re.compile(rb"^content-type:[ \t]*([^\r\n;]+)", re.IGNORECASE | re.MULTILINE)


def read_upload(exchange: Exchange, max_decoded_bytes: int, *, response_is_json: bool = True) -> Call:
    """An exchange whose bytes were read, the request also if it is a form."""
    form = is_form(exchange.request_headers)
    call = read_call(exchange, max_decoded_bytes, request_is_json=not form, response_is_json=response_is_json)
    return replace(call, request=read_form(call)) if form else call


def is_form(headers: RecordedHeaders) -> bool:
    """Whether a body is such a form."""
    return media_type(headers) == MEDIA_TYPE


def read_form(call: Call) -> JsonObject | None:
    """The fields of a form by their names, a file as its ``filename``, ``content_type`` and ``bytes``.

    A field that comes several times is a list. None if it is no form.
    """
    boundary = _boundary(call.exchange.request_headers)
    body = call.asked.content
    if boundary is None or not body:
        return None
    delimiter = b"--" + boundary
    fields: JsonObject = {}
    start = body.find(delimiter)
    for _ in range(_MOST_PARTS):
        if start < 0 or body.startswith(b"--", start + len(delimiter)):
            break
        part_start = start + len(delimiter) + len(b"\r\n")
        start = body.find(b"\r\n" + delimiter, part_start)
        end = start if start >= 0 else len(body)
        _add_part(fields, body, part_start, end, is_whole=start >= 0)
        start = start + len(b"\r\n") if start >= 0 else start
    return fields or None


def _boundary(headers: RecordedHeaders) -> bytes | None:
    # Not header_members(): a boundary is read as it is, and not in lower case.
    for name, value in headers:
        if name.lower() == "content-type" and value and (found := _BOUNDARY.search(value)):
            return (found[1] or found[2]).encode("latin-1", "replace")
    return None


def _add_part(fields: JsonObject, body: bytes, start: int, end: int, *, is_whole: bool) -> None:
    head_end = body.find(b"\r\n\r\n", start, min(end, start + _MOST_HEAD_BYTES))
    if head_end < 0:
        return
    head, content_start = body[start:head_end], head_end + len(b"\r\n\r\n")
    named = {key.lower(): value for key, value in _PARAMETER.findall(head)}
    if b"name" not in named or not (is_whole or b"filename" in named):
        return
    name, value = _text(named[b"name"]), _value(body, content_start, end)
    if b"filename" in named:
        kind = _PART_TYPE.search(head)
        value = {
            "filename": _text(named[b"filename"]),
            "content_type": _text(kind[1]).strip() if kind else None,
            "bytes": end - content_start if is_whole else None,
        }
    held = fields.get(name)
    fields[name] = value if name not in fields else [*held, value] if isinstance(held, list) else [held, value]


def _value(body: bytes, start: int, end: int) -> JsonValue:
    return _text(body[start : min(end, start + _MOST_VALUE_BYTES)])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
