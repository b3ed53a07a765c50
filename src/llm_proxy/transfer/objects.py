"""The objects in a file as other programs export them: JSON lines, a JSON array, an answer of an API, or CSV.

Which one it is, is seen in the first line. Memory holds one object at a time, or, of an answer ``{"data": [...]}``, one
answer. A bad line costs that line; where JSON goes on over several lines, nothing tells where the next value begins,
so there a bad one costs the rest of the file. From CSV, all values are text, and empty cells are left out.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import BinaryIO, TypeAlias

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.json_text import decode_json
from llm_proxy.transfer.base import BadRow

#: An object and where it stands.
Placed: TypeAlias = tuple[str, JsonObject]

_READ_BYTES = 2**16
#: What may stand between two values. A comma too many does not matter: Helicone's own tool writes one.
_BETWEEN = re.compile(r"[ \t\r\n,\[\]]*")
#: An error so near the end of what is read may be one only because the rest is not: the longest token is -Infinity.
_TOKEN_CHARACTERS = 12
#: A cell may hold a whole body; the limit of the csv module, 128 KiB, is there for files with a lost quote.
_CELL_CHARACTERS = 2**28


def read_objects(file: BinaryIO) -> Iterator[Placed | BadRow]:
    """The objects of ``file``, and a bad row for each thing in it that is none."""
    first = file.readline(_READ_BYTES)
    beginning = first.removeprefix(codecs.BOM_UTF8).strip()
    goes_on = first.endswith(b"\n") and beginning.endswith((b"{", b"[", b","))
    if beginning.startswith(b"[") or (beginning.startswith(b"{") and goes_on):
        return _from_document(file, first)
    if not first.endswith(b"\n"):
        first += file.readline()
    lines = chain([first.removeprefix(codecs.BOM_UTF8)], file)
    return _from_lines(lines) if not beginning or beginning.startswith(b"{") else _from_csv(lines)


def _from_lines(lines: Iterable[bytes]) -> Iterator[Placed | BadRow]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                value = decode_json(line)
            except (ValueError, RecursionError):
                yield BadRow(place=f"line {number}", reason="no valid JSON")
            else:
                yield from _objects_in(value, f"line {number}")


def _from_document(file: BinaryIO, first: bytes) -> Iterator[Placed | BadRow]:
    number = 0
    try:
        for number, value in enumerate(_values(file, first), 1):
            yield from _objects_in(value, f"value {number}")
    except (ValueError, RecursionError):
        yield BadRow(place=f"value {number + 1} and what follows", reason="no valid JSON")


def _values(file: BinaryIO, first: bytes) -> Iterator[JsonValue]:
    """The members of one array, or values that follow each other. Raises ValueError, also for one that is cut off."""
    text_of = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode
    decode = json.JSONDecoder().raw_decode
    text, start, ended = text_of(first), 0, False
    while True:
        between = _BETWEEN.match(text, start)
        start = between.end() if between else start
        try:
            value, start = decode(text, start)
        except json.JSONDecodeError as exc:
            if ended and start == len(text):
                return
            whole = exc.pos < len(text) - _TOKEN_CHARACTERS and not exc.msg.startswith("Unterminated string")
            if ended or whole:
                raise
            text, start = text[start:], 0
            # As much again as is there: a long value is looked at from its beginning only a few times.
            piece = file.read(max(_READ_BYTES, len(text)))
            text, ended = text + text_of(piece, final=not piece), not piece
        else:
            yield value


def _from_csv(lines: Iterable[bytes]) -> Iterator[Placed | BadRow]:
    csv.field_size_limit(_CELL_CHARACTERS)
    rows = csv.DictReader(_text_lines(lines), strict=True)
    while True:
        try:
            row = next(rows, None)
        except csv.Error as exc:
            yield BadRow(place=f"line {rows.line_num}", reason=f"no valid CSV: {exc}")
            continue
        if row is None:
            return
        place = f"line {rows.line_num}"
        if None in row or None in row.values():
            yield BadRow(place=place, reason="another number of cells than there are columns")
        else:
            yield place, {name: value for name, value in row.items() if value}


def _text_lines(lines: Iterable[bytes]) -> Iterator[str]:
    """Also a line end of old, or one inside a cell, is one."""
    for line in lines:
        yield from io.StringIO(line.decode(errors="replace"), newline="")


def _objects_in(value: JsonValue, place: str) -> Iterator[Placed | BadRow]:
    """An object, or those of an answer or a list of them."""
    if isinstance(value, dict) and isinstance(inside := value.get("data"), dict | list):
        value = [inside] if isinstance(inside, dict) else inside
    if isinstance(value, dict):
        yield place, value
        return
    for number, member in enumerate(value if isinstance(value, list) else [value], 1):
        where = f"{place}, row {number}" if isinstance(value, list) else place
        yield (where, member) if isinstance(member, dict) else BadRow(place=where, reason="no object")
