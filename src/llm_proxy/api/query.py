"""Reading the records over HTTP, for programs.

``GET /api/v1/completions`` lists them newest first, ``GET /api/v1/completions/{id}`` gives one with its bodies; both in
the shape of model/record.py, of what the organisation of the caller has. A list has all groups of members but the
bodies, or those that ``fields`` names.
"""

from functools import partial
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import CALLS, PartOfRecord, call_of, query_of
from llm_proxy.api.operation import (
    CURSOR,
    LIMIT,
    TEXT,
    Operation,
    Parameter,
    read_query,
    shaped,
    unknown,
    written_cursor,
)
from llm_proxy.api.resource import Table, answered, words
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.record import FieldGroup, Record, record_fields, record_json
from llm_proxy.store.base import Store


class Completions(TypedDict):
    """A page of a list."""

    completions: list[PartOfRecord]
    #: The `cursor` of the next page; null on the last one.
    next: str | None


def _groups(text: str) -> frozenset[FieldGroup]:
    names = text.split(",")
    for name in names:
        if name not in list(FieldGroup):
            raise ValueError(f"{name!r} is unknown; there are {', '.join(FieldGroup)}")
    groups = frozenset(map(FieldGroup, names))
    return frozenset(FieldGroup) if groups == {FieldGroup.BODIES} else groups


_LISTED = (
    *CALLS[:3],
    Parameter(name="trace", about="Calls of this trace.", schema=TEXT),
    *CALLS[3:],
    Parameter(name="search", about="Text in the request or response as JSON, whatever its case.", schema=TEXT),
    LIMIT,
    CURSOR,
    Parameter(
        name="fields",
        about="Groups of members, with commas between them, in place of all but `bodies`; `bodies` alone adds to all.",
        parse=_groups,
        schema={
            "type": "string",
            "pattern": f"^({'|'.join(FieldGroup)})(,({'|'.join(FieldGroup)}))*$",
            "examples": ["head,outcome"],
        },
    ),
)


def table(store: Store) -> Table:
    """What is answered from ``store``."""
    return {
        "/api/v1/completions": {
            "GET": Operation(
                scope=Scope.READ,
                by_project=True,
                answer=partial(_list, store),
                about="List calls, newest first.",
                parameters=_LISTED,
                gives=Completions,
            )
        },
        "/api/v1/completions/{completion_id}": {
            "GET": Operation(
                scope=Scope.READ,
                by_project=True,
                answer=partial(_one, store),
                about="One call with its bodies.",
                gives=Record,
            )
        },
    }


async def _list(store: Store, request: Request, principal: Principal) -> Response:
    asked = read_query(request.query_params, _LISTED)
    groups = asked["fields"] or frozenset(FieldGroup) - {FieldGroup.BODIES}
    page = await store.find(query_of(asked, principal))
    return shaped(
        {
            "completions": [record_fields(completion, groups) for completion in page.completions],
            "next": written_cursor(page.next),
        }
    )


async def _one(store: Store, request: Request, principal: Principal) -> Response:
    words(request.query_params, {})
    completion_id: str = request.path_params["completion_id"]
    completion = await call_of(store, completion_id, principal)
    if completion is None:
        raise unknown("completion", completion_id)
    return answered(record_json(completion, with_bodies=True))
