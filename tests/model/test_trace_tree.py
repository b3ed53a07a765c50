"""What is known of a trace becomes a tree."""

from datetime import UTC, datetime, timedelta

from llm_proxy.model.entity import completion_id
from llm_proxy.model.trace import Entity, Key, Kind
from llm_proxy.model.trace_tree import MAX_DEPTH, tree_of
from records import record

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def told(kind, its_id, minute=0, **members):
    key = Key(repository="r", kind=kind, id=its_id)
    return Entity(key=key, trace_id="t", started_at=NOON + timedelta(minutes=minute), **members)


def shape(node):
    """Ids of what is in it, each with what is in that."""
    return [((child.entity.key if child.entity else child.call).id, shape(child)) for child in node.children]


def test_spans_hold_what_names_them_in_the_order_of_time():
    entities = [
        told(Kind.EVENT, "late", 5, span_id="inner"),
        told(Kind.SPAN, "inner", 2, span_id="outer"),
        told(Kind.EVENT, "early", 3, span_id="inner"),
        told(Kind.SPAN, "outer", 1),
        told(Kind.TRACE, "t"),
        told(Kind.EVENT, "first"),
    ]

    tree = tree_of("t", entities, [], "o")

    assert tree.entity.key.kind is Kind.TRACE
    assert shape(tree) == [("first", []), ("outer", [("inner", [("early", []), ("late", [])])])]


def test_a_generation_and_its_record_are_one_and_other_calls_stand_beside():
    generation = told(Kind.GENERATION, "g", 1)
    its_call = record(id=completion_id("o", generation.key))
    proxied = record(id="p", started_at=NOON)

    tree = tree_of("t", [generation], [its_call, proxied], "o")

    assert tree.entity is None
    assert [(child.entity, child.call) for child in tree.children] == [(None, proxied), (generation, its_call)]
    assert tree.children[0].started_at == NOON


def test_what_names_a_parent_that_is_not_there_is_in_the_trace():
    assert shape(tree_of("t", [told(Kind.EVENT, "e", span_id="never told")], [], "o")) == [("e", [])]


def test_spans_within_each_other_lose_nothing():
    entities = [
        told(Kind.SPAN, "a", 1, span_id="b"),
        told(Kind.SPAN, "b", 2, span_id="a"),
        told(Kind.EVENT, "e", 3, span_id="b"),
        told(Kind.SPAN, "self", 4, span_id="self"),
    ]

    tree = tree_of("t", entities, [], "o")

    assert shape(tree) == [("a", [("b", [("e", [])])]), ("self", [])]


def test_a_span_and_an_event_may_have_the_same_id():
    entities = [told(Kind.SPAN, "x"), told(Kind.EVENT, "x", 1, span_id="x")]

    assert shape(tree_of("t", entities, [], "o")) == [("x", [("x", [])])]


def test_what_is_too_deep_is_shown_at_the_depth_that_there_is():
    spans = [told(Kind.SPAN, str(number), number, span_id=str(number - 1)) for number in range(3 * MAX_DEPTH)]
    tree, depth, count = tree_of("t", spans, [], "o"), 0, 0

    level = tree.children
    while level:
        depth, count = depth + 1, count + len(level)
        level = [child for node in level for child in node.children]

    assert (depth, count) == (MAX_DEPTH, 3 * MAX_DEPTH)
