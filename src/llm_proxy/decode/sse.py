"""Server-sent events: bytes to events, as the WHATWG standard has it.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation

Lines end at CR, LF or CRLF and nowhere else: U+2028 and its like are data. Invariants: how the bytes are cut into
pieces never changes an event, and the work is linear in them. One deviation: what stands before the end of a stream
without its blank line is delivered too, marked as not complete: a stream that was cut off is still worth reading.
Knows nothing of what the events carry.
"""

import msgspec

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UNNAMED = "message"
_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")
#: More digits than any reconnection time has; Python refuses to read numbers of thousands of digits.
_MOST_RETRY_DIGITS = 15


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event. A msgspec structure because thousands of them are made for one body."""

    #: Data lines joined by LF; not decoded, since most of it is JSON.
    data: bytes
    #: Bytes of the stream up to and including the blank line behind the event.
    end: int
    #: Type of the event, ``message`` unless it says otherwise.
    name: str = _UNNAMED
    #: The last id that was set by this event or one before it.
    last_id: str = ""
    #: Whether the blank line that ends an event was there.
    complete: bool = True


class EventParser:
    """Takes a stream piece by piece and gives back the events that each piece completes."""

    def __init__(self) -> None:
        #: The reconnection time that the stream asked for; None without one.
        self.retry_ms: int | None = None
        self._end = 0
        self._unfinished_line: list[bytes] = []
        self._data: list[bytes] = []
        self._name = _UNNAMED
        self._last_id = ""

    def feed(self, piece: bytes) -> list[Event]:
        """Take the next bytes of the stream. An event that ends in a bare CR may come with a later piece."""
        self._unfinished_line.append(piece)
        # Without this test a long line that arrives in many pieces would be joined again for each of them.
        if b"\n" not in piece and b"\r" not in piece:
            return []
        # bytes.splitlines knows CR, LF and CRLF only; str.splitlines knows eight more.
        lines = b"".join(self._unfinished_line).splitlines(keepends=True)
        # The other half of a CRLF may still be on its way.
        self._unfinished_line = [] if lines[-1].endswith(b"\n") else [lines.pop()]
        return self._events(lines)

    def close(self) -> list[Event]:
        """The stream is over: what was not ended by a blank line comes out, marked as not complete."""
        rest = b"".join(self._unfinished_line)
        self._unfinished_line = []
        events = self._events([rest]) if rest else []
        if self._data:
            data = b"\n".join(self._data)
            events.append(Event(data, self._end, self._name, self._last_id, complete=False))
        return events

    def _events(self, lines: list[bytes]) -> list[Event]:
        events = []
        data, end = self._data, self._end
        if not end and lines and lines[0].startswith(_BYTE_ORDER_MARK):
            end = len(_BYTE_ORDER_MARK)
            lines[0] = lines[0][end:]
        for line in lines:
            end += len(line)
            text = line.rstrip(b"\r\n")
            # The one field that nearly every line is; the same as in _take_field, only faster.
            if text[:6] == b"data: ":
                data.append(text[6:])
            elif text:
                self._take_field(text)
            else:
                if data:
                    events.append(Event(b"\n".join(data), end, self._name, self._last_id))
                    data.clear()
                self._name = _UNNAMED
        self._end = end
        return events

    def _take_field(self, text: bytes) -> None:
        field, _, value = text.partition(b":")
        value = value.removeprefix(b" ")
        match field:
            case b"data":
                self._data.append(value)
            case b"event":
                self._name = value.decode("utf-8", "replace") or _UNNAMED
            case b"id" if b"\0" not in value:
                self._last_id = value.decode("utf-8", "replace")
            case b"retry" if value.isdigit() and len(value) <= _MOST_RETRY_DIGITS:
                self.retry_ms = int(value)


def parse_events(stream: bytes) -> list[Event]:
    """Every event of a whole stream, the last one also if it was cut off."""
    parser = EventParser()
    return parser.feed(stream) + parser.close()


def looks_like_events(start: bytes) -> bool:
    """Whether a body that starts so can be a stream: a field or a comment stands first, which no JSON does."""
    return start.removeprefix(_BYTE_ORDER_MARK).lstrip(b"\r\n").startswith(_FIELDS)
