"""Put the chunks of a streamed chat or text completion together into the answer that would have come without streaming.

What providers do, and what is made of it:

- A delta brings pieces. Its strings are joined, except those that name something (``LABELS``): MiniMax and others
  repeat ``role`` or ``function.name`` in every chunk. A null is no piece; anything else replaces what was there.
- List entries with an ``index`` grow where they are; others are appended. Tool calls without an index (Gemini), or
  several under the index 0 (Ollama), are told apart by their id.
- Around the deltas nothing is joined: the last value that says something wins, so ``usage`` is never summed, and the
  empty id and model of Azure's first chunk do not count. In a choice, lists are appended to each other (``logprobs``).

Unknown members are kept by the same rules. Strings are gathered and joined once: the work is linear in the bytes.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias, cast

from llm_proxy.decode.body import Answer, object_members, parse_json, text_member
from llm_proxy.decode.sse import Event
from llm_proxy.model.completion import JsonObject, JsonValue

#: Strings of a delta that name something, and so are sent whole: a later one replaces an earlier one. The openai SDK
#: for JavaScript assigns them, too; the one for Python joins all but ``type``.
LABELS = frozenset(
    {
        "call_id",
        "format",
        "id",
        "mime_type",
        "model",
        "name",
        "object",
        "role",
        "signature",
        "status",
        "thought_signature",
        "tool_call_id",
        "type",
    }
)
#: Parts of a content list that are continued by a part of the same type (Mistral).
_TEXT_PARTS = frozenset({"text", "thinking"})
#: Data of the event behind the last one of OpenAI's streams.
END_MARK = b"[DONE]"

#: An object in the making: what becomes a string is a _Text in it, what becomes a list a _List.
Growing: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What is peculiar to the chunks of one endpoint."""

    #: What ``object`` says of the whole answer.
    shape: str
    #: Adds what a chunk says of a choice to that choice.
    grow_choice: Callable[[Growing, JsonObject], None]
    #: Whether what a chunk says of a choice is part of an answer, and not only of what is said around it.
    bears_content: Callable[[JsonObject], bool]


def assemble(events: Iterable[Event], dialect: Dialect) -> Answer:
    """The answer as far as it had come when the stream ended or was cut off."""
    answer = _Answer(dialect)
    ended, first_content_end, unreadable = False, None, 0
    for event in events:
        chunk, _ = parse_json(event.data, errors="replace")
        if event.name == "error":
            chunk = as_error(event, chunk)
        if isinstance(chunk, dict):
            if first_content_end is None and any(map(dialect.bears_content, object_members(chunk, "choices"))):
                first_content_end = event.end
            answer.add(chunk)
        elif event.data.startswith(END_MARK):
            ended = True
            break
        else:
            # That the last event of a stream that was cut off is torn is no news.
            unreadable += event.complete
    return Answer(
        response=answer.finished(),
        ended=ended,
        first_content_end=first_content_end,
        unreadable_events=unreadable,
    )


def merge(growing: Growing, delta: JsonObject) -> None:
    """Add the pieces of ``delta`` to an object in the making."""
    for key, piece in delta.items():
        held = growing.get(key)
        if isinstance(piece, str):
            if isinstance(held, _Text):
                held.append(piece)
            elif isinstance(held, _List):
                held.add({"type": "text", "text": piece})
            elif key not in LABELS:
                growing[key] = _Text([held, piece] if isinstance(held, str) else [piece])
            elif piece or held is None:
                growing[key] = piece
        elif isinstance(piece, dict):
            if not isinstance(held, dict):
                held = growing[key] = {}
            merge(held, piece)
        elif isinstance(piece, list):
            _as_list(growing, key).extend(piece)
        elif piece is not None or key not in growing:
            growing[key] = piece


def extend(held: Growing, piece: JsonObject) -> None:
    """Add members that are not joined: lists are appended, else the last value that says something wins."""
    for key, value in piece.items():
        before = held.get(key)
        if before is None:
            held[key] = value
        elif isinstance(value, list) and isinstance(before, list):
            before.extend(value)
        elif isinstance(value, dict) and isinstance(before, dict):
            extend(before, value)
        elif value or value is False:
            held[key] = value


def finished(value: object) -> JsonValue:
    """The JSON that something in the making has become."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, _List):
        return [finished(entry) for entry in value.in_order()]
    if isinstance(value, dict):
        return {key: finished(member) for key, member in value.items()}
    return cast("JsonValue", value)


def as_error(event: Event, value: JsonValue) -> JsonObject | None:
    """An ``error`` event as an error body; ``value`` is its JSON, if it is any. None if it is torn."""
    if isinstance(value, dict) and value.get("error"):
        return value
    if value is not None:
        return {"error": value}
    is_torn = not event.complete and event.data[:1] in (b"", b"{")
    return None if is_torn else {"error": event.data.decode("utf-8", "replace")}


class _Text(list[str]):
    """A string in the making."""


class _List:
    """A list in the making."""

    def __init__(self) -> None:
        self._entries: list[object] = []
        self._by_index: dict[int, Growing] = {}

    def extend(self, pieces: list[JsonValue]) -> None:
        for piece in pieces:
            self.add(piece)

    def add(self, piece: JsonValue) -> None:
        if not isinstance(piece, dict):
            self._entries.append(piece)
            return
        entry = self._continued_by(piece)
        if entry is None:
            entry = {}
            self._entries.append(entry)
            index = piece.get("index")
            if isinstance(index, int):
                self._by_index[index] = entry
        merge(entry, piece)

    def in_order(self) -> list[object]:
        indexes = [entry.get("index") if isinstance(entry, dict) else None for entry in self._entries]
        known = [index for index in indexes if isinstance(index, int)]
        if len(known) < len(self._entries):
            return self._entries
        return [self._entries[place] for place in sorted(range(len(known)), key=known.__getitem__)]

    def _continued_by(self, piece: JsonObject) -> Growing | None:
        index = piece.get("index")
        if isinstance(index, int):
            entry = self._by_index.get(index)
            return None if entry is None or _is_another_call(entry, piece) else entry
        last = self._entries[-1] if self._entries else None
        if not isinstance(last, dict):
            return None
        if "function" in piece:
            return None if _is_another_call(last, piece) else last
        kind = text_member(piece, "type")
        # A signature is the last that comes of a thought.
        return last if kind in _TEXT_PARTS and kind == last.get("type") and not last.get("signature") else None


def _is_another_call(entry: Growing, piece: JsonObject) -> bool:
    """Whether a piece of a tool call belongs to another call than ``entry``.

    A call begins with its name. An id alone does not tell: Poolside sends another one from the second chunk on.
    """
    function = piece.get("function")
    if not isinstance(function, dict) or not function.get("name"):
        return False
    if piece.get("id"):
        return piece["id"] != entry.get("id")
    return not isinstance(piece.get("index"), int)


def _as_list(growing: Growing, key: str) -> _List:
    held = growing.get(key)
    if isinstance(held, _List):
        return held
    entries = growing[key] = _List()
    if isinstance(held, _Text) and any(held):
        entries.add({"type": "text", "text": "".join(held)})
    return entries


class _Answer:
    """A completion in the making."""

    def __init__(self, dialect: Dialect) -> None:
        self._shape, self._grow_choice = dialect.shape, dialect.grow_choice
        self._members: JsonObject = {}
        self._last_chunk: JsonObject = {}
        self._choices: dict[int, Growing] = {}

    def add(self, chunk: JsonObject) -> None:
        choices = chunk.get("choices")
        # Not object_members(): this runs for every chunk, and a list more is felt.
        for piece in choices if isinstance(choices, list) else ():
            if not isinstance(piece, dict):
                continue
            index = piece.pop("index", 0)
            index = index if isinstance(index, int) else 0
            choice = self._choices.get(index)
            if choice is None:
                choice = self._choices[index] = {"index": index}
            self._grow_choice(choice, piece)
        if "choices" in chunk:
            chunk["choices"] = None
        chunk.pop("obfuscation", None)  # random padding against those who watch the lengths of packets
        # Nearly every chunk repeats what the one before said of the whole.
        if chunk != self._last_chunk:
            self._last_chunk = chunk
            for key, value in chunk.items():
                if value or value is False or key not in self._members:
                    self._members[key] = value

    def finished(self) -> JsonValue:
        if "choices" in self._members:
            self._members["object"] = self._shape
            self._members["choices"] = [finished(self._choices[index]) for index in sorted(self._choices)]
        return self._members or None
