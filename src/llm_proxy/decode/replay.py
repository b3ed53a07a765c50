"""An answer as it streamed: what each piece of it said, and when that came.

Reads the events of any endpoint for the text that is in them; what has none is left out. The times are those at which
the last byte of an event had arrived. Pure functions; nothing in here raises for what a body contains.
"""

import binascii
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from llm_proxy.decode.body import is_stream, member, object_members, parse_json, plain_body, text_member
from llm_proxy.decode.event_stream import events_of, is_event_stream, parse_frames
from llm_proxy.decode.socket_events import session_events
from llm_proxy.decode.sse import Event, parse_events
from llm_proxy.model.completion import Bodies, JsonValue

#: Of a body without its content codings; what is longer is replayed that far.
MAX_BYTES = 32 * 2**20
#: The header of a 101 that grants a WebSocket, of which at least the name is on record.
_GRANTED = "sec-websocket-accept"
_TEXT, _REASONING, _TOOL = "text", "reasoning", "tool"
#: What brings text in the events of the Responses API and of Anthropic's, by the type of the event or of its delta.
_KINDS = {
    "response.output_text.delta": _TEXT,
    "response.refusal.delta": _TEXT,
    "response.text.delta": _TEXT,
    "response.audio_transcript.delta": _TEXT,
    "response.output_audio_transcript.delta": _TEXT,
    "response.reasoning_text.delta": _REASONING,
    "response.reasoning_summary_text.delta": _REASONING,
    "response.function_call_arguments.delta": _TOOL,
    "response.custom_tool_call_input.delta": _TOOL,
    "text_delta": _TEXT,
    "thinking_delta": _REASONING,
    "input_json_delta": _TOOL,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """Something that was said, and when, in seconds since the call began."""

    at_s: float
    #: ``text``, ``reasoning`` or ``tool``.
    kind: str
    text: str


def replayed(bodies: Bodies) -> tuple[Beat, ...]:
    """The beats of a streamed answer in their order; none if it was no stream, or its times are not known."""
    chunks, body = bodies.chunks, bodies.response_body
    if not body or not chunks.times_us:
        return ()
    if any(name.lower() == _GRANTED for name, _ in bodies.response_headers):
        return tuple(_of_session(bodies))
    plain = plain_body(body, bodies.response_headers, chunks.sizes, MAX_BYTES)
    if is_event_stream(bodies.response_headers):
        events = events_of(parse_frames(plain.content)[0])
    elif is_stream(plain.content, bodies.response_headers):
        events = parse_events(plain.content)
    else:
        return ()
    ends = plain.ends or tuple(accumulate(chunks.sizes))
    return tuple(_beats(events, ends, chunks.times_us.tolist()))


def _of_session(bodies: Bodies) -> Iterator[Beat]:
    """What was answered in a session over a WebSocket."""
    for event in session_events(bodies):
        if not event.by_client and event.at_s is not None:
            for kind, text in _said(event.value):
                yield Beat(at_s=event.at_s, kind=kind, text=text)


def _beats(events: list[Event], ends: tuple[int, ...], times_us: list[int]) -> Iterator[Beat]:
    last = len(times_us) - 1
    for event in events:
        at_s = times_us[min(bisect_left(ends, event.end), last)] / 1e6
        value, _ = parse_json(event.data, errors="replace")
        if inner := text_member(value, "bytes"):
            value = _inner(inner)
        for kind, text in _said(value):
            yield Beat(at_s=at_s, kind=kind, text=text)


def _inner(encoded: str) -> JsonValue:
    """The event of a model in a chunk of Bedrock: ``{"bytes": base64, "p": padding}``."""
    try:
        return parse_json(binascii.a2b_base64(encoded), errors="replace")[0]
    except ValueError:
        return None


def _said(value: JsonValue) -> Iterator[tuple[str, str]]:
    """Each piece of text in an event, as kind and text."""
    kind = text_member(value, "type")
    delta = member(value, "delta")
    if kind in _KINDS and isinstance(delta, str):
        yield _KINDS[kind], delta
    elif isinstance(delta, dict):
        yield from _of_block(delta)
    for choice in object_members(value, "choices"):
        if text := text_member(choice, "text"):
            yield _TEXT, text
        yield from _of_choice(member(choice, "delta"))
    for candidate in object_members(value, "candidates"):
        for part in object_members(member(candidate, "content"), "parts"):
            yield from _of_part(part)
    content = member(value, "serverContent")  # of Google's live sessions
    for part in object_members(member(content, "modelTurn"), "parts"):
        yield from _of_part(part)
    if spoken := text_member(member(content, "outputTranscription"), "text"):
        yield _TEXT, spoken
    # Bedrock's own, and what a model of it sends as it is.
    yield from _of_block(member(member(value, "contentBlockDelta"), "delta"))
    for key in ("outputText", "generation"):
        if text := text_member(value, key):
            yield _TEXT, text


def _of_choice(delta: JsonValue) -> Iterator[tuple[str, str]]:
    for key in ("reasoning_content", "reasoning"):
        if text := text_member(delta, key):
            yield _REASONING, text
            break
    for key in ("content", "refusal"):
        if text := text_member(delta, key):
            yield _TEXT, text
    for part in object_members(delta, "content"):
        yield from _of_part(part)
    for call in object_members(delta, "tool_calls"):
        function = member(call, "function")
        pieces = (text_member(function, "name"), text_member(function, "arguments"))
        if text := " ".join(filter(None, pieces)):
            yield _TOOL, text


def _of_block(delta: JsonValue) -> Iterator[tuple[str, str]]:
    """The delta of a block of Anthropic's or Bedrock's."""
    kind = _KINDS.get(text_member(delta, "type") or "", _TEXT)
    for key, of in (("text", kind), ("thinking", _REASONING), ("partial_json", _TOOL)):
        if text := text_member(delta, key):
            yield of, text
    if text := text_member(member(delta, "reasoningContent"), "text"):
        yield _REASONING, text
    if text := text_member(member(delta, "toolUse"), "input"):
        yield _TOOL, text


def _of_part(part: JsonValue) -> Iterator[tuple[str, str]]:
    text = text_member(part, "text")
    if text:
        yield (_REASONING if member(part, "thought") is True else _TEXT), text
    for inner in object_members(part, "thinking"):
        if text := text_member(inner, "text"):
            yield _REASONING, text
