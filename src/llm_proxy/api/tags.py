"""Tags over HTTP: ``GET /api/v1/tags`` lists them in the order of their characters, with how many calls have each."""

from functools import partial
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response

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
from llm_proxy.api.resource import Table
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.query import TagUse
from llm_proxy.store.base import Overviews


class Tag(TypedDict):
    """A tag, and the calls that have it."""

    tag: str
    calls: int
    first_at: str
    last_at: str


class Tags(TypedDict):
    """A page of a list."""

    tags: list[Tag]
    next: str | None


def _place(text: str) -> str:
    (tag,) = read_place(text, str)
    return str(tag)


_LISTED = (
    Parameter(name="prefix", about="Tags that begin with this text.", schema=TEXT),
    LIMIT,
    Parameter(name="cursor", about="The `next` of the list before.", parse=_place, schema=TEXT),
)


def table(overviews: Overviews) -> Table:
    """What is answered from ``overviews``."""
    listed = Operation(
        scope=Scope.READ,
        by_project=True,
        answer=partial(_list, overviews),
        about="List tags in the order of their characters.",
        parameters=_LISTED,
        gives=Tags,
    )
    return {"/api/v1/tags": {"GET": listed}}


async def _list(overviews: Overviews, request: Request, principal: Principal) -> Response:
    asked = read_query(request.query_params, _LISTED)
    limit = asked["limit"] or DEFAULT_LIMIT
    found = await overviews.tag_uses(
        principal.organization_id,
        asked["prefix"] or "",
        project_id=principal.project_id,
        after=asked["cursor"],
        limit=limit + 1,
    )
    tags: Tags = {
        "tags": [_tag_json(use) for use in found[:limit]],
        "next": written_place(found[limit - 1].tag) if len(found) > limit else None,
    }
    return shaped(tags)


def _tag_json(use: TagUse) -> Tag:
    return {
        "tag": use.tag,
        "calls": use.calls,
        "first_at": time_json(use.first_at),
        "last_at": time_json(use.last_at),
    }
