"""The events of a stream that say themselves what they are, by their ``type`` or their name: of images and of audio."""

from collections.abc import Iterable, Iterator

from llm_proxy.decode.body import parse_json, text_member
from llm_proxy.decode.deltas import END_MARK, as_error
from llm_proxy.decode.sse import Event
from llm_proxy.model.completion import JsonObject


class TypedEvents:
    """Iterates once; what stands beside the events is known afterwards."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = events
        #: What the stream says of an error, as a member of the answer.
        self.error: JsonObject = {}
        #: Whole events that are no JSON object, nor the end mark.
        self.unreadable = 0

    def __iter__(self) -> Iterator[tuple[str, JsonObject, Event]]:
        """Type, members and the event itself, but for errors."""
        for event in self._events:
            value, _ = parse_json(event.data, errors="replace")
            name = text_member(value, "type") or event.name
            if "error" in (name, event.name):
                self.error |= as_error(event, value) or {}
            elif isinstance(value, dict):
                yield name, value, event
            elif not event.data.startswith(END_MARK):
                self.unreadable += event.complete
