"""A session over a WebSocket on pages: how it closed and how much was heard, and its events, a part at a time.

Of each event a page has the beginning, with long texts cut, which sounds in Base64 are; the file of JSON lines has all.
A part costs itself and the frames before it, however long the session is.
"""

import json
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlencode

from llm_proxy.decode.body import member, object_member, text_member
from llm_proxy.decode.socket_events import SocketEvent, session_events
from llm_proxy.model.completion import Bodies, Completion, JsonValue
from llm_proxy.model.exchange import Endpoint
from llm_proxy.ui import present

#: On the page of the call, and on one of events alone.
FIRST_EVENTS, PAGE_EVENTS = 50, 200
#: Of one event, and of a text in it.
_EVENT_CHARACTERS = 4000
_TEXT_CHARACTERS = 200
#: No session has more; a number that is longer would only be slow to count to.
_MOST_EVENTS = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An event as a page lists it."""

    at: str
    by: str
    by_client: bool
    type: str
    size: str
    #: What was in it; empty if nothing was.
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Some events of a session."""

    lines: tuple[Line, ...]
    #: How many came before them.
    before: int
    previous_href: str | None
    next_href: str | None
    file_href: str


def is_session(completion: Completion) -> bool:
    """Whether it was granted a WebSocket of which something is kept."""
    bodies = completion.bodies or Bodies()
    has_bytes = bodies.request_body is not None or bodies.response_body is not None
    return completion.endpoint is Endpoint.REALTIME and completion.http_status == 101 and has_bytes


def session_facts(completion: Completion) -> present.Section | None:
    """How a session closed, and how much was heard in it; None for what is no session."""
    if completion.endpoint is not Endpoint.REALTIME or completion.http_status != 101:
        return None
    response = (completion.bodies or Bodies()).response
    audio = object_member(response, "audio_bytes")
    facts = (
        ("Client closed", _close(response, "client")),
        ("Upstream closed", _close(response, "upstream")),
        ("Audio heard", _size(audio.get("input"))),
        ("Audio spoken", _size(audio.get("output"))),
    )
    return present.Section(title="WebSocket", facts=facts)


def part_of(completion: Completion, here: str, *, first: int, count: int) -> Part:
    """The events from the one with this number on; ``here`` is where the call is shown."""
    events = list(islice(session_events(completion.bodies or Bodies()), first, first + count + 1))
    return Part(
        lines=tuple(map(_line, events[:count])),
        before=first,
        previous_href=f"{here}?{urlencode({'events': max(first - PAGE_EVENTS, 0)})}" if first else None,
        next_href=f"{here}?{urlencode({'events': first + count})}" if len(events) > count else None,
        file_href=f"{here}?{urlencode({'download': 'events'})}",
    )


def asked_first(text: str) -> int:
    """The number of the first event that a page is asked for; 0 if that is none."""
    return min(int(text), _MOST_EVENTS) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def _line(event: SocketEvent) -> Line:
    return Line(
        at=present.duration(event.at_s),
        by="client" if event.by_client else "upstream",
        by_client=event.by_client,
        type=present.visible(event.type),
        size=present.size(event.size),
        text=present.visible(_text(event), lines=True),
    )


def _text(event: SocketEvent) -> str:
    if event.message.kind == "close":
        code, reason = event.message.close()
        return f"{code}: {reason}" if reason else str(code)
    value = event.value
    if value is None:
        return _cut(event.message.payload[: 4 * _EVENT_CHARACTERS].decode("utf-8", "replace"), _EVENT_CHARACTERS)
    return _cut(json.dumps(_shortened(value), indent=2, ensure_ascii=False), _EVENT_CHARACTERS)


def _shortened(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        return _cut(value, _TEXT_CHARACTERS)
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    if isinstance(value, dict):
        return {name: _shortened(one) for name, one in value.items()}
    return value


def _cut(text: str, characters: int) -> str:
    if len(text) <= characters:
        return text
    return f"{text[:characters]}… ({len(text) - characters:,} characters more)"


def _close(response: JsonValue, side: str) -> str:
    close = object_member(object_member(response, "close"), side)
    code = member(close, "code")
    if not isinstance(code, int):
        return present.DASH
    return present.visible(": ".join(filter(None, (str(code), text_member(close, "reason")))))


def _size(audio_bytes: JsonValue) -> str:
    return present.size(audio_bytes if isinstance(audio_bytes, int) else None)
