"""Reading traces and sessions by Maxim's public API.

``POST /v1/log-repositories/logs/search`` lists those of one repository, ``GET /v1/log-repositories/logs/traces?id=``
gives one trace with everything in it. A condition that cannot be applied is refused, never ignored: the result would be
a wrong answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, Required

from pydantic import Field, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict  # pydantic takes that of Python only from 3.12 on

from llm_proxy.api.maxim_faults import InvalidBody, check, maxim_error
from llm_proxy.api.maxim_trace import entity_json, trace_json, unique_tags
from llm_proxy.api.maxim_uploads import within
from llm_proxy.api.resource import Fault, Method, Table, answered, read_object
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Completion
from llm_proxy.model.entity import completion_id
from llm_proxy.model.folding import time_of
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.trace import Entity, EntityQuery, Kind
from llm_proxy.store.base import Store, Traces

MAX_LIMIT = 100
DEFAULT_LIMIT = 10
MAX_PAGE = 1_000_000
#: Calls of one trace that are shown.
MAX_CALLS = 1000


class _Pair(TypedDict):
    key: str
    value: str


class _Filter(TypedDict):
    columnName: Literal["tags"]
    operator: Literal["equal"]
    value: Annotated[list[_Pair], Field(min_length=1)]


class _Filters(TypedDict, total=False):
    combinator: Literal["all", "any"]
    filters: list[_Filter]


class _EvaluatorFilters(TypedDict, total=False):
    combinator: str
    # What evaluators find is not known here.
    filters: Annotated[list[Any], Field(max_length=0)]


class _Range(TypedDict, total=False):
    gte: str
    lte: str


class _Sorting(TypedDict, total=False):
    columnName: Literal["startTimestamp", "timestamp"]
    id: Literal["startTimestamp", "timestamp"]
    desc: bool


class _Search(TypedDict, total=False):
    workspaceId: str
    id: Required[str]
    type: Required[Literal["session", "trace"]]
    timestamp: _Range
    sessionId: str
    searchQuery: str
    traceFilters: _Filters
    evaluatorFilters: _EvaluatorFilters
    page: Annotated[float, Field(ge=0, le=MAX_PAGE, multiple_of=1)]
    limit: Annotated[float, Field(ge=1, le=MAX_LIMIT, multiple_of=1)]
    sorting: _Sorting


_SEARCH = TypeAdapter(_Search)


@dataclass(frozen=True, slots=True)
class Records:
    """Where to read from."""

    store: Store
    traces: Traces


def table(records: Records) -> Table:
    """What is answered from ``records``."""
    return {
        "/v1/log-repositories/logs/search": {
            "POST": Method(scope=Scope.READ, by_project=True, answer=partial(_search, records), shape=maxim_error)
        },
        "/v1/log-repositories/logs/traces": {
            "GET": Method(scope=Scope.READ, by_project=True, answer=partial(_trace, records), shape=maxim_error)
        },
    }


async def _search(records: Records, request: Request, principal: Principal) -> Response:
    asked: Any = await read_object(request)
    check(_SEARCH, asked)
    within(principal, asked["id"], param="id")
    query = _query(principal.organization_id, asked)
    page = await records.traces.find(query)
    return answered(
        {
            "data": {
                "uniqueTags": unique_tags(page.entities),
                "logs": [_listed(entity) for entity in page.entities],
            },
            "pagination": {"total": page.total, "page": query.offset // query.limit, "limit": query.limit},
        }
    )


async def _trace(records: Records, request: Request, principal: Principal) -> Response:
    trace_id = request.query_params.get("id")
    if trace_id is None:
        raise Fault("id must be that of a trace", param="id")
    repository = principal.project_id
    told = await records.traces.trace(principal.organization_id, trace_id, repository=repository) or ()
    # What is recorded of other things belongs to no repository.
    calls = await _calls(records, principal.organization_id, trace_id, told) if repository is None else []
    if not told and not calls:
        raise Fault(f"there is no trace {trace_id!r}", param="id", status=404, code="not_found")
    return answered({"data": trace_json(trace_id, told, calls)})


async def _calls(records: Records, organization_id: str, trace_id: str, told: Sequence[Entity]) -> Sequence[Completion]:
    """The records of the trace that are not made of its generations."""
    query = CompletionQuery(organization_id=organization_id, trace_id=trace_id, limit=MAX_CALLS, with_bodies=True)
    page = await records.store.find(query)
    made = {completion_id(organization_id, one.key) for one in told if one.key.kind is Kind.GENERATION}
    # A generation of the same trace in another repository is a record, too, and no call of this one.
    return [one for one in page.completions if one.id not in made and "maxim" not in one.context.metadata]


def _query(organization_id: str, asked: Any) -> EntityQuery:
    limit = int(asked.get("limit", DEFAULT_LIMIT))
    filters, times, sorting = asked.get("traceFilters", {}), asked.get("timestamp", {}), asked.get("sorting", {})
    return EntityQuery(
        organization_id=organization_id,
        repository=asked["id"],
        kind=Kind(asked["type"]),
        since=_time(times, "gte"),
        until=_time(times, "lte"),
        session_id=asked.get("sessionId") or None,
        search=asked.get("searchQuery") or None,
        all_tags=filters.get("combinator", "all") == "all",
        tags=tuple(tuple((pair["key"], pair["value"]) for pair in one["value"]) for one in filters.get("filters", ())),
        oldest_first=sorting.get("desc") is False,
        offset=int(asked.get("page", 0)) * limit,
        limit=limit,
    )


def _time(times: dict[str, str], member: str) -> datetime | None:
    text = times.get(member)
    if not text:
        return None
    time = time_of(text)
    if time is None:
        raise InvalidBody([(f"timestamp.{member}", "must be a time in ISO 8601")])
    return time


def _listed(entity: Entity) -> dict[str, Any]:
    shown = entity_json(entity)
    return {**shown, "timestamp": shown["startTimestamp"]}
