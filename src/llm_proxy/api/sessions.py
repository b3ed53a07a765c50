"""Sessions and users over HTTP: ``GET /api/v1/sessions``, ``/sessions/{id}``, and so for users.

One session comes with its calls, newest first, a page at a time; there may be none, if a program told of it.
"""

from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import PartOfRecord
from llm_proxy.api.groups import listing
from llm_proxy.api.operation import (
    CURSOR,
    DEFAULT_LIMIT,
    LIMIT,
    Operation,
    read_query,
    shaped,
    unknown,
    written_cursor,
)
from llm_proxy.api.resource import Table
from llm_proxy.api.tallies import GroupFields, group_json
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.query import CompletionQuery, Grouping, GroupQuery
from llm_proxy.model.record import record_json
from llm_proxy.store.base import Overviews, Store

_SHOWN = (LIMIT, CURSOR)


class Sessions(TypedDict):
    """A page of a list."""

    sessions: list[GroupFields]
    next: str | None


class Session(TypedDict):
    """A session, and a page of its calls."""

    session: GroupFields
    completions: list[PartOfRecord]
    next: str | None


class Users(TypedDict):
    """A page of a list."""

    users: list[GroupFields]
    next: str | None


class User(TypedDict):
    """A user, and a page of their calls."""

    user: GroupFields
    completions: list[PartOfRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Kind:
    by: Grouping
    #: What one is called in an answer.
    one: str


_SESSION = _Kind(Grouping.SESSION, "session")
_USER = _Kind(Grouping.USER, "user")


def table(store: Store, overviews: Overviews) -> Table:
    """What is answered from ``store``."""

    def shown(kind: _Kind, gives: type) -> Operation:
        about = f"One {kind.one} with its calls, newest first."
        answer = partial(_one, store, overviews, kind)
        return Operation(scope=Scope.READ, by_project=True, answer=answer, about=about, parameters=_SHOWN, gives=gives)

    return {
        "/api/v1/sessions": {"GET": listing(overviews, Grouping.SESSION, Sessions)},
        "/api/v1/sessions/{session_id:path}": {"GET": shown(_SESSION, Session)},
        "/api/v1/users": {"GET": listing(overviews, Grouping.USER, Users)},
        "/api/v1/users/{user_id:path}": {"GET": shown(_USER, User)},
    }


async def _one(store: Store, overviews: Overviews, kind: _Kind, request: Request, principal: Principal) -> Response:
    asked = read_query(request.query_params, _SHOWN)
    its_id: str = request.path_params[f"{kind.one}_id"]
    owner, project = principal.organization_id, principal.project_id
    found = await overviews.groups(GroupQuery(organization_id=owner, project_id=project, by=kind.by, id=its_id))
    if not found.groups:
        raise unknown(kind.one, its_id)
    page = await store.find(
        CompletionQuery(
            organization_id=owner,
            project_id=project,
            session_id=its_id if kind is _SESSION else None,
            user_id=its_id if kind is _USER else None,
            after=asked["cursor"],
            limit=asked["limit"] or DEFAULT_LIMIT,
        )
    )
    return shaped(
        {
            kind.one: group_json(found.groups[0]),
            "completions": [record_json(completion, with_bodies=False) for completion in page.completions],
            "next": written_cursor(page.next),
        }
    )
