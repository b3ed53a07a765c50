"""The logs of ``llm`` since 0.32: messages in a tree, and a turn for each call that grew it.

A message stands once, however many conversations begin with it; a turn names the message that it continued from and the
one that it ended with. Read by the migrations of llm/migrations.py, m023 to m027. The provider's own answer is kept
there as what differs from the message; of it, only what is plain is read.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any

from llm_proxy.model.completion import JsonObject
from llm_proxy.transfer import foreign
from llm_proxy.transfer.base import BadRow, Row
from llm_proxy.transfer.llm_chat import (
    Logged,
    attachment_part,
    completion_of,
    text_or_parts,
    tool,
    tool_answer,
    tool_call,
)

_TURNS = """
    SELECT turns.*, threads.name AS thread_name, schemas.content AS schema_json
    FROM turns LEFT JOIN threads ON threads.id = turns.thread_id LEFT JOIN schemas ON schemas.id = turns.schema_id
    ORDER BY turns.id
"""
#: From a message back to the first one; the limit is there for files in which messages go round in a circle.
_CHAIN = """
    WITH RECURSIVE chain(hash, parent_hash, role, distance) AS (
        SELECT hash, parent_hash, role, 0 FROM messages WHERE hash = ?
        UNION ALL
        SELECT messages.hash, messages.parent_hash, messages.role, distance + 1
        FROM chain JOIN messages ON messages.hash = chain.parent_hash WHERE distance < 100000
    )
    SELECT hash, role FROM chain ORDER BY distance DESC
"""
_PARTS = "SELECT type, text, payload FROM parts WHERE message_hash = ? ORDER BY position"
_TOOLS = """
    SELECT name, description, input_schema FROM tools JOIN turn_tools ON turn_tools.tool_id = tools.id
    WHERE turn_id = ? ORDER BY tools.id
"""
_FRAGMENTS = """
    SELECT source FROM fragments JOIN turn_fragments ON turn_fragments.fragment_id = fragments.id
    WHERE turn_id = ? AND source IS NOT NULL ORDER BY kind, turn_fragments."order"
"""


def read_turns(database: sqlite3.Connection) -> Iterator[Row]:
    """The record of each turn, oldest first."""
    for turn in database.execute(_TURNS):
        place = f"turns {turn['id']}"
        try:
            yield completion_of(_logged(database, dict(turn)), place)
        except (KeyError, TypeError, ValueError, AttributeError):
            yield BadRow(place=place, reason="its messages are not as llm writes them")


def _logged(database: sqlite3.Connection, turn: dict[str, Any]) -> Logged:
    chain = _chain(database, turn["tip_message_hash"])
    given = len(_chain(database, turn["parent_message_hash"]))
    messages = [message for hash_, role in chain[:given] for message in _messages(database, hash_, role)]
    answers = [message for hash_, role in chain[given:] for message in _messages(database, hash_, role)]
    return Logged(
        source_id=turn["id"],
        columns=turn,
        session_id=turn["thread_id"],
        session_name=turn["thread_name"],
        messages=messages,
        answer=_merged(answers),
        tools=[tool(row) for row in database.execute(_TOOLS, (turn["id"],))],
        schema=foreign.parsed(turn["schema_json"]),
        fragments=[row["source"] for row in database.execute(_FRAGMENTS, (turn["id"],))],
    )


def _chain(database: sqlite3.Connection, tip: str | None) -> list[tuple[str, str]]:
    return [(row["hash"], row["role"]) for row in database.execute(_CHAIN, (tip,))]


def _messages(database: sqlite3.Connection, hash_: str, role: str) -> list[JsonObject]:
    """The messages that one of llm is: each answer of a tool is one of its own."""
    texts: list[str] = []
    reasoning: list[str] = []
    attachments: list[JsonObject] = []
    calls: list[JsonObject] = []
    answers: list[JsonObject] = []
    for row in database.execute(_PARTS, (hash_,)):
        payload = foreign.object_of(row["payload"])
        match row["type"]:
            case "text":
                texts.append(_text(database, row["text"], payload))
            case "reasoning":
                reasoning.append(_text(database, row["text"], payload))
            case "attachment":
                attachments.append(_attachment(database, payload))
            case "tool_call":
                call_id, name = foreign.text(payload.get("tool_call_id")), foreign.text(payload.get("name"))
                calls.append(tool_call(call_id, name, payload.get("arguments")))
            case "tool_result":
                output = foreign.text(payload.get("output")) or foreign.text(payload.get("exception"))
                answers.append(tool_answer(foreign.text(payload.get("tool_call_id")), output or ""))
    if answers and not (texts or attachments):
        return answers
    message: JsonObject = {"role": role, "content": text_or_parts(texts, attachments)}
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    if calls:
        message["tool_calls"] = list(calls)
    return [*answers, message]


def _text(database: sqlite3.Connection, text: str | None, payload: JsonObject) -> str:
    """The text of a part, put together where pieces of it are fragments."""
    pieces = payload.get("text_ref")
    if not isinstance(pieces, list):
        return text or ""
    return "".join(_piece(database, piece) for piece in pieces if isinstance(piece, dict))


def _piece(database: sqlite3.Connection, piece: JsonObject) -> str:
    if "literal" in piece:
        return foreign.text(piece["literal"]) or ""
    row = database.execute("SELECT content FROM fragments WHERE id = ?", (piece["fragment"],)).fetchone()
    return row["content"] if row else ""


def _attachment(database: sqlite3.Connection, payload: JsonObject) -> JsonObject:
    attachment_id = foreign.object_of(payload.get("attachment")).get("id")
    row = database.execute("SELECT * FROM attachments WHERE id = ?", (attachment_id,)).fetchone()
    return attachment_part(dict(row) if row else {})


def _merged(answers: list[JsonObject]) -> JsonObject:
    """The answer; where a provider ran tools itself there are several messages, of which the last has the text."""
    said = [message for message in answers if message.get("role") == "assistant"]
    return said[-1] if said else {"role": "assistant", "content": None}
