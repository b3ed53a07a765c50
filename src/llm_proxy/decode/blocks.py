"""The content blocks of a streamed message, put together by their index: of Anthropic's streams and of Converse.

A block is begun by one event and grown by others; one that grows without a beginning is begun empty. The input of a
tool comes as pieces of JSON; of what is no JSON, since the stream broke off in it, the text stays.
"""

from collections.abc import Callable
from typing import Protocol

from llm_proxy.decode.body import parse_json
from llm_proxy.model.completion import JsonObject, JsonValue


class Block(Protocol):
    """One block in the making."""

    def grow(self, delta: JsonObject) -> None:
        """Add a piece."""

    def finished(self) -> JsonValue:
        """The block as it would have come without streaming."""


class Blocks:
    """All blocks of a message."""

    def __init__(self, index_member: str, new: Callable[[JsonObject], Block]) -> None:
        """``index_member`` is what an event calls the place of its block; ``new`` begins one."""
        self._index_member = index_member
        self._new = new
        self._blocks: dict[int, Block] = {}

    def begin(self, event: JsonObject, block: JsonObject) -> None:
        """Begin the block that ``event`` is about."""
        self._blocks[self._index(event)] = self._new(block)

    def grow(self, event: JsonObject, delta: JsonObject) -> None:
        """Add a piece to the block that ``event`` is about."""
        index = self._index(event)
        if index not in self._blocks:
            self._blocks[index] = self._new({})
        self._blocks[index].grow(delta)

    def finished(self) -> list[JsonValue]:
        """The blocks in their order."""
        return [self._blocks[index].finished() for index in sorted(self._blocks)]

    def _index(self, event: JsonObject) -> int:
        index = event.get(self._index_member)
        return index if isinstance(index, int) else 0


def input_of(pieces: list[str]) -> JsonValue:
    """The input of a tool; the text itself if it is no JSON, None if there is none."""
    text = "".join(pieces)
    value, problem = parse_json(text.encode()) if text else (None, None)
    return text if problem else value
