"""The Log10 API as its specification has it: completions and sessions; feedback is in log10_feedback.py.

A program that logs its calls by itself creates and updates completions; they stand beside what the proxy has recorded.
Updates come late, in any order and twice, under ids that the client may have made: each is merged (decode/pushed.py).
An id that is not known yet is as good as a new one: log10-io updates before, or without, creating.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol
from uuid import uuid4

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.auth import Gate
from llm_proxy.api.log10_json import completion_json
from llm_proxy.api.log10_rows import MAX_ID_CHARACTERS, checked_id, row_of
from llm_proxy.api.members import text, whole, wrong
from llm_proxy.api.resource import Fault, Method, Table, answered, read_object
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Completion, Cost, JsonObject, JsonValue
from llm_proxy.model.exchange import new_id
from llm_proxy.model.pushed import PushedRow
from llm_proxy.store.base import FeedbackStore, Store

DEFAULT_LIMIT = 50
#: More in one answer would keep the store's process from everybody else; who asks for more gets so many.
MAX_LIMIT = 1000
#: Bodies that are read at the same time.
_READ_AT_ONCE = 8


class Fold(Protocol):
    """Makes a record of what is known and what is told of a call."""

    def __call__(
        self, found: Completion | None, row: PushedRow, *, completion_id: str, organization_id: str, now: datetime
    ) -> Completion: ...


@dataclass(frozen=True, slots=True)
class Log10:
    """What all of Log10's APIs need."""

    store: Store
    feedback: FeedbackStore
    gate: Gate
    fold: Fold
    #: What a record cost; without it, no cost is known.
    price: Callable[[Completion], Cost | None] | None = None

    async def told(self, principal: Principal, completion_id: str, row: PushedRow) -> Completion:
        """Merge ``row`` into the record of this id, which is made if there is none."""
        organization_id, now = principal.organization_id, datetime.now(UTC)

        def change(found: Completion | None) -> Completion:
            if found is not None and not principal.has_project(found.project_id):
                message = f"there is no completion {completion_id!r}"
                raise Fault(message, status=404, code="not_found", param="completionId")
            changed = self.fold(found, row, completion_id=completion_id, organization_id=organization_id, now=now)
            if found is None:
                changed = replace(changed, project_id=principal.project_id)
            # What is known to be consumed as before was priced when it was new.
            if self.price is None or (found is not None and found.usage == changed.usage):
                return changed
            return replace(changed, cost=self.price(changed))

        return await self.store.amend(completion_id, organization_id, change)

    async def sender(self, principal: Principal, given: JsonObject, *, needed: bool = False) -> Principal:
        """``principal`` as one of the organisation that the body names. Raises Refused if it is of another one."""
        named = text(given, "organization_id", needed=needed)
        return await self.gate.within(principal, named) if named else principal

    async def with_bodies(self, completions: Sequence[Completion]) -> list[Completion]:
        """The same records with their bodies; those that have gone meanwhile are left out."""
        found: list[Completion] = []
        for start in range(0, len(completions), _READ_AT_ONCE):
            some = completions[start : start + _READ_AT_ONCE]
            read = await asyncio.gather(*(self.store.get(one.id, one.organization_id) for one in some))
            found += [one for one in read if one is not None]
        return found


def table(log10: Log10) -> Table:
    """What is answered."""
    read = partial(Method, scope=Scope.READ, by_project=True)
    write = partial(Method, scope=Scope.WRITE, by_project=True)
    return {
        "/api/v1/completions": {"POST": write(answer=partial(_create, log10))},
        "/api/v1/completions/ungraded": {"GET": read(answer=partial(_ungraded, log10))},
        "/api/v1/completions/{completion_id}": {"POST": write(answer=partial(_update, log10))},
        "/api/v1/sessions": {"POST": write(answer=_create_session)},
    }


def page_of(given: JsonObject) -> tuple[int, int]:
    """Offset and limit, each of which may be missing."""
    offset = whole(given, "offset", most=10**9)
    limit = whole(given, "limit", most=10**9)
    return offset or 0, DEFAULT_LIMIT if limit is None else min(limit, MAX_LIMIT)


def query_of(request: Request, *numbers: str) -> JsonObject:
    """The words of a query; those that are ``numbers`` as such, and an empty one as none."""
    words: dict[str, JsonValue] = {name: value for name, value in request.query_params.items() if value}
    for name in numbers:
        value = words.get(name)
        if isinstance(value, str):
            if not value.isascii() or not value.isdecimal() or len(value) > 9:
                raise Fault(f"{name} must be a whole number", param=name)
            words[name] = int(value)
    return words


async def _create(log10: Log10, request: Request, principal: Principal) -> Response:
    given = await read_object(request)
    principal = await log10.sender(principal, given, needed=True)
    row = row_of(given)
    chosen = text(given, "id", most=MAX_ID_CHARACTERS)
    completion_id = new_id() if chosen is None else checked_id(chosen)
    completion = await log10.told(principal, completion_id, row)
    return answered(completion_json(completion), status=201)


async def _update(log10: Log10, request: Request, principal: Principal) -> Response:
    completion_id = checked_id(request.path_params["completion_id"], "completionId")
    given = await read_object(request)
    principal = await log10.sender(principal, given, needed=True)
    row = row_of(given)
    if text(given, "id") not in (None, completion_id):
        wrong("id", "must be the id in the path, or be left out")
    return answered(completion_json(await log10.told(principal, completion_id, row)))


async def _ungraded(log10: Log10, request: Request, principal: Principal) -> Response:
    offset, limit = page_of(query_of(request, "offset", "limit"))
    owner, project = principal.organization_id, principal.project_id
    found = await log10.feedback.ungraded(owner, project_id=project, offset=offset, limit=limit)
    completions = await log10.with_bodies(found)
    return answered({"completions": [completion_json(one) for one in completions]})


async def _create_session(request: Request, principal: Principal) -> Response:
    return answered({"session": {"id": str(uuid4())}}, status=201)
