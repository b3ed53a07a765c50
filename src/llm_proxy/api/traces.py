"""Traces over HTTP: ``GET /api/v1/traces`` lists them, ``GET /api/v1/traces/{id}`` gives one as a tree.

A tree holds what an instrumented program told of, and the calls that were recorded; a generation is both.
"""

from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import timedelta
from functools import partial
from typing import Any, TypedDict, cast

from starlette.requests import Request
from starlette.responses import Response

from llm_proxy.api.calls import PartOfRecord
from llm_proxy.api.groups import listing
from llm_proxy.api.operation import Operation, read_query, shaped, time_json, unknown
from llm_proxy.api.resource import Table
from llm_proxy.api.tallies import GroupFields
from llm_proxy.model.account import Principal, Scope
from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Grouping
from llm_proxy.model.record import record_json
from llm_proxy.model.tag_map import map_of
from llm_proxy.model.trace import Entity
from llm_proxy.model.trace_tree import Node, tree_of
from llm_proxy.store.base import Overviews, Store, Traces

#: Calls of one trace that are shown.
MAX_CALLS = 1000
#: Members of an entity that a node has by another name, or that its place in the tree says.
_PLACED = frozenset({"key", "name", "session_id", "trace_id", "span_id", "started_at", "ended_at", "tags", "metadata"})


class TracesPage(TypedDict):
    """A page of a list."""

    traces: list[GroupFields]
    next: str | None


class TraceNode(TypedDict):
    """A span, generation, retrieval, tool call, event, session or call."""

    #: The kind of entity; `completion` for a call that no program told of.
    type: str
    id: str
    name: str | None
    started_at: str
    ended_at: str | None
    tags: dict[str, str]
    metadata: dict[str, Any]
    #: What else was told of it; only what there is.
    details: dict[str, Any]
    #: The call that it is, without its bodies.
    completion: PartOfRecord | None
    children: list["TraceNode"]


class Trace(TypedDict):
    """A trace with everything in it, in the order of time."""

    id: str
    session_id: str | None
    #: What was told of the trace itself, without what is in it; null if nothing was.
    trace: TraceNode | None
    children: list[TraceNode]
    #: Whether there are more calls than are shown.
    more_calls: bool


@dataclass(frozen=True, slots=True)
class Sources:
    """Where to read from."""

    store: Store
    overviews: Overviews
    traces: Traces


def table(sources: Sources) -> Table:
    """What is answered from ``sources``."""
    return {
        "/api/v1/traces": {"GET": listing(sources.overviews, Grouping.TRACE, TracesPage)},
        "/api/v1/traces/{trace_id:path}": {
            "GET": Operation(
                scope=Scope.READ,
                by_project=True,
                answer=partial(_one, sources),
                about="One trace as a tree.",
                gives=Trace,
            )
        },
    }


async def _one(sources: Sources, request: Request, principal: Principal) -> Response:
    read_query(request.query_params, ())
    owner, trace_id = principal.organization_id, str(request.path_params["trace_id"])
    # A key of one project has the log repository of its id, and no other one.
    entities = await sources.traces.trace(owner, trace_id, repository=principal.project_id) or ()
    query = CompletionQuery(organization_id=owner, project_id=principal.project_id, trace_id=trace_id, limit=MAX_CALLS)
    calls = await sources.store.find(query)
    if not entities and not calls.completions:
        raise unknown("trace", trace_id)
    root = tree_of(trace_id, entities, calls.completions, owner)
    told = None if root.entity is None else _told_json(root.entity)
    sessions = (call.context.session_id for call in calls.completions if call.context.session_id)
    trace: Trace = {
        "id": trace_id,
        "session_id": (root.entity.session_id if root.entity else None) or next(sessions, None),
        "trace": told,
        "children": [_node_json(node) for node in root.children],
        "more_calls": calls.next is not None,
    }
    return shaped(trace)


def _node_json(node: Node) -> TraceNode:
    if node.entity is not None:
        shown = _told_json(node.entity)
    else:
        assert node.call is not None
        shown = _called_json(node.call)
    if node.call is not None:
        shown["completion"] = cast("PartOfRecord", record_json(node.call, with_bodies=False))
    shown["children"] = [_node_json(child) for child in node.children]
    return shown


def _told_json(entity: Entity) -> TraceNode:
    return {
        "type": entity.key.kind.value,
        "id": entity.key.id,
        "name": entity.name,
        "started_at": time_json(entity.started_at),
        "ended_at": None if entity.ended_at is None else time_json(entity.ended_at),
        "tags": entity.tags,
        "metadata": entity.metadata,
        "details": _details(entity),
        "completion": None,
        "children": [],
    }


def _details(entity: Entity) -> dict[str, Any]:
    told = {field.name: getattr(entity, field.name) for field in fields(entity) if field.name not in _PLACED}
    return {name: _plain(value) for name, value in told.items() if value not in (None, (), {})}


def _plain(value: Any) -> Any:
    """What is made of the model's own types, as JSON has it."""
    if isinstance(value, tuple):
        return [asdict(one) if is_dataclass(one) and not isinstance(one, type) else one for one in value]
    return value


def _called_json(call: Completion) -> TraceNode:
    return {
        "type": "completion",
        "id": call.id,
        "name": call.model,
        "started_at": time_json(call.started_at),
        "ended_at": _end(call),
        "tags": map_of(call.context.tags),
        "metadata": call.context.metadata,
        "details": {},
        "completion": None,
        "children": [],
    }


def _end(call: Completion) -> str | None:
    try:
        return None if call.duration_s is None else time_json(call.started_at + timedelta(seconds=call.duration_s))
    except OverflowError:  # whoever pushes calls may say that they took longer than there are years
        return None
