"""What calls took over HTTP: ``GET /api/v1/spend?by=day,model`` sums up tokens and cost.

Every call that matches is read, so that without ``since`` it is those of the last days only; the answer says since
when. A call counts for each of its tags. Rows are in the order of what they are of.
"""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any, TypedDict

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import CALLS, query_of
from llm_proxy.api.operation import (
    DEFAULT_LIMIT,
    LIMIT,
    TEXT,
    Operation,
    Parameter,
    read_place,
    read_query,
    shaped,
    time_json,
    written_place,
)
from llm_proxy.api.resource import Fault, Table
from llm_proxy.api.tallies import TallyFields, tally_json
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.query import SpendBy, SpendQuery, SpendRow
from llm_proxy.store.base import Overviews

#: How far back it goes unless told.
DEFAULT_DAYS = 30


class Spend(TallyFields, total=False):
    """What calls took that are of the same day, model, provider, tag, user or session: whichever was asked for."""

    day: str
    model: str | None
    provider: str | None
    tag: str | None
    user: str | None
    session: str | None


class SpendPage(TypedDict):
    """A page of rows."""

    by: list[str]
    since: str
    until: str | None
    spend: list[Spend]
    next: str | None


def _by(text: str) -> tuple[SpendBy, ...]:
    names = text.split(",")
    for name in names:
        if name not in list(SpendBy):
            raise ValueError(f"{name!r} is unknown; there are {', '.join(SpendBy)}")
    if len(set(names)) < len(names):
        raise ValueError(f"{text!r} names one of them more than once")
    return tuple(map(SpendBy, names))


_ASKED = (
    Parameter(
        name="by",
        about="What it is told by, with commas between them.",
        parse=_by,
        schema={
            "type": "string",
            "pattern": f"^({'|'.join(SpendBy)})(,({'|'.join(SpendBy)}))*$",
            "examples": ["day", "day,model"],
        },
        needed=True,
    ),
    *CALLS,
    LIMIT,
    Parameter(name="cursor", about="The `next` of the list before.", schema=TEXT),
)


def table(overviews: Overviews) -> Table:
    """What is answered from ``overviews``."""
    told = Operation(
        scope=Scope.READ,
        by_project=True,
        answer=partial(_spend, overviews),
        about=f"What calls took, of the last {DEFAULT_DAYS} days unless `since` says otherwise.",
        parameters=_ASKED,
        gives=SpendPage,
    )
    return {"/api/v1/spend": {"GET": told}}


async def _spend(overviews: Overviews, request: Request, principal: Principal) -> Response:
    asked = read_query(request.query_params, _ASKED)
    by: tuple[SpendBy, ...] = asked["by"]
    limit = asked["limit"] or DEFAULT_LIMIT
    since = asked["since"] or datetime.now(UTC) - timedelta(days=DEFAULT_DAYS)
    calls = replace(query_of({**asked, "cursor": None}, principal), since=since)
    after = None if asked["cursor"] is None else _place(asked["cursor"], by)
    rows = await overviews.spend(SpendQuery(calls=calls, by=by, after=after, limit=limit + 1))
    return shaped(
        {
            "by": list(by),
            "since": time_json(since),
            "until": None if calls.until is None else time_json(calls.until),
            "spend": [_row_json(by, row) for row in rows[:limit]],
            "next": written_place(*map(_value_json, rows[limit - 1].of)) if len(rows) > limit else None,
        }
    )


def _place(text: str, by: tuple[SpendBy, ...]) -> tuple[date | str | None, ...]:
    try:
        place = read_place(text, *(str if one is SpendBy.DAY else str | None for one in by))
        return tuple(
            date.fromisoformat(value) if one is SpendBy.DAY else value for one, value in zip(by, place, strict=True)
        )
    except ValueError as exc:
        raise Fault(f"cursor: {exc}", param="cursor") from exc


def _row_json(by: tuple[SpendBy, ...], row: SpendRow) -> dict[str, Any]:
    return {str(one): _value_json(value) for one, value in zip(by, row.of, strict=True)} | {**tally_json(row.tally)}


def _value_json(value: date | str | None) -> str | None:
    return value.isoformat() if isinstance(value, date) else value
