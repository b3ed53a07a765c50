import pytest

from llm_proxy.api.maxim_batch import read_batch
from llm_proxy.api.maxim_faults import InvalidBody
from llm_proxy.model.folding import fold
from llm_proxy.model.trace import MAX_TAGS, Kind

RESULT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1764000000,
    "model": "gpt-4o",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": None, "tool_calls": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
FEEDBACK, EVALUATE = {"score": 0.5, "comment": "so"}, {"evaluators": ["bias"], "variables": {"a": "b"}}
#: One of each, with every member that the specification names.
LOGS = [
    {"type": "session", "id": "s", "name": "n", "tags": {"k": "v"}, "feedback": FEEDBACK, "evaluate": EVALUATE,
     "metrics": {"m": 1}},
    {"type": "trace", "id": "t", "name": "n", "sessionId": "s", "tags": {"k": "v"}, "input": "i", "output": "o",
     "feedback": FEEDBACK, "metadata": {"m": None, "n": {"deep": [1]}}, "metrics": {"m": 1.5}, "evaluate": EVALUATE,
     "attachment": {"attachmentId": "a", "url": "https://x.test/a?b=%20#c", "tags": {}, "metadata": {"k": "v"}}},
    {"type": "span", "id": "sp", "name": "n", "tags": {}, "traceId": "t", "spanId": "up", "evaluate": EVALUATE,
     "metadata": {}, "error": {"errorId": "e", "errorMessage": "m", "errorCode": "c", "errorType": "t"},
     "attachment": {"attachmentId": "a", "url": "no URI", "metadata": {"any": [1]}}},
    {"type": "generation", "id": "g", "name": "n", "tags": {}, "traceId": "t", "spanId": "sp", "model": "gpt-4o",
     "provider": "openai", "metadata": {}, "metrics": {},
     "messages": [{"role": "user", "content": {"anything": 1}},
                  {"role": "assistant", "tool_calls": [{"id": "c", "type": "function",
                                                        "function": {"name": "f", "arguments": "{}"}}]},
                  {"role": "tool", "content": "x", "tool_call_id": "c"}],
     "modelParameters": {"temperature": 0.5, "stop": None}, "result": RESULT, "maximPromptId": "p",
     "maximPromptVersionId": "v", "error": {"errorMessage": "m"}, "evaluate": EVALUATE},
    {"type": "retrieval", "id": "r", "input": "i", "output": ["a", "b"], "metadata": {}, "metrics": {},
     "evaluate": EVALUATE},
    {"type": "toolCall", "id": "c", "name": "n", "description": "d", "args": "{}", "result": "{}",
     "error": {"errorMessage": "m"}},
    {"type": "event", "id": "e", "name": "n", "tags": {}, "metadata": {"k": 1}},
]  # fmt: skip


def batch(*logs):
    return {"repoId": "repo", "logs": list(logs)}


def faults(body):
    with pytest.raises(InvalidBody) as caught:
        read_batch(body, heard_at_us=0)
    return caught.value.flaws


def paths(body):
    return [path for path, _ in faults(body)]


def changed(place, **members):
    return {**LOGS[place], **members}


def test_every_kind_is_taken_with_all_of_its_members():
    repository, statements = read_batch(batch(*LOGS), heard_at_us=10)

    assert repository == "repo"
    assert [statement.kind for statement in statements] == [
        Kind.SESSION, Kind.TRACE, Kind.SPAN, Kind.GENERATION, Kind.RETRIEVAL, Kind.TOOL_CALL, Kind.EVENT,
    ]  # fmt: skip
    assert [statement.heard_at_us for statement in statements] == [10, 11, 12, 13, 14, 15, 16]
    trace, span = statements[1].members, statements[2].members
    assert trace["feedback"] == [FEEDBACK]
    assert trace["evaluations"] == [EVALUATE]
    assert trace["attachments"][0]["id"] == "a"
    assert span["errors"] == [{"id": "e", "message": "m", "code": "c", "type": "t"}]


def test_what_the_specification_does_not_name_is_kept_whatever_it_is():
    _, (statement,) = read_batch(batch(changed(0, extra=[1], metadata=5, errors="none")), heard_at_us=0)

    assert fold(None, [statement])["one"]["extra"][0][2] == [1]
    assert statement.members["metadata"] == 5


def test_a_text_completion_is_a_result_too():
    choice = {"index": 0, "text": "t", "logprobs": {"tokens": ["a"], "top_logprobs": [{"a": -1}]}, "finish_reason": "x"}
    result = {**RESULT, "object": "text_completion", "choices": [choice], "cost": {"input": 1, "output": 1, "total": 2}}

    assert read_batch(batch(changed(3, result=result)), heard_at_us=0)


@pytest.mark.parametrize(
    ("log", "path"),
    [
        (5, "logs[0]"),
        ({"id": "x"}, "logs[0].type"),
        ({"id": "x", "type": "thing"}, "logs[0].type"),
        ({"type": "trace"}, "logs[0].id"),
        (changed(1, id=1), "logs[0].id"),
        (changed(1, name=None), "logs[0].name"),
        (changed(1, tags={"a": 1}), "logs[0].tags.a"),
        (changed(1, tags={str(number): "" for number in range(MAX_TAGS + 1)}), "logs[0].tags"),
        (changed(1, metrics={"a": "1"}), "logs[0].metrics.a"),
        (changed(1, metrics={"a": True}), "logs[0].metrics.a"),
        (changed(1, feedback={"comment": "x"}), "logs[0].feedback.score"),
        (changed(1, evaluate={"evaluators": []}), "logs[0].evaluate.evaluators"),
        (changed(1, attachment={"attachmentId": "a", "url": "no URI"}), "logs[0].attachment.url"),
        (changed(2, error={"errorMessage": "no id"}), "logs[0].error.errorId"),
        (changed(3, provider="cohere"), "logs[0].provider"),
        (changed(3, messages=[{"role": "developer"}]), "logs[0].messages[0].role"),
        (changed(3, modelParameters=None), "logs[0].modelParameters"),
        (changed(3, result={"object": "other"}), "logs[0].result.object"),
        (changed(3, result={**RESULT, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
         "logs[0].result.usage.total_tokens"),
        (changed(3, result={**RESULT, "choices": [{**RESULT["choices"][0], "finish_reason": None}]}),
         "logs[0].result.choices[0].finish_reason"),
        ({"type": "event", "id": "e"}, "logs[0].name"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_path(log, path):
    assert paths(batch(log)) == [path]


@pytest.mark.parametrize(
    ("body", "expected"),
    [([], [""]), ({}, ["repoId", "logs"]), ({"repoId": 1, "logs": {}}, ["repoId", "logs"])],
)
def test_a_body_that_is_no_batch_is_refused(body, expected):
    assert paths(body) == expected


def test_all_faults_are_told_at_once():
    assert paths(batch(changed(0, name=1), changed(5, args=None), {"type": "trace"})) == [
        "logs[0].name",
        "logs[1].args",
        "logs[2].id",
    ]


def test_a_fault_does_not_repeat_what_was_sent():
    assert "secret" not in str(faults(batch(changed(3, provider="secret", name=["secret"]))))
