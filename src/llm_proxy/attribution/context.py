"""Headers, path prefix and body → Context.

Precedence: our own headers, the path prefix, headers of gateways, W3C headers, headers of harnesses, the body; within
one of these, the order of the table in vocabulary.py. Tags are collected from all of them; of metadata, the more
important place counts for each key; of the rest, the first that says something usable. Of a header that occurs more
than once, lists are joined, and of the others the last one counts.

Pure, and never fails: what cannot be used is noted in the context.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from llm_proxy.attribution import w3c
from llm_proxy.attribution.agent import app_of
from llm_proxy.attribution.body import take_body
from llm_proxy.attribution.draft import Draft, shown
from llm_proxy.attribution.path import path_pairs, unquote
from llm_proxy.attribution.vocabulary import (
    HEADERS,
    LOG_WORDS,
    OWN_KEY,
    OWN_PREFIX,
    PATH_KEYS,
    PATH_META_PREFIX,
    SESSION_PATTERN,
    SESSION_VALUE,
    Form,
    Header,
    Level,
    Tells,
)
from llm_proxy.model.completion import Context, JsonValue
from llm_proxy.model.exchange import RecordedHeaders
from llm_proxy.model.tag_map import tags_of


class _Row(NamedTuple):
    #: Place in the table; the lower one counts more.
    rank: int
    header: Header


class _Said(NamedTuple):
    row: _Row
    #: In lower case.
    name: str
    #: In the order of the wire.
    values: list[str]


def _indexed(*, prefixes: bool) -> dict[str, list[_Row]]:
    index: dict[str, list[_Row]] = {}
    for rank, header in enumerate(HEADERS):
        if header.is_prefix == prefixes:
            index.setdefault(header.name.lower(), []).append(_Row(rank, header))
    return index


_BY_NAME = _indexed(prefixes=False)
_BY_PREFIX = _indexed(prefixes=True)


def attribute(headers: RecordedHeaders, path_context: str | None, request: JsonValue) -> Context:
    """Who and what a call belongs to.

    ``path_context`` is what stood behind ``/~`` in the path, still encoded; ``request`` is the body if it was JSON.
    """
    draft = Draft()
    said = _said(headers, draft)
    _take_headers(draft, said, Level.OWN)
    if path_context:
        _take_path(draft, path_context)
    for level in (Level.GATEWAY, Level.W3C, Level.HARNESS):
        _take_headers(draft, said, level)
    _take_unknown_sessions(draft, headers)
    if isinstance(request, dict):
        take_body(draft, request)
    return draft.context()


def _said(headers: RecordedHeaders, draft: Draft) -> list[_Said]:
    values: dict[str, list[str]] = {}
    for name, value in headers:
        lower = name.lower()
        if value is not None:
            values.setdefault(lower, []).append(value)
        if lower.startswith(OWN_PREFIX) and lower != OWN_KEY and not _rows(lower):
            draft.note(f"{shown(name)} was dropped: no such header is known")
    said = [_Said(row, name, repeated) for name, repeated in values.items() for row in _rows(name)]
    return sorted(said, key=lambda one: one.row.rank)


@lru_cache(maxsize=1024)  # names repeat with every call
def _rows(name: str) -> Sequence[_Row]:
    exact = _BY_NAME.get(name)
    if exact is not None:
        return exact
    return next((rows for prefix, rows in _BY_PREFIX.items() if name.startswith(prefix)), [])


@lru_cache(maxsize=1024)
def _is_unknown_session(name: str) -> bool:
    return not _rows(name) and SESSION_PATTERN.fullmatch(name) is not None


def _take_headers(draft: Draft, said: list[_Said], level: Level) -> None:
    for one in said:
        if one.row.header.level is level:
            _READERS[one.row.header.form](draft, one)


def _take_unknown_sessions(draft: Draft, headers: RecordedHeaders) -> None:
    """The session id of a product that is not in the table, told by the name of its header."""
    for name, value in reversed(headers):
        lower = name.lower()
        if value and _is_unknown_session(lower) and SESSION_VALUE.fullmatch(value.strip()):
            draft.text(Tells.SESSION_ID, shown(lower), value)


def _take_text(draft: Draft, said: _Said) -> None:
    header, value = said.row.header, said.values[-1]
    if header.is_prefix:
        draft.metadata(f"{header.name}*", {said.name[len(header.name) :]: value})
    elif header.key is not None:
        draft.metadata(header.name, {header.key: value})
    else:
        _take_single(draft, header.tells, header.name, value)


def _take_single(draft: Draft, tells: Tells, source: str, value: str) -> None:
    if tells is Tells.LOG:
        if value.strip().lower() not in LOG_WORDS:
            draft.dropped(source, f"it must be one of {', '.join(LOG_WORDS)}")
    elif tells not in (Tells.UPSTREAM, Tells.TARGET):
        draft.text(tells, source, value)


def _take_nothing(draft: Draft, said: _Said) -> None:
    """What the proxy has obeyed."""


def _take_agent(draft: Draft, said: _Said) -> None:
    header, app = said.row.header, app_of(said.values[-1])
    if app is not None and header.key is not None:
        draft.metadata(header.name, {header.key: app})


def _take_list(draft: Draft, said: _Said) -> None:
    draft.tags(said.row.header.name, (tag for value in said.values for tag in value.split(",")))


def _take_json_list(draft: Draft, said: _Said) -> None:
    source = said.row.header.name
    for text in said.values:
        if not text.lstrip().startswith(("[", "{")):
            draft.tags(source, text.split(","))
            continue
        match draft.json(source, text):
            case dict(members):
                draft.tags(source, tags_of({key: str(value) if value else "" for key, value in members.items()}))
            case list(tags):
                draft.tags(source, (tag for tag in tags if isinstance(tag, str)))


def _take_json_object(draft: Draft, said: _Said) -> None:
    source = said.row.header.name
    if said.row.header.tells is Tells.COST:
        return
    match draft.json(source, said.values[-1]):
        case dict(members):
            draft.metadata(source, members)
        case None:
            pass
        case _:
            draft.dropped(source, "it is no JSON object")


def _take_json_member(draft: Draft, said: _Said) -> None:
    header = said.row.header
    members = draft.json(header.name, said.values[-1])
    value = members.get(header.key or "") if isinstance(members, dict) else None
    if isinstance(value, str):
        draft.text(header.tells, header.name, value)


def _take_traceparent(draft: Draft, said: _Said) -> None:
    header = said.row.header
    trace_id = w3c.trace_id(said.values[-1].strip())
    if trace_id is None:
        draft.dropped(header.name, "it is not valid after W3C Trace Context")
    else:
        draft.text(header.tells, header.name, trace_id)


def _take_parent_span(draft: Draft, said: _Said) -> None:
    header, span_id = said.row.header, w3c.parent_span_id(said.values[-1].strip())
    if span_id is not None and header.key is not None:
        draft.metadata(header.name, {header.key: span_id})


def _take_baggage(draft: Draft, said: _Said) -> None:
    header = said.row.header
    value = w3c.baggage(",".join(said.values)).get(header.key or "")
    if value is not None:
        draft.text(header.tells, f"{header.name} member {header.key}", value)


_READERS: dict[Form, Callable[[Draft, _Said], None]] = {
    Form.TEXT: _take_text,
    Form.LIST: _take_list,
    Form.JSON_LIST: _take_json_list,
    Form.JSON_OBJECT: _take_json_object,
    Form.JSON_MEMBER: _take_json_member,
    Form.TRACEPARENT: _take_traceparent,
    Form.PARENT_SPAN: _take_parent_span,
    Form.BAGGAGE: _take_baggage,
    Form.IF_TRUE: _take_nothing,
    Form.IF_FALSE: _take_nothing,
    Form.AGENT: _take_agent,
}


def _take_path(draft: Draft, path_context: str) -> None:
    pairs = path_pairs(path_context)
    last = dict(pairs)
    draft.tags("tags in the path", (unquote(tag) for key, value in pairs if key == "tags" for tag in value.split(",")))
    for key, value in last.items():
        tells = PATH_KEYS.get(key)
        if key.startswith(PATH_META_PREFIX):
            draft.metadata("the path", {key.removeprefix(PATH_META_PREFIX): unquote(value)})
        elif tells is None:
            draft.dropped(f"{shown(key)} in the path", f"known are {', '.join(PATH_KEYS)} and {PATH_META_PREFIX}<key>")
        elif tells is not Tells.TAGS:
            _take_single(draft, tells, f"{key} in the path", unquote(value))
