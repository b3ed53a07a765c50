"""The tables of docs/headers.md, made from the vocabulary: the prose is written by hand, the facts are not.

``python -m llm_proxy.attribution.documentation docs/headers.md`` writes them anew between their marks.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from llm_proxy.attribution import draft, passage
from llm_proxy.attribution.vocabulary import HEADERS, PATH_KEYS, Form, Header, Level, Tells

_MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def fill(text: str) -> str:
    """``text`` with each table between ``<!-- table: NAME -->`` and ``<!-- end -->`` as it must be."""
    return _MARKED.sub(lambda mark: f"{mark[1]}\n{_TABLES[mark[2]]}\n\n{mark[3]}", text)


def _own() -> str:
    path_keys = {tells: f"`{key}=`" for key, tells in PATH_KEYS.items()} | {Tells.METADATA: "`meta.<key>=`"}
    rows = [
        (_shown(header), _meaning(header), "" if header.form is Form.JSON_OBJECT else path_keys.get(header.tells, ""))
        for header in HEADERS
        if header.level is Level.OWN
    ]
    return _table(("Header", "Tells", "In the path"), rows)


def _others() -> str:
    rows = [
        (header.product, _shown(header), _meaning(header), "no" if _is_stripped(header) else "yes")
        for header in HEADERS
        if header.level is not Level.OWN
    ]
    return _table(("Of", "Header", "Tells", "Goes upstream"), rows)


def _limits() -> str:
    rows = [
        ("Tags of a call", f"{draft.MAX_TAGS}", "the rest is dropped"),
        ("A tag", f"{draft.MAX_TAG_CHARACTERS} characters", "cut"),
        ("Session id, user id, trace id", f"{draft.MAX_ID_CHARACTERS} characters", "dropped"),
        ("Session name", f"{draft.MAX_NAME_CHARACTERS} characters", "cut"),
        ("Metadata of one header or body", f"{draft.MAX_METADATA_BYTES} bytes of JSON", "dropped"),
        ("Metadata of a call", f"{draft.MAX_METADATA_KEYS} keys", "the rest is dropped"),
        ("A metadata key", f"{draft.MAX_METADATA_KEY_CHARACTERS} characters", "dropped with its value"),
        ("A metadata value that is text", f"{draft.MAX_METADATA_VALUE_CHARACTERS} characters", "cut"),
        ("A metadata value that is JSON", f"{draft.MAX_METADATA_DEPTH} levels", "dropped"),
        ("Notes of a call", f"{draft.MAX_NOTES}", "the rest is left out"),
    ]
    return _table(("What", "At most", "More is"), rows)


def _stripped() -> str:
    return _names(passage.STRIPPED_REQUEST_HEADERS, passage.STRIPPED_PREFIXES)


def _gateway_keys() -> str:
    return _names(passage.GATEWAY_KEYS, ())


def _recorded_request() -> str:
    return _names(passage.RECORDED_REQUEST_HEADERS, passage.RECORDED_REQUEST_PREFIXES)


def _recorded_response() -> str:
    return _names(passage.RECORDED_RESPONSE_HEADERS, passage.RECORDED_RESPONSE_PREFIXES)


def _shown(header: Header) -> str:
    return f"`{header.name}<Key>`" if header.is_prefix and header.key is None else f"`{header.name}`"


def _meaning(header: Header) -> str:
    if header.form is Form.TEXT:
        return f"{header.tells}, `{header.key}`" if header.key else str(header.tells)
    return f"{header.tells}, {header.form}" + (f": `{header.key}`" if header.key else "")


def _is_stripped(header: Header) -> bool:
    name = header.name.lower().encode()
    return name in passage.STRIPPED_REQUEST_HEADERS or name.startswith(passage.STRIPPED_PREFIXES)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _names(names: Iterable[bytes], prefixes: Iterable[bytes]) -> str:
    shown = sorted([*(name.decode() for name in names), *(f"{prefix.decode()}*" for prefix in prefixes)])
    return ", ".join(f"`{name}`" for name in shown)


_TABLES = {
    "own": _own(),
    "others": _others(),
    "limits": _limits(),
    "stripped": _stripped(),
    "gateway_keys": _gateway_keys(),
    "recorded_request": _recorded_request(),
    "recorded_response": _recorded_response(),
}

if __name__ == "__main__":
    document = Path(sys.argv[1])
    document.write_text(fill(document.read_text(encoding="utf-8")), encoding="utf-8")
