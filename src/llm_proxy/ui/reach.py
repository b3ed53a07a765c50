"""What somebody may see: what is of his organisation or, with a key of one project, what is of that.

What is there but not for him is answered like what is not there.
"""

from collections.abc import Sequence
from datetime import datetime

from llm_proxy.model.account import ApiKey, Principal, Project
from llm_proxy.model.completion import Completion
from llm_proxy.model.filters import Filter
from llm_proxy.model.query import CompletionQuery, Cursor
from llm_proxy.store.base import Accounts, Store


async def call_of(store: Store, completion_id: str, principal: Principal) -> Completion | None:
    """The call of this id, with its bodies."""
    found = await store.get(completion_id, principal.organization_id)
    return found if found is not None and principal.has_project(found.project_id) else None


def calls_of(
    principal: Principal, *, session_id: str | None = None, trace_id: str | None = None, limit: int | None
) -> CompletionQuery:
    """Those of a session or trace."""
    return CompletionQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        session_id=session_id,
        trace_id=trace_id,
        limit=limit,
    )


def asked(
    principal: Principal, found: Filter, *, now: datetime, after: Cursor | None = None, limit: int | None = None
) -> CompletionQuery:
    """Those that a filter lets through."""
    return found.query(principal.organization_id, project_id=principal.project_id, now=now, after=after, limit=limit)


async def projects_of(accounts: Accounts, principal: Principal) -> Sequence[Project]:
    """Those that he has to do with."""
    return [one for one in await accounts.projects(principal.organization_id) if principal.has_project(one.id)]


async def keys_of(accounts: Accounts, principal: Principal) -> Sequence[ApiKey]:
    """Those that he manages."""
    return [one for one in await accounts.keys(principal.organization_id) if principal.has_project(one.project_id)]
