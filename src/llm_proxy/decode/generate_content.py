"""Google's generateContent and streamGenerateContent: https://ai.google.dev/api/generate-content.

A stream is server-sent events with ``alt=sse`` and else one JSON array that grows; each piece has the shape of the
whole. Put together, parts of a candidate follow each other, text that goes on is one part, and of what surrounds them
the last value counts, so usage is never summed. Thoughts and the results of tools are counted beside candidates and
prompt in it; here they are output and input.
"""

import re
from collections.abc import Iterable

from msgspec.structs import replace

from llm_proxy.decode.body import (
    Answer,
    Call,
    has_failed,
    member,
    object_member,
    object_members,
    parse_json,
    read_call,
    text_member,
)
from llm_proxy.decode.deltas import END_MARK, as_error
from llm_proxy.decode.paths import google_call
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import call_text, count_of, preview_of, sum_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue, Usage
from llm_proxy.model.exchange import Exchange

_STREAMING = frozenset({"streamGenerateContent", "streamRawPredict"})
#: What a text part that goes on may have beside its text.
_PLAIN = frozenset({"text", "thought"})
_STRUCTURE = re.compile(rb'[\[\]{}"\\]')


def decode_generate_content(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read generated content."""
    model, method = google_call(exchange.target)
    may_be_array = method in _STREAMING and not has_failed(exchange)
    call = read_call(exchange, max_decoded_bytes, response_is_json=not may_be_array)
    if call.events is not None:
        answer = assemble_content([*call.events, *_error_behind(call.plain.content, call.events)])
    elif may_be_array and call.plain.content.lstrip().startswith(b"["):
        answer = _assemble_array(call.plain.content)
    else:
        call = read_call(exchange, max_decoded_bytes) if may_be_array else call
        answer = Answer(response=call.response)
    found = _describe(call, answer)
    stream = method in _STREAMING if method else found.stream
    version = text_member(answer.response, "modelVersion")
    return replace(found, model=model or found.model, response_model=version or found.response_model, stream=stream)


def _describe(call: Call, answer: Answer) -> Decoded:
    candidates = object_members(answer.response, "candidates")
    blocked = object_member(answer.response, "promptFeedback").get("blockReason")
    reasons = [candidate.get("finishReason") for candidate in candidates]
    found = summarise(
        call,
        answer,
        kind="chat",
        preview=preview_of(_asked(call.request), _reply(candidates)),
        finish_reasons=reasons or [blocked],
    )
    usage = object_member(answer.response, "usageMetadata")
    return replace(found, usage=content_usage(usage) if usage and call.exchange.method == "POST" else None)


def content_usage(raw: JsonObject) -> Usage:
    """The tokens of ``usageMetadata``; a count that is not there is one of 0, as the format leaves those out."""
    total_tokens = count_of(raw.get("totalTokenCount"))
    thoughts = count_of(raw.get("thoughtsTokenCount"))
    candidates = count_of(raw.get("candidatesTokenCount"))
    input_tokens = sum_of(count_of(raw.get("promptTokenCount")), count_of(raw.get("toolUsePromptTokenCount")))
    # Some versions of the API count thoughts among the candidates, which shows in the total.
    apart = candidates is None or total_tokens is None or total_tokens != sum_of(input_tokens, candidates)
    output_tokens = sum_of(candidates, thoughts) if apart else candidates
    if output_tokens is None and total_tokens is not None and total_tokens == input_tokens:
        output_tokens = 0
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens,
        cached_input_tokens=count_of(raw.get("cachedContentTokenCount")),
        reasoning_output_tokens=thoughts,
        audio_input_tokens=_of_audio(raw, "promptTokensDetails"),
        audio_output_tokens=_of_audio(raw, "candidatesTokensDetails"),
        raw=raw,
    )


def _of_audio(raw: JsonObject, key: str) -> int | None:
    counts = [count_of(one.get("tokenCount")) for one in object_members(raw, key) if one.get("modality") == "AUDIO"]
    return sum_of(*counts)


def assemble_content(events: Iterable[Event]) -> Answer:
    """The answer as far as it had come when the stream ended or was cut off; it ends with a reason to."""
    content = _Content()
    first_content_end, unreadable = None, 0
    for event in events:
        value, _ = parse_json(event.data, errors="replace")
        if event.name == "error":
            value = as_error(event, value)
        if isinstance(value, dict):
            if first_content_end is None and _bears_content(value):
                first_content_end = event.end
            content.add(value)
        elif not event.data.startswith(END_MARK):
            unreadable += event.complete
    return Answer(
        response=content.finished(),
        ended=content.has_ended,
        first_content_end=first_content_end,
        unreadable_events=unreadable,
    )


def _error_behind(body: bytes, events: list[Event]) -> list[Event]:
    """The error that ends a stream: not an event but bare JSON over several lines, as the SDK of Google reads it.

    https://github.com/googleapis/python-genai/blob/main/google/genai/_api_client.py, ``_iter_response_stream``
    """
    start = events[-1].end if events else 0
    rest = body[start:].strip()
    if not rest.startswith(b"{"):
        return []
    value, _ = parse_json(rest, errors="replace")
    return [Event(rest, len(body))] if object_member(value, "error") else []


def _assemble_array(body: bytes) -> Answer:
    """The same for an array; it ends with its bracket."""
    events, closed = _elements(body)
    return replace(assemble_content(events), ended=closed)


def _elements(body: bytes) -> tuple[list[Event], bool]:
    """The whole objects in an array as far as it goes, and whether it goes to its end."""
    elements, depth, start, in_text, escaped = [], 0, 0, False, -1
    for found in _STRUCTURE.finditer(body):
        sign, at = found[0], found.start()
        if in_text:
            if sign == b"\\" and at != escaped:
                escaped = at + 1
            elif sign == b'"' and at != escaped:
                in_text = False
        elif sign == b'"':
            in_text = True
        elif sign in b"[{":
            depth += 1
            start = at if depth == 2 else start
        elif sign in b"]}":
            depth -= 1
            if depth == 1:
                elements.append(Event(body[start : at + 1], at + 1))
            elif depth == 0:
                return elements, True
    return elements, False


def _bears_content(chunk: JsonObject) -> bool:
    contents = [object_member(candidate, "content") for candidate in object_members(chunk, "candidates")]
    parts = [part for content in contents for part in object_members(content, "parts")]
    return any(value for part in parts for key, value in part.items() if key not in ("thought", "thoughtSignature"))


class _Content:
    """An answer in the making."""

    def __init__(self) -> None:
        self._members: JsonObject = {}
        self._candidates: dict[int, JsonObject] = {}
        self._parts: dict[int, _Parts] = {}

    def add(self, chunk: JsonObject) -> None:
        """Add a piece of the stream."""
        for candidate in object_members(chunk, "candidates"):
            index = candidate.get("index")
            self._grow(index if isinstance(index, int) else 0, candidate)
        for key, value in chunk.items():
            if key != "candidates" and (value or key not in self._members):
                self._members[key] = value

    @property
    def has_ended(self) -> bool:
        """Whether every candidate came to its end, or there was to be none."""
        if not self._candidates:
            return bool(object_member(self._members, "promptFeedback").get("blockReason"))
        return all(candidate.get("finishReason") for candidate in self._candidates.values())

    def finished(self) -> JsonValue:
        candidates: list[JsonValue] = []
        for index in sorted(self._candidates):
            candidate = self._candidates[index]
            if index in self._parts:
                candidate["content"] = object_member(candidate, "content") | {"parts": self._parts[index].finished()}
            candidates.append(candidate)
        return ({"candidates": candidates} if candidates else {}) | self._members or None

    def _grow(self, index: int, piece: JsonObject) -> None:
        held = self._candidates.setdefault(index, {})
        content = object_member(piece, "content")
        for key, value in piece.items():
            if key != "content" and (value or key not in held):
                held[key] = value
        if content:
            others = {key: value for key, value in content.items() if key != "parts"}
            held["content"] = object_member(held, "content") | others
            parts = self._parts.setdefault(index, _Parts())
            for part in object_members(content, "parts"):
                parts.add(part)


class _Parts:
    """The parts of a candidate in the making; strings are gathered and joined once."""

    def __init__(self) -> None:
        self._parts: list[JsonObject] = []
        self._texts: list[list[str]] = []

    def add(self, part: JsonObject) -> None:
        """Add a part, or more text to the one before if that is all that it is."""
        text = part.get("text")
        if isinstance(text, str) and self._parts and self._is_continued_by(part):
            self._texts[-1].append(text)
        else:
            self._parts.append(part)
            self._texts.append([text] if isinstance(text, str) else [])

    def finished(self) -> list[JsonValue]:
        return [
            part | {"text": "".join(texts)} if texts else part
            for part, texts in zip(self._parts, self._texts, strict=True)
        ]

    def _is_continued_by(self, part: JsonObject) -> bool:
        last = self._parts[-1]
        return (
            bool(self._texts[-1])
            and last.keys() | part.keys() <= _PLAIN
            and bool(last.get("thought")) == bool(part.get("thought"))
        )


def _asked(request: JsonValue) -> str:
    """What the user said last; answers of functions, which have the same role, are not said."""
    contents = member(request, "contents")
    for content in reversed(contents) if isinstance(contents, list) else [contents]:
        said = content if isinstance(content, str) else text_of(member(content, "parts"))
        if said and member(content, "role") in (None, "user"):
            return said
    return ""


def _reply(candidates: list[JsonObject]) -> str:
    parts = object_members(object_member(candidates[0], "content"), "parts") if candidates else []
    said = [part for part in parts if not part.get("thought")]
    calls = [
        call_text(call.get("name"), call.get("args")) for part in parts if (call := object_member(part, "functionCall"))
    ]
    media = [text_member(object_member(part, "inlineData"), "mimeType") for part in said]
    shown = [f"[{kind.partition('/')[0]}]" for kind in media if kind]
    texts = [text for part in said if (text := text_member(part, "text"))]
    return "".join(texts) or ", ".join(calls) or " ".join(shown)
