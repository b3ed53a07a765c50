"""What may be asked of calls, in the words of a query, by every operation that is about some of them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from llm_proxy.api.operation import DEFAULT_LIMIT, SINCE, TEXT, UNTIL, Parameter
from llm_proxy.api.resource import Fault
from llm_proxy.model.account import Principal
from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.filter_words import WORDS, condition_of
from llm_proxy.model.filters import parse
from llm_proxy.model.query import CompletionQuery, Condition
from llm_proxy.model.record import FieldGroup, Record
from llm_proxy.store.base import Store


class PartOfRecord(Record, total=False):
    """A completion, or some groups of its members; its id is always there."""


async def call_of(store: Store, completion_id: str, principal: Principal) -> Completion | None:
    """The call of this id with its bodies, if there is one for ``principal``."""
    found = await store.get(completion_id, principal.organization_id)
    return found if found is not None and principal.has_project(found.project_id) else None


def _status(text: str) -> Status:
    if text not in list(Status):
        raise ValueError(f"{text!r} is no status; there are {', '.join(Status)}")
    return Status(text)


def _word(name: str) -> Parameter:
    known = WORDS[name]
    return Parameter(
        name=name,
        about=f"A call that {known.meaning}, as `{known.example.partition(':')[2]}`.",
        parse=partial(condition_of, name),
        schema=TEXT,
        many=known.repeated,
    )


def _where(text: str) -> CompletionQuery:
    now = datetime.now(UTC)
    return parse(text, now=now).query(now=now, after=None, limit=None)


#: Words that are parameters with a meaning to the lists of the store, or called otherwise.
_PARAMETERS = ("tag", "session", "user", "trace", "model", "status", "since", "until", "text")
#: What is asked for of calls, by every operation that is about some of them.
CALLS = (
    Parameter(name="tag", about="Calls that have this tag; several times: all of them.", schema=TEXT, many=True),
    Parameter(name="session", about="Calls of this session.", schema=TEXT),
    Parameter(name="user", about="Calls of this user.", schema=TEXT),
    Parameter(name="model", about="Calls that asked for this model, or were answered by it.", schema=TEXT),
    Parameter(name="status", about="Calls in this state.", parse=_status, schema={"type": "string", "enum": [*Status]}),
    SINCE,
    UNTIL,
    *(_word(name) for name in WORDS if name not in _PARAMETERS),
    Parameter(
        name="where",
        about="Calls that a filter as on the pages lets through, as `-model:gpt-4o`.",
        parse=_where,
        schema=TEXT,
    ),
)


def query_of(asked: Mapping[str, Any], principal: Principal) -> CompletionQuery:
    """The calls of ``principal`` that a query with the parameters of ``CALLS``, and perhaps others, asks for."""
    where: CompletionQuery = asked.get("where") or CompletionQuery()
    given = [one for name in WORDS if name not in _PARAMETERS for one in _several(asked.get(name))]
    return CompletionQuery(
        organization_id=principal.organization_id,
        project_id=principal.project_id,
        tags=(*asked["tag"], *where.tags),
        session_id=_either("session", asked, where.session_id),
        user_id=_either("user", asked, where.user_id),
        trace_id=_either("trace", asked, where.trace_id),
        model=_either("model", asked, where.model),
        status=_either("status", asked, where.status),
        since=_either("since", asked, where.since),
        until=_either("until", asked, where.until),
        conditions=(*given, *where.conditions),
        search=_either("search", asked, where.search),
        after=asked.get("cursor"),
        limit=asked.get("limit") or DEFAULT_LIMIT,
        with_bodies=FieldGroup.BODIES in (asked.get("fields") or ()),
    )


def _either(name: str, asked: Mapping[str, Any], where: Any) -> Any:
    if where is not None and asked.get(name) is not None:
        raise Fault(f"where: {name} is a parameter as well; choose one", param="where")
    return asked.get(name) if where is None else where


def _several(given: Condition | tuple[Condition, ...] | None) -> tuple[Condition, ...]:
    return given if isinstance(given, tuple) else () if given is None else (given,)
