"""Responses, streamed or not: https://platform.openai.com/docs/api-reference/responses and .../responses-streaming.

A stream ends with the whole response, and that is taken. If it was cut off before, or if the whole leaves ``output``
empty (the backend of Codex does), the output is put together from the items, parts and deltas that had come.
"""

from collections.abc import Iterable
from typing import NamedTuple

from llm_proxy.decode.body import Answer, member, object_member, object_members, parse_json, read_call, text_member
from llm_proxy.decode.deltas import END_MARK, Growing, as_error, extend, finished, merge
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import call_text, last_user_text, preview_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue
from llm_proxy.model.exchange import Exchange

_END_TYPES = frozenset({"response.completed", "response.incomplete", "response.failed", "response.cancelled"})
_RUNNING = frozenset({"queued", "in_progress"})


class _Place(NamedTuple):
    """Where in an output item something belongs: in a part of one of its lists, or in the item itself."""

    #: The list of parts, the member of the event that is the index in it, and the type of a part that nobody announced.
    parts: str = ""
    index_member: str = ""
    part_type: str = ""
    #: The string that grows.
    member: str = ""


#: What ``TYPE.added`` and ``TYPE.done`` bring a part for.
_PARTS = {
    "response.content_part": _Place(parts="content", index_member="content_index"),
    "response.reasoning_summary_part": _Place(parts="summary", index_member="summary_index"),
}
#: What ``TYPE.delta`` brings a piece for, and ``TYPE.done`` the whole.
_STRINGS = {
    "response.output_text": _Place("content", "content_index", "output_text", "text"),
    "response.refusal": _Place("content", "content_index", "refusal", "refusal"),
    "response.reasoning_text": _Place("content", "content_index", "reasoning_text", "text"),
    "response.reasoning_summary_text": _Place("summary", "summary_index", "summary_text", "text"),
    "response.function_call_arguments": _Place(member="arguments"),
    "response.mcp_call_arguments": _Place(member="arguments"),
    "response.custom_tool_call_input": _Place(member="input"),
    "response.code_interpreter_call_code": _Place(member="code"),
}


def decode_response(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a response; also one that was retrieved or cancelled."""
    call = read_call(exchange, max_decoded_bytes)
    answer = Answer(response=call.response) if call.events is None else _assemble(call.events)
    response = answer.response
    status = text_member(response, "status")
    reason = text_member(object_member(response, "incomplete_details"), "reason")
    return summarise(
        call,
        answer,
        kind="chat",
        preview=preview_of(last_user_text(member(call.request, "input")), _reply(object_members(response, "output"))),
        finish_reasons=[reason or (None if status in _RUNNING else status)],
    )


def _reply(output: list[JsonObject]) -> str:
    texts = [text_of(item.get("content")) for item in output if item.get("type") != "reasoning"]
    calls = [call_text(item["name"], item.get("arguments") or item.get("input")) for item in output if item.get("name")]
    return " ".join(filter(None, texts)) or ", ".join(calls)


def _assemble(events: Iterable[Event]) -> Answer:
    response = _Response()
    ended, first_content_end, unreadable = False, None, 0
    for event in events:
        value, _ = parse_json(event.data, errors="replace")
        name = text_member(value, "type") or event.name
        if "error" in (name, event.name):
            response.fail(as_error(event, value))
        elif isinstance(value, dict):
            if first_content_end is None and _bears_content(name, value):
                first_content_end = event.end
            response.add(name, value)
            ended = ended or name in _END_TYPES
        elif event.data.startswith(END_MARK):
            ended = True
        else:
            unreadable += event.complete
    return Answer(
        response=response.finished(),
        ended=ended,
        first_content_end=first_content_end,
        unreadable_events=unreadable,
    )


def _bears_content(name: str, event: JsonObject) -> bool:
    if name.endswith(".delta"):
        return bool(event.get("delta"))
    # Text is announced without any; of a tool call, the name comes with the announcement.
    return name == "response.output_item.added" and bool(object_member(event, "item").get("name"))


class _Response:
    """A response in the making."""

    def __init__(self) -> None:
        self._last: JsonObject = {}
        self._is_whole = False
        self._items: dict[int, _Item] = {}

    def add(self, name: str, event: JsonObject) -> None:
        """Add an event, which is called ``name``."""
        subject, _, happening = name.rpartition(".")
        if isinstance(event.get("response"), dict):
            self._last, self._is_whole = object_member(event, "response"), name in _END_TYPES
            for index, item in enumerate(object_members(self._last, "output")):
                self._items[index] = _Item(item)
        elif subject == "response.output_item":
            self._items[_index(event, "output_index")] = _Item(object_member(event, "item"))
        elif subject in _PARTS:
            self._item(event).set_part(_PARTS[subject], event)
        elif subject in _STRINGS and happening == "delta":
            self._item(event).grow(_STRINGS[subject], event)
        elif subject in _STRINGS and happening == "done":
            self._item(event).complete(_STRINGS[subject], event)
        elif name == "response.output_text.annotation.added":
            self._item(event).annotate(event)

    def fail(self, body: JsonObject | None) -> None:
        """Add an error body, which is None if it was torn."""
        self._last = self._last | ({"error": body["error"]} if body else {})

    def finished(self) -> JsonValue:
        if not self._items or (self._is_whole and self._last.get("output")):
            return self._last or None
        return self._last | {"output": [self._items[index].finished() for index in sorted(self._items)]}

    def _item(self, event: JsonObject) -> "_Item":
        return self._items.setdefault(_index(event, "output_index"), _Item({}))


class _Item:
    """An output item in the making."""

    def __init__(self, item: JsonObject) -> None:
        self._members: Growing = {**item}
        self._parts: dict[str, dict[int, Growing]] = {
            parts: {index: {**part} for index, part in enumerate(object_members(item, parts))}
            for parts in ("content", "summary")
        }

    def set_part(self, place: _Place, event: JsonObject) -> None:
        self._parts[place.parts][_index(event, place.index_member)] = {**object_member(event, "part")}

    def grow(self, place: _Place, event: JsonObject) -> None:
        holder = self._holder(place, event)
        if isinstance(event.get("delta"), str):
            merge(holder, {place.member: event["delta"]})
        if event.get("logprobs"):
            extend(holder, {"logprobs": event["logprobs"]})

    def complete(self, place: _Place, event: JsonObject) -> None:
        if isinstance(event.get(place.member), str):
            self._holder(place, event)[place.member] = event[place.member]

    def annotate(self, event: JsonObject) -> None:
        extend(self._holder(_STRINGS["response.output_text"], event), {"annotations": [event.get("annotation")]})

    def finished(self) -> JsonValue:
        parts = {
            key: [finished(parts[index]) for index in sorted(parts)] for key, parts in self._parts.items() if parts
        }
        return finished(self._members | parts)

    def _holder(self, place: _Place, event: JsonObject) -> Growing:
        if not place.parts:
            return self._members
        return self._parts[place.parts].setdefault(_index(event, place.index_member), {"type": place.part_type})


def _index(event: JsonObject, key: str) -> int:
    index = event.get(key)
    return index if isinstance(index, int) else 0
