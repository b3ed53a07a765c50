"""The events of a session over a WebSocket, those of both sides in the order in which they came; also as JSON lines.

An event is a message or a control frame. Its time is that at which its last byte had come, by the recorded pieces.
Events are made one by one, so that a part of a long session costs its part, but for what was deflated. Pure functions;
nothing in here raises for what the bytes are.
"""

import base64
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import msgspec

from llm_proxy.decode.body import header_members, parse_json
from llm_proxy.decode.socket_frames import Direction, Kind, Message
from llm_proxy.model.completion import Bodies, JsonObject
from llm_proxy.model.exchange import Chunks

#: Of the messages of one side, inflated; what comes after that is left out.
MAX_BYTES = 256 * 2**20
#: Of a type: whoever sent it may have made it as long as a book.
_TYPE_CHARACTERS = 100
_CONTROLS = frozenset({Kind.CLOSE, Kind.PING, Kind.PONG})
#: White space between the members of JSON; none of it can stand within a string.
_TO_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


@dataclass(frozen=True)
class SocketEvent:
    """Something that one side sent."""

    message: Message
    by_client: bool
    #: Since the call began; None if no times are known.
    at_s: float | None

    @property
    def size(self) -> int:
        """Bytes of its payload."""
        return self.message.size

    @cached_property
    def value(self) -> JsonObject | None:
        """The JSON object that it is, whichever kind of message that came in; None if it is none."""
        if self.message.kind in _CONTROLS:
            return None
        value, _ = parse_json(self.message.payload, errors="replace")
        return value if isinstance(value, dict) else None

    @property
    def type(self) -> str:
        """What it calls itself; the names of its members where that is how it says it, as Google's do; or its kind."""
        value = self.value
        if value is None:
            return str(self.message.kind)
        said = value.get("type")
        return (said if isinstance(said, str) and said else ", ".join(value) or "{}")[:_TYPE_CHARACTERS]


class _Line(msgspec.Struct, omit_defaults=True):
    """An event in a file; exactly one of the last members says what was in it."""

    at_s: float | None
    #: ``client`` or ``upstream``.
    by: str
    type: str
    bytes: int
    #: As it was written, but on one line.
    event: msgspec.Raw | None = None
    text: str | None = None
    base64: str | None = None
    #: Of a Close.
    code: int | None = None
    reason: str | None = None


_encode = msgspec.json.Encoder().encode
_parse = msgspec.json.Decoder().decode


def session_events(bodies: Bodies) -> Iterator[SocketEvent]:
    """What both sides said in a session; nothing if its bodies are not kept."""
    extensions = header_members(bodies.response_headers, "sec-websocket-extensions")
    sides = (bodies.request_body, bodies.sent, True), (bodies.response_body, bodies.chunks, False)
    return in_order(
        *(
            timed(Direction(body or b"", extensions, by_client=by_client, limit=MAX_BYTES), pieces, by_client=by_client)
            for body, pieces, by_client in sides
        )
    )


def timed(messages: Iterable[Message], pieces: Chunks, *, by_client: bool) -> Iterator[SocketEvent]:
    """The messages of one side with their times; ``pieces`` are those in which its bytes came."""
    arrived, piece = 0, -1
    for message in messages:
        while arrived < message.end and piece + 1 < len(pieces.sizes):
            piece += 1
            arrived += pieces.sizes[piece]
        yield SocketEvent(message, by_client, pieces.times_us[piece] / 1e6 if piece >= 0 else None)


def in_order(*sides: Iterable[SocketEvent]) -> Iterator[SocketEvent]:
    """The events of both sides by their times."""
    return heapq.merge(*sides, key=lambda event: -1.0 if event.at_s is None else event.at_s)


def json_lines(events: Iterable[SocketEvent]) -> Iterator[bytes]:
    """Each event as a line of JSON, with everything that was in it."""
    for event in events:
        yield _encode(_line(event)) + b"\n"


def _line(event: SocketEvent) -> _Line:
    line = _Line(event.at_s, "client" if event.by_client else "upstream", _text(event.type), event.size)
    payload = event.message.payload
    if event.message.kind is Kind.CLOSE:
        line.code, line.reason = event.message.close()
    elif event.message.kind not in _CONTROLS and _is_json(payload):
        line.event = msgspec.Raw(payload.translate(_TO_ONE_LINE))
    elif event.message.kind is Kind.TEXT:
        line.text = payload.decode("utf-8", "replace")
    else:
        line.base64 = base64.b64encode(payload).decode("ascii")
    return line


def _is_json(payload: bytes) -> bool:
    try:
        payload.decode()
        _parse(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return True


def _text(text: str) -> str:
    """What JSON in UTF-8 can say."""
    return text.encode("utf-8", "replace").decode()
