"""What is known of a trace → a tree: spans in the trace, and what is in them, in the order of time.

What names a parent that is not there, or that it is itself a parent of, is in the trace directly: nothing is left out
of a tree because of what was never told, or told wrongly.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from llm_proxy.model.completion import Completion
from llm_proxy.model.entity import completion_id
from llm_proxy.model.trace import Entity, Kind

#: How deep a tree is; what is deeper is shown at that depth. No program nests its spans so deep, and to walk it must
#: not be more than Python can.
MAX_DEPTH = 50


@dataclass(slots=True, kw_only=True)
class Node:
    """An entity, a call, or both: the record that a generation is."""

    entity: Entity | None = None
    call: Completion | None = None
    children: list["Node"] = field(default_factory=list)

    @property
    def started_at(self) -> datetime:
        """When it began."""
        if self.entity is not None:
            return self.entity.started_at
        assert self.call is not None
        return self.call.started_at


def tree_of(trace_id: str, entities: Iterable[Entity], calls: Iterable[Completion], organization_id: str) -> Node:
    """The trace with everything in it; its own entity is None if it was never told of itself."""
    others = {call.id: call for call in calls}
    root = Node()
    nodes = []
    for entity in entities:
        if entity.key.kind is Kind.TRACE and entity.key.id == trace_id:
            root.entity = entity
        else:
            call = None
            if entity.key.kind is Kind.GENERATION:
                call = others.pop(completion_id(organization_id, entity.key), None)
            nodes.append(Node(entity=entity, call=call))
    nodes += [Node(call=call) for call in others.values()]
    _grow(root, sorted(nodes, key=lambda node: node.started_at))
    return root


def _grow(root: Node, nodes: list[Node]) -> None:
    spans = {id(node): _span(node) for node in nodes}
    known = set(spans.values()) - {None}
    within: dict[str | None, list[Node]] = {}
    for node in nodes:
        parent = node.entity.span_id if node.entity is not None else None
        within.setdefault(parent if parent in known else None, []).append(node)
    level = [(root, node) for node in within.get(None, ())]
    placed: set[int] = set()
    # What is still to be placed after that are spans within each other: the first of them has to begin.
    for beginning in (None, *nodes):
        if beginning is not None:
            level = [(root, beginning)]
        _place(level, within, spans, placed)


def _place(
    level: list[tuple[Node, Node]],
    within: dict[str | None, list[Node]],
    spans: dict[int, str | None],
    placed: set[int],
) -> None:
    """Put nodes in their parents, and so what is within them, a level at a time."""
    depth = 1
    while level:
        below: list[tuple[Node, Node]] = []
        for parent, node in level:
            if id(node) in placed:
                continue
            placed.add(id(node))
            parent.children.append(node)
            span_id = spans[id(node)]
            if span_id is not None:
                below += [(node if depth < MAX_DEPTH else parent, child) for child in within.get(span_id, ())]
        level = below
        depth += 1


def _span(node: Node) -> str | None:
    """The id of the span that it is."""
    return node.entity.key.id if node.entity is not None and node.entity.key.kind is Kind.SPAN else None
