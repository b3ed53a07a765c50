"""Ask for the tokens of a stream, and keep the piece that this causes from the client.

OpenAI's streams tell tokens only when asked to, by ``stream_options.include_usage``; then one more event comes before
the end, with no choices and the usage (https://platform.openai.com/docs/api-reference/chat/create). Only used where
``usage.streams`` says so; what a client says about it itself is never changed, and the log has all that came.
"""

import re
from typing import Any

import msgspec

from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.json_edit import members, with_member, with_value
from llm_proxy.proxy.routing import Target
from llm_proxy.proxy.transport.base import RawHeaders

_ENDPOINTS = frozenset({Endpoint.CHAT, Endpoint.TEXT})
_MEMBER = b"stream_options"
_ASKED = b'"include_usage":true'
#: The end of an event: an empty line, after whichever kind of line ends (WHATWG HTML, section 9.2.5).
_BLANK_LINE = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
#: What cannot be read as it goes by, or has its length told in advance.
_OPAQUE = frozenset({b"content-encoding", b"content-length"})


class _Request(msgspec.Struct):
    stream: Any = None
    stream_options: Any = None


class _Event(msgspec.Struct):
    choices: list[msgspec.Raw]
    usage: dict[str, msgspec.Raw]


_read_request = msgspec.json.Decoder(_Request).decode
_read_event = msgspec.json.Decoder(_Event).decode


def asking_for_usage(body: bytes) -> bytes | None:
    """``body`` with the question in it; None if it asks for no stream, speaks of it itself, or is no JSON."""
    try:
        request = _read_request(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    options = request.stream_options
    if request.stream is not True or (options is not None and not isinstance(options, dict)):
        return None
    if options is not None and "include_usage" in options:
        return None
    said = [member for member in members(body) or () if member.name == _MEMBER.decode()]
    if not said:
        return with_member(body, _MEMBER, b"{%b}" % _ASKED)
    last = said[-1]  # of a repeated member the last one counts with all who take such bodies
    if options is None:
        return with_value(body, last, b"{%b}" % _ASKED)
    written = body[last.start : last.end]
    return with_value(body, last, with_member(written, b"include_usage", b"true"))


def takes_question(target: Target) -> bool:
    """Whether the API at ``target`` is known to take the question."""
    row = target.upstream.row
    return row is not None and row.takes_stream_options and target.endpoint in _ENDPOINTS


def uncoded(headers: RawHeaders) -> RawHeaders:
    """``headers`` that ask for an answer which can be read as it goes by."""
    return [header for header in headers if header[0].lower() != b"accept-encoding"]


def is_readable(status: int, headers: RawHeaders) -> bool:
    """Whether an answer is a stream of events from which one can be taken out."""
    lower = {name.lower(): value for name, value in headers}
    is_stream = lower.get(b"content-type", b"").strip().lower().startswith(b"text/event-stream")
    return status < 300 and is_stream and not lower.keys() & _OPAQUE


class UsageFilter:
    """Lets a stream through but for the events that tell its usage alone.

    An event goes on when it is whole. Nothing else is changed: all bytes of all other events come out, in their order.
    """

    def __init__(self) -> None:
        self._pending = bytearray()
        #: An event has ended with CR, and LF may follow; whether that goes where the event went.
        self._goes_on_after_cr: bool | None = None

    def passed(self, piece: bytes, *, last: bool) -> bytes:
        """What of the stream can go on now; all that is left with the last piece."""
        return self.feed(piece) + self.finish() if last else self.feed(piece)

    def feed(self, piece: bytes) -> bytes:
        """What of the stream can go on, now that this has come."""
        self._pending += piece
        out = bytearray()
        if self._goes_on_after_cr is not None and self._pending:
            self._take_line_feed(out, self._goes_on_after_cr)
        start = 0
        while (end := _BLANK_LINE.search(self._pending, start)) is not None:
            # A CR at the very end may be the first half of a line end: the next byte tells.
            goes_on = not _tells_usage_alone(bytes(self._pending[start : end.end()]))
            if goes_on:
                out += self._pending[start : end.end()]
            start = end.end()
            if start == len(self._pending) and self._pending.endswith(b"\r"):
                self._goes_on_after_cr = goes_on
        del self._pending[:start]
        return bytes(out)

    def finish(self) -> bytes:
        """What is left at the end of the stream, which is no whole event."""
        rest = bytes(self._pending)
        self._pending.clear()
        return b"" if _tells_usage_alone(rest) else rest

    def _take_line_feed(self, out: bytearray, goes_on: bool) -> None:
        self._goes_on_after_cr = None
        if self._pending.startswith(b"\n"):
            if goes_on:
                out += b"\n"
            del self._pending[:1]


def _tells_usage_alone(event: bytes) -> bool:
    if b'"usage"' not in event:  # nearly all of them
        return False
    lines = _LINE_END.split(event)
    text = b"\n".join(line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:"))
    try:
        told = _read_event(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False
    return not told.choices
