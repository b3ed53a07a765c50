"""One trace: everything in it as a tree on one axis of time, with what it took together."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from markupsafe import Markup
from starlette.requests import Request
from starlette.types import ASGIApp

from llm_proxy.model.account import Principal
from llm_proxy.model.completion import JsonValue, Status
from llm_proxy.model.filters import Filter
from llm_proxy.model.trace import Entity, Kind
from llm_proxy.model.trace_tree import Node, tree_of
from llm_proxy.store.base import Store, Traces
from llm_proxy.ui import present
from llm_proxy.ui.calls import call_href, feedback_href, href, session_href
from llm_proxy.ui.reach import calls_of
from llm_proxy.ui.rendering import json_or_text
from llm_proxy.ui.room import Table, looks
from llm_proxy.ui.templating import page, problem
from llm_proxy.ui.timeline import end_of
from llm_proxy.ui.totals import totals

#: Calls of a trace on its page.
_MAX_CALLS = 1000
#: Lines on the page; of a longer trace, the first.
_MAX_LINES = 2000
_CHARACTERS = 4000
WIDTH = 1000
_LABELS = {Kind.TOOL_CALL: "tool call"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A thing in the trace."""

    depth: int
    kind: str
    name: str
    href: str | None
    took: str
    failed: str | None
    #: Where it lies in the time of the trace, in units of the axis.
    x: float
    width: float
    #: What was told of it, under a name each.
    details: tuple[tuple[str, Markup], ...]


def table(store: Store, traces: Traces) -> Table:
    """What is asked for where."""
    return {"/traces/{trace_id:path}": looks(partial(_trace, store, traces), by_project=True)}


async def _trace(store: Store, traces: Traces, request: Request, principal: Principal) -> ASGIApp:
    owner, trace_id = principal.organization_id, str(request.path_params["trace_id"])
    # A project has the log repository of its id, and no other one.
    told = await traces.trace(owner, trace_id, repository=principal.project_id) or ()
    found = await store.find(calls_of(principal, trace_id=trace_id, limit=_MAX_CALLS))
    if not told and not found.completions:
        return problem(404, "Not found", f"Nothing is known of a trace {present.visible(trace_id)}.")
    calls = found.completions[::-1]
    root = tree_of(trace_id, told, calls, owner)
    nodes = list(_walk(root, 0))
    begin, end = _span(root, nodes)
    sessions = [root.entity.session_id if root.entity else None, *(call.context.session_id for call in calls)]
    session = next((one for one in sessions if one), None)
    return page(
        "trace.html",
        name=present.visible(root.entity.name) if root.entity and root.entity.name else None,
        trace_id=present.visible(trace_id),
        feedback=feedback_href("trace", trace_id),
        session=session and (session_href(session), present.visible(session)),
        totals=(*(totals(calls) if calls else ()), ("Span", present.duration((end - begin).total_seconds()))),
        lines=[_line(node, depth, begin, end) for node, depth in nodes[:_MAX_LINES]],
        left_out=max(len(nodes) - _MAX_LINES, 0),
        told=_details(root.entity) if root.entity else (),
        more=found.next is not None,
        list_href=href(Filter((("trace", trace_id),))),
        width=WIDTH,
    )


def _walk(node: Node, depth: int) -> Iterator[tuple[Node, int]]:
    for child in node.children:
        yield child, depth
        yield from _walk(child, depth + 1)


def _span(root: Node, nodes: list[tuple[Node, int]]) -> tuple[datetime, datetime]:
    every = [node for node, _ in nodes] + ([root] if root.entity else [])
    return min(node.started_at for node in every), max(_end(node) or node.started_at for node in every)


def _end(node: Node) -> datetime | None:
    if node.entity is not None and node.entity.ended_at is not None:
        return node.entity.ended_at
    if node.call is not None and node.call.duration_s is not None:
        return end_of(node.call)
    return None


def _line(node: Node, depth: int, begin: datetime, end: datetime) -> Line:
    whole = max((end - begin).total_seconds(), 1e-6)
    ended = _end(node)
    start = (node.started_at - begin).total_seconds() / whole
    took = None if ended is None else (ended - node.started_at).total_seconds()
    x = min(max(start, 0), 1) * (WIDTH - 3)
    return Line(
        depth=min(depth, 20),
        kind=_kind(node),
        name=_name(node),
        href=call_href(node.call.id) if node.call is not None else None,
        took=present.duration(took),
        failed=_failed(node),
        x=round(x, 1),
        width=round(max(min((took or 0) / whole * WIDTH, WIDTH - x), 3), 1),
        details=_details(node.entity) if node.entity is not None else (),
    )


def _kind(node: Node) -> str:
    if node.entity is None:
        return "call"
    return _LABELS.get(node.entity.key.kind, node.entity.key.kind.value)


def _name(node: Node) -> str:
    entity, call = node.entity, node.call
    told = entity.name if entity is not None else None
    if told is None and call is not None:
        return f"{present.text(call.model)} · {present.row(call).preview}"
    return present.text(told or (entity.key.id if entity is not None else None))


def _failed(node: Node) -> str | None:
    if node.call is not None and node.call.status is Status.FAILED:
        return present.failure(node.call)
    failures = node.entity.failures if node.entity is not None else ()
    return present.text(failures[0].message) if failures else None


def _details(entity: Entity) -> tuple[tuple[str, Markup], ...]:
    told: tuple[tuple[str, JsonValue], ...] = (
        ("Input", entity.input),
        ("Arguments", entity.arguments),
        ("Output", entity.output),
        ("Result", entity.result if entity.key.kind is Kind.TOOL_CALL else None),
        ("Tags", dict(entity.tags)),
        ("Metadata", entity.metadata),
        ("Errors", [failure.message for failure in entity.failures]),
        ("Files", [file.name or file.url or file.id for file in entity.attachments]),
    )
    return tuple((name, json_or_text(_written(value))) for name, value in told if value not in (None, {}, [], ""))


def _written(value: JsonValue) -> str:
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= _CHARACTERS else f"{text[:_CHARACTERS]} …"
