import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.command_log import Command, Fault, lines_of, statements
from llm_proxy.model.entity import entity_of
from llm_proxy.model.folding import canonical, fold
from llm_proxy.model.trace import Evaluation, Failure, Feedback, Key, Kind, Stage

START, END = "2026-11-24T12:00:00.000001+00:00", "2026-11-24T12:00:01+00:00"
RESULT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": None}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}


def line(entity, entity_id, action, data):
    return f"{entity}{{id={entity_id},action={action},data={json.dumps(data)}}}"


#: One program, in the order in which it does things. No two lines say different things of the same without a time.
PROGRAM = [
    line("session", "s", "create", {"name": "chat", "tags": {"env": "test"}, "startTimestamp": START}),
    line("trace", "t", "create", {"name": "old", "sessionId": "s", "tags": {"a": "1"}, "startTimestamp": START}),
    line("trace", "t", "update", {"name": "turn"}),
    line("trace", "t", "update", {"tags": {"b": "2"}}),
    line("trace", "t", "update", {"input": "What is the capital of France?"}),
    line("trace", "t", "update", {"metrics": {"words": 6}}),
    line("trace", "t", "add-span", {"id": "sp", "name": "look up", "tags": {}, "startTimestamp": START}),
    line("span", "sp", "update", {"input": {"type": "text", "value": "France"}}),
    line(
        "span",
        "sp",
        "add-generation",
        {
            "id": "g",
            "model": "gpt-4o",
            "provider": "openai",
            "messages": [{"role": "user", "content": "France?"}],
            "modelParameters": {"temperature": "0.7"},
            "startTimestamp": START,
        },
    ),
    line("generation", "g", "update", {"messages": [{"role": "user", "content": "Its capital."}]}),
    line("generation", "g", "result", {"result": RESULT}),
    line("generation", "g", "add-cost", {"cost": {"input": 0.1, "output": 0.2, "total": 0.3}}),
    line("generation", "g", "end", {"endTimestamp": END}),
    line("generation", "g", "end", {"endTimestamp": "2026-11-24T12:00:02+00:00"}),
    line("span", "sp", "add-retrieval", {"id": "r", "name": "atlas", "tags": {}, "startTimestamp": START}),
    line("retrieval", "r", "update", {"input": "France"}),
    line("retrieval", "r", "update", {"docs": ["Paris is ..."], "endTimestamp": END}),
    line("retrieval", "r", "update", {"metrics": {"name": "recall", "value": 0.5}}),
    line("trace", "t", "add-tool-call", {"id": "c", "name": "map", "args": '{"x": 1}', "startTimestamp": START}),
    line("tool_call", "c", "result", {"result": "ok"}),
    line("trace", "t", "add-tool-call", {"id": "d", "name": "map", "startTimestamp": START}),
    line("tool_call", "d", "error", {"error": {"message": "down", "code": "503", "type": "net"}}),
    line("trace", "t", "add-event", {"id": "e", "name": "asked", "timestamp": START, "tags": {"k": "v"}}),
    line("trace", "t", "add-feedback", {"score": 1, "comment": "good"}),
    line("trace", "t", "add-error", {"message": "slow", "code": None, "errorType": "timeout"}),
    line("trace", "t", "evaluate", {"with": "evaluators", "evaluators": ["b", "a"], "timestamp": START}),
    line("trace", "t", "add-attachment", {"id": "f", "type": "file", "key": "r/f", "mimeType": "text/plain"}),
    line("trace", "t", "end", {"endTimestamp": END}),
    line("session", "s", "end", {"endTimestamp": END}),
]


def told(lines, *, since=0):
    found = []
    for at, one in enumerate(lines, since):
        command = Command(one.encode())
        found += statements(command.entity, command.id, command.action, json.loads(command.data), heard_at_us=at)
    return found


def folded(told_statements):
    by_key = {}
    for statement in told_statements:
        by_key.setdefault((statement.kind, statement.id), []).append(statement)
    return {key: fold(None, some) for key, some in by_key.items()}


def entities(told_statements):
    return {
        entity_id: entity_of(Key(repository="r", kind=kind, id=entity_id), state)
        for (kind, entity_id), state in folded(told_statements).items()
    }


def test_a_program_comes_out_as_its_entities():
    found = entities(told(PROGRAM))

    assert set(found) == {"s", "t", "sp", "g", "r", "c", "d", "e"}
    trace, generation = found["t"], found["g"]
    assert (trace.name, trace.session_id, trace.tags) == ("turn", "s", {"a": "1", "b": "2"})
    assert (trace.input, trace.metrics) == ("What is the capital of France?", {"words": 6})
    assert trace.feedback == (Feedback(score=1, comment="good"),)
    assert trace.failures == (Failure(message="slow", type="timeout"),)
    assert trace.evaluations == (Evaluation(evaluators=("a", "b")),)
    assert [(file.key, file.mime_type) for file in trace.attachments] == [("r/f", "text/plain")]
    assert (found["sp"].trace_id, found["sp"].input) == ("t", "France")
    assert (generation.span_id, generation.model, generation.result) == ("sp", "gpt-4o", RESULT)
    assert [message["content"] for message in generation.messages] == ["France?", "Its capital."]
    assert generation.cost == {"input": 0.1, "output": 0.2, "total": 0.3}
    assert (generation.ended_at - generation.started_at).total_seconds() == pytest.approx(2, abs=1e-3)
    assert (found["r"].output, found["r"].metrics) == (["Paris is ..."], {"recall": 0.5})
    assert (found["c"].trace_id, found["c"].arguments, found["c"].result) == ("t", '{"x": 1}', "ok")
    assert found["d"].failures == (Failure(message="down", code="503", type="net"),)
    assert (found["e"].trace_id, found["e"].tags) == ("t", {"k": "v"})


@given(st.permutations(PROGRAM), st.lists(st.sampled_from(PROGRAM)), st.integers(0, 10**6))
def test_lines_in_any_order_and_any_of_them_twice_are_the_same_entities(lines, again, place):
    mixed = [*lines[: place % len(lines)], *again, *lines[place % len(lines) :]]

    assert entities(told(mixed, since=place)) == entities(told(PROGRAM, since=place))


@given(st.permutations(PROGRAM), st.lists(st.sampled_from(PROGRAM)))
def test_what_was_heard_may_be_folded_in_any_order(lines, again):
    heard = {one: told([one], since=at) for at, one in enumerate(PROGRAM)}

    mixed = folded(statement for one in [*lines, *again] for statement in heard[one])

    in_order = folded(statement for one in PROGRAM for statement in heard[one])
    assert {key: canonical(state) for key, state in mixed.items()} == {
        key: canonical(state) for key, state in in_order.items()
    }


def test_an_error_that_comes_as_the_result_of_a_generation_is_no_result():
    error = {"result": {"error": {"message": "no", "code": "", "type": ""}, "id": "x"}}

    (statement,) = told([line("generation", "g", "result", error)])

    assert statement.members == {"errors": [{"message": "no"}]}


def test_an_action_that_is_unknown_is_kept():
    (statement,) = told([line("trace", "t", "add-simulation", {"id": "x"})])

    (entity,) = entities([statement]).values()
    assert entity.other == {"commands": [{"action": "add-simulation", "data": {"id": "x"}}]}


def test_a_start_is_told_from_a_change():
    begun, changed = told([PROGRAM[1], PROGRAM[2]])

    assert (begun.stage, changed.stage) == (Stage.BEGUN, Stage.CHANGED)


@pytest.mark.parametrize(
    ("entity", "action", "data", "path"),
    [
        ("thing", "create", {}, "entity"),
        ("trace", "create", [], "data"),
        ("trace", "create", {"tags": ["a"]}, "data.tags"),
        ("trace", "create", {"name": 1}, "data.name"),
        ("trace", "create", {"startTimestamp": "soon"}, "data.startTimestamp"),
        ("trace", "add-span", {"name": "no id"}, "data.id"),
        ("generation", "update", {"messages": "hello"}, "data.messages"),
        ("generation", "update", {"metrics": {"a": True}}, "data.metrics.a"),
        ("trace", "add-attachment", {"url": "http://x"}, "data.id"),
        ("trace", "evaluate", {"evaluators": "a"}, "data.evaluators"),
    ],
)
def test_what_is_wrong_is_named(entity, action, data, path):
    with pytest.raises(Fault) as caught:
        statements(entity, "x", action, data, heard_at_us=0)

    assert caught.value.path == path


@pytest.mark.parametrize("text", ["", "trace", "trace{id=,action=a,data={}}", "trace{id=a b,action=a,data={}}", "{}"])
def test_a_line_that_is_no_command_is_refused(text):
    with pytest.raises(Fault):
        Command(text.encode())


def test_empty_lines_are_none_and_others_keep_their_number():
    assert list(lines_of(b"a\r\n\n  \nb\n")) == [(1, b"a"), (4, b"b")]


def test_text_that_holds_what_other_programs_take_for_a_line_break_stays_on_its_line():
    (only,) = lines_of(line("trace", "t", "update", {"input": "a\u2028b"}).encode())

    assert only[0] == 1


def test_a_child_without_a_parent_that_counts_has_none():
    (statement,) = told([line("generation", "g", "add-event", {"id": "e", "name": "n"})])

    assert (statement.kind, statement.members) == (Kind.EVENT, {"name": "n"})
