"""Lists of what calls belong to: sessions, users and traces, what was used last first.

Sessions and traces that programs told of are listed also if no call names them. What may be asked is what the filter of
the pages says, each word by its name, or all of them as ``where``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.operation import (
    CURSOR,
    DEFAULT_LIMIT,
    LIMIT,
    SINCE,
    TEXT,
    UNTIL,
    Operation,
    Parameter,
    read_query,
    shaped,
    written_cursor,
)
from llm_proxy.api.resource import Fault
from llm_proxy.api.tallies import group_json
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.filter_words import GROUP_WORDS, SUMMED
from llm_proxy.model.filters import Filter, check, parse
from llm_proxy.model.query import Grouping, GroupQuery
from llm_proxy.store.base import Overviews

_SEVERAL = {Grouping.SESSION: "sessions", Grouping.USER: "users", Grouping.TRACE: "traces"}
#: How long to look for what is asked, in seconds; then a page ends where it is.
_PATIENCE_S = 20.0
#: Words that are called otherwise here, as in the list of calls.
_NAMES = {"text": "search"}
_TIMES = ("since", "until")


def _word(word: str) -> Parameter:
    known = GROUP_WORDS[word]
    which = "Those that" if word in SUMMED else "Those with a call that"
    return Parameter(
        name=_NAMES.get(word, word),
        about=f"{which} {known.meaning}, as `{known.example.partition(':')[2]}`.",
        parse=partial(_checked, word),
        schema=TEXT,
        many=known.repeated,
    )


def _checked(word: str, text: str) -> str:
    if not text:
        raise ValueError("has no value")
    check(word, text, datetime.now(UTC))
    return text


def _where(text: str) -> Filter:
    return parse(text, now=datetime.now(UTC), words=GROUP_WORDS)


_WORDS = tuple(word for word in GROUP_WORDS if word not in _TIMES)
_LISTED = (
    SINCE,
    UNTIL,
    *map(_word, _WORDS),
    Parameter(name="where", about="A filter as on the pages, as `-status:failed cost:>1`.", parse=_where, schema=TEXT),
    LIMIT,
    CURSOR,
)


def listing(overviews: Overviews, by: Grouping, gives: type) -> Operation:
    """The operation that lists them, as a page of the shape ``gives``."""
    return Operation(
        scope=Scope.READ,
        by_project=True,
        answer=partial(_list, overviews, by),
        about=f"List {_SEVERAL[by]} by their calls, the one used last first.",
        parameters=_LISTED,
        gives=gives,
    )


async def _list(overviews: Overviews, by: Grouping, request: Request, principal: Principal) -> Response:
    query = _query_of(read_query(request.query_params, _LISTED), by, principal)
    page = await overviews.groups(query)
    return shaped({_SEVERAL[by]: [group_json(group) for group in page.groups], "next": written_cursor(page.next)})


def _query_of(asked: Mapping[str, Any], by: Grouping, principal: Principal) -> GroupQuery:
    where: Filter = asked["where"] or Filter()
    for name in (*(word for word in _WORDS if not GROUP_WORDS[word].repeated), *_TIMES):
        if asked[_NAMES.get(name, name)] is not None and where.value(name) is not None:
            raise Fault(f"where: {name} is a parameter as well; choose one", param="where")
    found = Filter((*_given(asked), *where.words))
    query = found.group_query(
        by,
        principal.organization_id,
        project_id=principal.project_id,
        now=datetime.now(UTC),
        after=asked["cursor"],
    )
    times = {name: asked[name] for name in _TIMES if asked[name] is not None}
    patience_s = _PATIENCE_S if found.words else None
    return replace(query, limit=asked["limit"] or DEFAULT_LIMIT, patience_s=patience_s, **times)


def _given(asked: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for word in _WORDS:
        given: tuple[str, ...] | str | None = asked[_NAMES.get(word, word)]
        for text in (given,) if isinstance(given, str) else given or ():
            yield word, text
