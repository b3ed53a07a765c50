"""What continues what, in the shapes in which agents send their history."""

import copy
from itertools import pairwise

import pytest

from llm_proxy.attribution.conversation import MAX_PRIOR, turns_of
from llm_proxy.model.exchange import Endpoint

#: One agent that asks for a tool, as each API has it: a list of what each call sends, and what it is answered.
CHAT_SYSTEM = {"role": "system", "content": "You are an agent."}
CHAT_USER = {"role": "user", "content": "What is in a.txt?"}
CHAT_CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": '{"path": "a.txt"}'}}],
}
CHAT_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "hello"}
CHAT_ANSWER = {"role": "assistant", "content": "It says hello."}


def chat(message):
    return {"id": "x", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}


CHAT = (
    ({"messages": [CHAT_SYSTEM, CHAT_USER]}, chat(CHAT_CALL)),
    ({"messages": [CHAT_SYSTEM, CHAT_USER, CHAT_CALL, CHAT_RESULT]}, chat(CHAT_ANSWER)),
    (
        {"messages": [CHAT_SYSTEM, CHAT_USER, CHAT_CALL, CHAT_RESULT, CHAT_ANSWER, {"role": "user", "content": "?"}]},
        chat({"role": "assistant", "content": "!"}),
    ),
)
REMINDER = {"type": "text", "text": "<system-reminder>\nToday is Monday.\n</system-reminder>"}
CLAUDE_USER = {"role": "user", "content": [REMINDER, {"type": "text", "text": "What is in a.txt?"}]}
CLAUDE_CALL = [
    {"type": "thinking", "thinking": "Let me look.", "signature": "s"},
    {"type": "text", "text": "I will look."},
    {"type": "tool_use", "id": "t1", "name": "Read", "input": {"path": "a.txt"}},
]
CLAUDE_RESULT = [{"type": "tool_result", "tool_use_id": "t1", "content": "hello"}]


def claude(content):
    return {"id": "msg_1", "type": "message", "role": "assistant", "content": content}


#: As Claude Code does: marks for the cache wander, thoughts are left out, reminders come and go.
CLAUDE = (
    ({"system": [{"type": "text", "text": "billing=1"}], "messages": [CLAUDE_USER]}, claude(CLAUDE_CALL)),
    (
        {
            "system": [{"type": "text", "text": "billing=2"}],
            "messages": [
                {"role": "user", "content": "What is in a.txt?"},
                {"role": "assistant", "content": CLAUDE_CALL[1:]},
                {"role": "user", "content": [{**CLAUDE_RESULT[0], "cache_control": {"type": "ephemeral"}}]},
            ],
        },
        claude([{"type": "text", "text": "It says hello."}]),
    ),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "What is in a.txt?"}]},
                {"role": "assistant", "content": CLAUDE_CALL},
                {"role": "user", "content": CLAUDE_RESULT},
                {"role": "assistant", "content": [{"type": "text", "text": "It says hello.\n"}]},
                {"role": "user", "content": "Thanks"},
            ]
        },
        claude([{"type": "text", "text": "!"}]),
    ),
)
ITEM_CALL = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "read", "arguments": '{"path":"a.txt"}'}
ITEM_RESULT = {"type": "function_call_output", "call_id": "c1", "output": "hello"}
ITEM_THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": []}
ITEM_ANSWER = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "It says hello.", "annotations": []}],
}
#: As the Agents SDK of OpenAI does: items are sent back with or without their ids and thoughts.
RESPONSES = (
    (
        {"instructions": "You are an agent.", "input": "What is in a.txt?"},
        {"id": "resp_1", "output": [ITEM_THOUGHT, ITEM_CALL]},
    ),
    (
        {"input": [{"role": "user", "content": "What is in a.txt?"}, ITEM_CALL, ITEM_RESULT]},
        {"id": "resp_2", "output": [ITEM_ANSWER]},
    ),
    (
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "What is in a.txt?"}]},
                ITEM_THOUGHT,
                ITEM_CALL,
                ITEM_RESULT,
                {"role": "assistant", "content": "It says hello."},
                {"role": "user", "content": "Thanks"},
            ]
        },
        {"id": "resp_3", "output": [ITEM_ANSWER]},
    ),
)
BY_ID = (
    ({"input": "What is in a.txt?"}, {"id": "resp_1", "output": [ITEM_CALL]}),
    ({"input": [ITEM_RESULT], "previous_response_id": "resp_1"}, {"id": "resp_2", "output": [ITEM_ANSWER]}),
    ({"input": "Thanks", "previous_response_id": "resp_2"}, {"id": "resp_3", "output": [ITEM_ANSWER]}),
)


def gemini(*parts):
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}}]}


GEMINI_USER = {"role": "user", "parts": [{"text": "What is in a.txt?"}]}
GEMINI_CALL = {"functionCall": {"name": "read", "args": {"path": "a.txt"}}, "thoughtSignature": "x"}
GEMINI_RESULT = {"role": "user", "parts": [{"functionResponse": {"name": "read", "response": {"text": "hello"}}}]}
GEMINI = (
    ({"contents": [GEMINI_USER]}, gemini({"text": "Hm", "thought": True}, GEMINI_CALL)),
    (
        {"contents": [GEMINI_USER, {"role": "model", "parts": [GEMINI_CALL]}, GEMINI_RESULT]},
        gemini({"text": "It says hello."}),
    ),
)
CONVERSE_USER = {"role": "user", "content": [{"text": "What is in a.txt?"}]}
CONVERSE_CALL = {
    "role": "assistant",
    "content": [{"toolUse": {"toolUseId": "t1", "name": "read", "input": {"path": "a.txt"}}}],
}
CONVERSE_RESULT = {
    "role": "user",
    "content": [
        {"toolResult": {"toolUseId": "t1", "content": [{"text": "hello"}]}},
        {"cachePoint": {"type": "default"}},
    ],
}
CONVERSE = (
    ({"messages": [CONVERSE_USER]}, {"output": {"message": CONVERSE_CALL}}),
    (
        {"messages": [CONVERSE_USER, CONVERSE_CALL, CONVERSE_RESULT]},
        {"output": {"message": {"role": "assistant", "content": [{"text": "It says hello."}]}}},
    ),
)
AGENTS = {
    "chat": (Endpoint.CHAT, CHAT),
    "claude code": (Endpoint.MESSAGES, CLAUDE),
    "responses": (Endpoint.RESPONSES, RESPONSES),
    "responses by id": (Endpoint.RESPONSES, BY_ID),
    "gemini": (Endpoint.GENERATE_CONTENT, GEMINI),
    "converse": (Endpoint.CONVERSE, CONVERSE),
}


@pytest.mark.parametrize(("endpoint", "calls"), AGENTS.values(), ids=AGENTS)
def test_each_call_of_an_agent_goes_on_where_the_one_before_has_ended(endpoint, calls):
    turns = [turns_of(endpoint, request, response) for request, response in calls]

    assert turns[0].prior == ()
    for before, after in pairwise(turns):
        assert after.prior[-1] in before.said


@pytest.mark.parametrize(("endpoint", "calls"), AGENTS.values(), ids=AGENTS)
def test_no_call_goes_on_where_it_ends_itself(endpoint, calls):
    for request, response in calls:
        turns = turns_of(endpoint, request, response)
        assert not {*turns.said} & {*turns.prior}


def ask(*contents):
    roles = ("user", "assistant")
    messages = [{"role": roles[place % 2], "content": content} for place, content in enumerate(contents)]
    return {"messages": [CHAT_SYSTEM, *messages]}


def answered(text):
    return chat({"role": "assistant", "content": text})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((ask("a"), answered("1")), (ask("b"), answered("1"))),
        ((ask("a"), answered("1")), (ask("a", "2", "c"), answered("3"))),
        ((ask("example", "answer", "a"), answered("1")), (ask("example", "answer", "b"), answered("1"))),
        ((ask("a"), None), (ask("a", "1", "b"), answered("2"))),
        ((ask("a"), answered("")), (ask("a", "", "b"), answered("2"))),
        ((ask("a", "pre"), answered("fix")), (ask("a", "pre", "b"), answered("2"))),
    ],
    ids=["instructions", "question", "examples", "no answer", "empty answer", "begun answer"],
)
def test_what_has_no_answer_in_common_is_not_continued(one, other):
    first, second = turns_of(Endpoint.CHAT, *one), turns_of(Endpoint.CHAT, *other)

    assert not {*first.said} & {*second.prior}
    assert not {*second.said} & {*first.prior}


def test_other_instructions_make_no_other_conversation():
    request, response = copy.deepcopy(CHAT[0])
    request["messages"][0] = {"role": "developer", "content": "The time is 12:01."}

    assert turns_of(Endpoint.CHAT, request, response) == turns_of(Endpoint.CHAT, *CHAT[0])


@pytest.mark.parametrize(
    "content", ["What is in a.txt? ", "What\nis in a.txt?", " What  is in\u2003a.txt?", "What is\x1fin a.txt?"]
)
def test_other_white_space_makes_no_other_conversation(content):
    request, response = copy.deepcopy(CHAT[0])
    request["messages"][1] = {"role": "user", "content": content}

    assert turns_of(Endpoint.CHAT, request, response) == turns_of(Endpoint.CHAT, *CHAT[0])


def test_no_white_space_that_unicode_has_makes_another_conversation():
    request, response = copy.deepcopy(CHAT[0])
    spaces = "".join(character for character in map(chr, range(0x10000)) if character.isspace())
    request["messages"][1] = {"role": "user", "content": f"What is{spaces}in a.txt?"}

    assert turns_of(Endpoint.CHAT, request, response) == turns_of(Endpoint.CHAT, *CHAT[0])


def test_of_a_long_history_the_last_answers_count():
    contents = [str(number) for number in range(4 * MAX_PRIOR + 1)]

    long, before = turns_of(Endpoint.CHAT, ask(*contents), None), turns_of(Endpoint.CHAT, ask(*contents[:-2]), None)

    assert len(long.prior) == MAX_PRIOR
    assert long.prior[:-1] == before.prior[1:]


@pytest.mark.parametrize(
    ("endpoint", "request_body"),
    [
        (Endpoint.EMBEDDINGS, {"input": "a"}),
        (Endpoint.OTHER, {"messages": []}),
        (Endpoint.CHAT, None),
        (Endpoint.CHAT, []),
        (Endpoint.CHAT, "text"),
    ],
)
def test_what_is_no_conversation_has_no_turns(endpoint, request_body):
    assert turns_of(endpoint, request_body, None) is None


@pytest.mark.parametrize(
    "messages",
    [None, 7, "text", {}, [7, None, "a"], [{}], [{"role": 7, "content": 7}], [{"role": "user", "content": [7, {}]}]],
)
@pytest.mark.parametrize("response", [None, 7, {"choices": 7}, {"choices": [7]}, {"output": {"message": 7}}])
@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.GENERATE_CONTENT])
def test_whatever_is_sent_nothing_is_raised(endpoint, messages, response):
    request = {"messages": messages, "input": messages, "contents": messages}

    turns = turns_of(endpoint, request, response)

    assert turns is not None


def test_messages_nested_too_deep_are_no_conversation():
    nested = []
    for _ in range(100_000):
        nested = [nested]

    assert turns_of(Endpoint.CHAT, {"messages": [{"role": "user", "content": [{"x": nested}]}]}, None) is None
