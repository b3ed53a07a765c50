import sqlite3

import pytest

from llm_proxy.transfer.base import BadRow
from llm_proxy.transfer.llm_responses import read_old_logs, read_responses
from transfer.samples import llm_database


def calls_of(path):
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row
    try:
        tables = frozenset(row[0] for row in database.execute("SELECT name FROM sqlite_master"))
        return list(read_responses(database, tables))
    finally:
        database.close()


@pytest.fixture
def path(tmp_path):
    return llm_database("0.27.1", tmp_path / "logs.db")


def messages_of(call):
    return call.bodies.request["messages"]


def answer_of(call):
    return call.bodies.response["choices"][0]["message"]


def test_the_oldest_version_has_prompts_and_answers(tmp_path):
    first, second = calls_of(llm_database("0.12", tmp_path / "logs.db"))

    assert messages_of(first) == [
        {"role": "system", "content": "You are a parrot."},
        {"role": "user", "content": "Who are you?"},
    ]
    assert answer_of(first)["content"] == "Squawk: Who are you?"
    assert first.bodies.request["temperature"] == 0.5
    assert first.usage is None
    assert first.context.session_id == second.context.session_id


def test_the_messages_that_were_sent_are_the_request(path):
    second = calls_of(path)[1]

    assert [message["content"] for message in messages_of(second)] == [
        "You are a parrot.",
        "Who are you?",
        "Squawk: Who are you?",
        "And where do you live?",
    ]


def test_texts_that_are_kept_elsewhere_are_put_back(path):
    call = calls_of(path)[3]

    assert messages_of(call) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "A long story. " * 8 + "\nSum it up"},
    ]
    assert call.context.metadata["imported"]["fragments"] == ["brief.txt", "https://example.com/story"]


def test_without_them_a_request_is_put_together_with_fragments_and_attachments(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE responses SET prompt_json = NULL, system = 'And kind.' WHERE prompt = 'Sum it up'")
    database.close()

    system, user = messages_of(calls_of(path)[3])

    assert system == {"role": "system", "content": "Be brief.\n\nAnd kind."}
    assert user["content"][0] == {"type": "text", "text": "A long story. " * 8 + "\nSum it up"}
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "image_url"]


def test_a_tool_its_call_and_its_result_come_along(path):
    asking, telling = calls_of(path)[4:]

    assert [tool["function"]["name"] for tool in asking.bodies.request["tools"]] == ["multiply"]
    assert answer_of(asking)["content"] is None
    assert [call["function"]["arguments"] for call in answer_of(asking)["tool_calls"]] == ['{"a": 6, "b": 7}']
    assert messages_of(telling) == [{"role": "tool", "tool_call_id": "call_1", "content": "42"}]
    assert answer_of(telling)["content"] == "It is 42."


def test_a_schema_comes_along(path):
    call = calls_of(path)[2]

    assert call.bodies.request["response_format"]["json_schema"]["schema"]["properties"] == {"name": {"type": "string"}}


def test_tokens_and_the_end_come_along(path):
    first = calls_of(path)[0]

    assert (first.usage.input_tokens, first.usage.output_tokens, first.usage.cached_input_tokens) == (11, 5, 8)
    assert first.finish_reasons == ("stop",)
    assert first.response_model == "parrot-2024-08-06"


def test_a_row_that_is_damaged_costs_itself_only(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE responses SET datetime_utc = 'soon' WHERE prompt = 'Name a dog'")
        database.execute("UPDATE fragments SET content = 5")
        database.execute("UPDATE responses SET prompt_json = NULL WHERE prompt = 'Sum it up'")
    database.close()

    rows = calls_of(path)

    reasons = [row.reason for row in rows if isinstance(row, BadRow)]
    assert reasons[0] == "no time in datetime_utc"
    assert len(rows) - len(reasons) >= 4


def test_the_table_of_the_first_versions_is_read():
    database = sqlite3.connect(":memory:")
    database.row_factory = sqlite3.Row
    database.execute(
        "CREATE TABLE logs (id INTEGER PRIMARY KEY, model TEXT, prompt TEXT, system TEXT, prompt_json TEXT,"
        " options_json TEXT, response TEXT, response_json TEXT, reply_to_id INTEGER, chat_id INTEGER,"
        " duration_ms INTEGER, datetime_utc TEXT)"
    )
    database.execute(
        "INSERT INTO logs (id, model, prompt, response, datetime_utc)"
        " VALUES (3, 'gpt-4', 'Hi', 'Ho', '2023-06-01T00:00:00')"
    )

    (call,) = read_old_logs(database)

    assert messages_of(call) == [{"role": "user", "content": "Hi"}]
    assert call.context.session_id is None
    assert call.context.metadata["imported"]["id"] == "logs/3"
    database.close()
