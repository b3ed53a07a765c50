"""Lists of what calls belong to: sessions, users and traces, what was used last first.

Sessions and traces that programs told of are listed also if no call names them.
"""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.operation import (
    CURSOR,
    DEFAULT_LIMIT,
    LIMIT,
    SINCE,
    UNTIL,
    Operation,
    read_query,
    shaped,
    written_cursor,
)
from llm_proxy.api.tallies import group_json
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.query import Grouping, GroupQuery
from llm_proxy.store.base import Overviews

_LISTED = (SINCE, UNTIL, LIMIT, CURSOR)
_SEVERAL = {Grouping.SESSION: "sessions", Grouping.USER: "users", Grouping.TRACE: "traces"}


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
    asked = read_query(request.query_params, _LISTED)
    query = GroupQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        by=by,
        since=asked["since"],
        until=asked["until"],
        after=asked["cursor"],
        limit=asked["limit"] or DEFAULT_LIMIT,
    )
    page = await overviews.groups(query)
    return shaped({_SEVERAL[by]: [group_json(group) for group in page.groups], "next": written_cursor(page.next)})
