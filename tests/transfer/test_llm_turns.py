import sqlite3

import pytest

from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.llm_turns import read_turns
from transfer.samples import llm_database


@pytest.fixture
def database(tmp_path):
    database = sqlite3.connect(llm_database("0.36", tmp_path / "logs.db"))
    database.row_factory = sqlite3.Row
    yield database
    database.close()


def messages_of(call):
    return call.bodies.request["messages"]


def answer_of(call):
    return call.bodies.response["choices"][0]["message"]


def test_a_turn_has_all_that_was_said_before_it(database):
    first, second, *_ = read_turns(database)

    assert messages_of(first) == [
        {"role": "system", "content": "You are a parrot."},
        {"role": "user", "content": "Who are you?"},
    ]
    assert messages_of(second) == [
        *messages_of(first),
        {"role": "assistant", "content": "Squawk: Who are you?"},
        {"role": "user", "content": "And where do you live?"},
    ]
    assert answer_of(second) == {"role": "assistant", "content": "Squawk: And where do you live?"}
    assert first.context.session_id == second.context.session_id
    assert first.context.session_name == "Who are you?"


def test_options_tokens_and_the_resolved_model_come_along(database):
    first = next(read_turns(database))

    assert first.bodies.request["temperature"] == 0.5
    assert first.response_model == "parrot-2024-08-06"
    assert (first.usage.input_tokens, first.usage.output_tokens, first.usage.cached_input_tokens) == (11, 5, 8)
    assert first.finish_reasons == ("stop",)


def test_a_schema_and_the_reasoning_come_along(database):
    call = list(read_turns(database))[2]

    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    assert call.bodies.request["response_format"]["json_schema"]["schema"] == schema
    assert answer_of(call) == {
        "role": "assistant",
        "content": "Squawk: Name a dog",
        "reasoning_content": "A dog, then.",
    }
    assert call.usage.reasoning_output_tokens == 3


def test_fragments_and_attachments_are_put_back_where_they_were(database):
    call = list(read_turns(database))[3]

    system, user = messages_of(call)
    text, png, cat = user["content"]
    assert system == {"role": "system", "content": "Be brief."}
    assert text == {"type": "text", "text": "A long story. " * 8 + "\nSum it up"}
    assert png["image_url"]["url"].startswith("data:image/png;base64,iVBORw0KGgo")
    assert cat["image_url"]["url"] == "https://example.com/cat.png"
    assert call.context.metadata["imported"]["fragments"] == ["https://example.com/story", "brief.txt"]


def test_a_tool_its_call_and_its_result_come_along(database):
    asking, telling = list(read_turns(database))[4:]

    assert [tool["function"]["name"] for tool in asking.bodies.request["tools"]] == ["multiply"]
    (call,) = answer_of(asking)["tool_calls"]
    assert call == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "multiply", "arguments": '{"a": 6, "b": 7}'},
    }
    assert messages_of(telling)[1:] == [answer_of(asking), {"role": "tool", "tool_call_id": "call_1", "content": "42"}]
    assert answer_of(telling)["content"] == "It is 42."


def test_a_fragment_or_attachment_that_is_gone_leaves_a_gap(database):
    database.execute("PRAGMA foreign_keys = OFF")
    database.execute("DELETE FROM fragments")
    database.execute("DELETE FROM attachments")

    call = list(read_turns(database))[3]

    text, png, _ = messages_of(call)[1]["content"]
    assert text == {"type": "text", "text": "\nSum it up"}
    assert png == {"type": "file", "file": {"filename": None}}


def test_a_turn_that_is_damaged_costs_itself_only(database):
    first = database.execute("SELECT parent_message_hash FROM turns ORDER BY id LIMIT 1").fetchone()[0]
    damaged = '{"text_ref": [{}]}'
    database.execute("UPDATE parts SET payload = ? WHERE message_hash = ?", (damaged, first))

    rows = list(read_turns(database))

    bad = [row for row in rows if isinstance(row, BadRow)]
    assert [row.reason for row in bad] == ["its messages are not as llm writes them"] * 2
    assert len(rows) == 6
