"""The logs of ``llm`` before 0.32: a row of ``responses`` for each call, and before 0.6 one of ``logs``.

Read by the migrations of llm/migrations.py, m007 to m022: columns and tables came one after the other, so a file may
lack any of the newer ones. Where the messages that were sent are in ``prompt_json``, they are the request. Elsewhere it
is put together from the prompt, its fragments, attachments and results of tools; what was said earlier in the
conversation is not repeated then, its calls share the session.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from llm_proxy.model.completion import JsonObject, JsonValue
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

_FRAGMENTS = """
    SELECT content, source FROM fragments JOIN {table} ON {table}.fragment_id = fragments.id
    WHERE response_id = ? ORDER BY {table}."order"
"""
_ATTACHMENTS = """
    SELECT attachments.* FROM attachments JOIN prompt_attachments ON attachment_id = attachments.id
    WHERE response_id = ? ORDER BY prompt_attachments."order"
"""
_TOOLS = """
    SELECT name, description, input_schema FROM tools JOIN tool_responses ON tool_responses.tool_id = tools.id
    WHERE response_id = ? ORDER BY tools.id
"""


def read_responses(database: sqlite3.Connection, tables: frozenset[str]) -> Iterator[Row]:
    """The record of each row of ``responses``, oldest first, but for those that are turns as well."""
    newer = "WHERE id NOT IN (SELECT id FROM turns)" if "turns" in tables else ""
    reader = _Reader(database, tables)
    for row in database.execute(f"SELECT * FROM responses {newer} ORDER BY id"):  # noqa: S608 - one of two constants
        yield reader.record(dict(row), table="responses")


def read_old_logs(database: sqlite3.Connection) -> Iterator[Row]:
    """The record of each row of ``logs``."""
    reader = _Reader(database, frozenset())
    for row in database.execute("SELECT * FROM logs ORDER BY id"):
        yield reader.record(dict(row) | {"conversation_id": row["chat_id"]}, table="logs")


class _Reader:
    """Looks up what belongs to a response, in those tables that there are."""

    def __init__(self, database: sqlite3.Connection, tables: frozenset[str]) -> None:
        self._database = database
        self._tables = tables

    def record(self, row: dict[str, Any], *, table: str) -> Row:
        place = f"{table} {row['id']}"
        try:
            # The ids of the old table are numbers, which the new one has none of.
            source_id = row["id"] if isinstance(row["id"], str) else f"{table}/{row['id']}"
            return completion_of(self._logged(source_id, row), place)
        except (KeyError, TypeError, ValueError, AttributeError):
            return BadRow(place=place, reason="its columns are not as llm writes them")

    def _logged(self, source_id: str, row: dict[str, Any]) -> Logged:
        conversation_id, response_id = row.get("conversation_id"), row["id"]
        fragments = self._fragments("prompt_fragments", response_id)
        system_fragments = self._fragments("system_fragments", response_id)
        names = self._rows("conversations", "SELECT name FROM conversations WHERE id = ?", conversation_id)
        schemas = self._rows("schemas", "SELECT content FROM schemas WHERE id = ?", row.get("schema_id"))
        sent = foreign.object_of(self._expanded(foreign.parsed(row.get("prompt_json")))).get("messages")
        messages = [message for message in sent if isinstance(message, dict)] if isinstance(sent, list) else []
        return Logged(
            source_id=source_id,
            columns=row,
            session_id=None if conversation_id is None else str(conversation_id),
            session_name=names[0]["name"] if names else None,
            messages=messages or self._messages(row, fragments, system_fragments),
            answer=self._answer(row),
            tools=[tool(offered) for offered in self._rows("tool_responses", _TOOLS, response_id)],
            schema=foreign.parsed(schemas[0]["content"]) if schemas else None,
            fragments=[str(part["source"]) for part in [*system_fragments, *fragments] if part["source"]],
        )

    def _rows(self, table: str, statement: str, key: Any) -> list[Mapping[str, Any]]:
        return [dict(row) for row in self._database.execute(statement, (key,))] if table in self._tables else []

    def _fragments(self, table: str, response_id: str) -> list[Mapping[str, Any]]:
        return self._rows(table, _FRAGMENTS.format(table=table), response_id)

    def _messages(
        self,
        row: Mapping[str, Any],
        fragments: list[Mapping[str, Any]],
        system_fragments: list[Mapping[str, Any]],
    ) -> list[JsonObject]:
        """As llm puts a prompt together (Prompt.prompt and Prompt.system of llm/models.py)."""
        results = self._rows("tool_results", "SELECT * FROM tool_results WHERE response_id = ? ORDER BY id", row["id"])
        attached = [attachment_part(part) for part in self._rows("prompt_attachments", _ATTACHMENTS, row["id"])]
        system = "\n\n".join(filter(None, [*(part["content"].strip() for part in system_fragments), row["system"]]))
        prompt = "\n".join(filter(None, [*(part["content"] for part in fragments), row["prompt"]]))
        messages: list[JsonObject] = [{"role": "system", "content": system}] if system else []
        messages += [tool_answer(result["tool_call_id"], result["output"]) for result in results]
        if prompt or attached or not results:
            messages.append({"role": "user", "content": text_or_parts([prompt], attached)})
        return messages

    def _answer(self, row: Mapping[str, Any]) -> JsonObject:
        answer: JsonObject = {"role": "assistant", "content": row["response"] or None}
        if reasoning := row.get("reasoning"):
            answer["reasoning_content"] = reasoning
        calls = self._rows("tool_calls", "SELECT * FROM tool_calls WHERE response_id = ? ORDER BY id", row["id"])
        if calls:
            answer["tool_calls"] = [tool_call(call["tool_call_id"], call["name"], call["arguments"]) for call in calls]
        return answer

    def _expanded(self, value: JsonValue) -> JsonValue:
        """``value`` with the texts that llm keeps elsewhere: ``{"$": key}``, or in pieces ``{"$r": [...]}``."""
        if isinstance(value, list):
            return [self._expanded(member) for member in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {"$"}:
            return self._kept(str(value["$"]))
        if value.keys() == {"$r"} and isinstance(pieces := value["$r"], list):
            return "".join(str(self._expanded(piece)) for piece in pieces)
        return {name: self._expanded(member) for name, member in value.items()}

    def _kept(self, key: str) -> str:
        """``r:`` and the id of a response; ``f`` and the number of a fragment, with a colon or without."""
        kind, _, id_ = key.partition(":") if ":" in key else (key[:1], "", key[1:])
        table, column = ("responses", "response") if kind == "r" else ("fragments", "content")
        statement = f"SELECT {column} AS text FROM {table} WHERE id = ?"  # noqa: S608 - two pairs of constants
        rows = self._rows(table, statement, id_)
        return rows[0]["text"] if rows else ""
