"""Sessions over a WebSocket: what was said in them, in its order, and what it took.

OpenAI's events as https://platform.openai.com/docs/api-reference/realtime-server-events and the types of
https://github.com/openai/openai-python/tree/main/src/openai/types/realtime have them, with the names of the beta, too;
Google's messages as https://ai.google.dev/api/live has them. Of audio only the length is told; its bytes are in the
raw bodies. The response is ``{"output": [items], "usage", "close"}``; each item says with ``at_s`` when it began.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import parse_qs

from llm_proxy.decode.body import header_members, object_member, object_members, text_member
from llm_proxy.decode.other import decode_other
from llm_proxy.decode.socket_events import in_order, timed
from llm_proxy.decode.socket_frames import Said, said_in
from llm_proxy.decode.summary import last_user_text, preview_of, text_of, usage_of
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue, ProviderError
from llm_proxy.model.exchange import Exchange

#: Closes that are no complaint (RFC 6455 section 7.4.1).
_GOOD_CLOSES = frozenset({1000, 1001, 1005})
_ITEM_EVENTS = frozenset(
    f"{subject}.{happening}"
    for subject in ("conversation.item", "response.output_item")
    for happening in ("created", "added", "retrieved", "done")
)
_TEXT_DELTAS = frozenset(
    f"response.{what}.delta" for what in ("output_text", "text", "output_audio_transcript", "audio_transcript")
)
_AUDIO_DELTAS = frozenset({"response.output_audio.delta", "response.audio.delta"})
_TRANSCRIBED = "conversation.item.input_audio_transcription"


class _Event(NamedTuple):
    at_s: float | None
    by_client: bool
    value: JsonObject


def decode_realtime(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a session; an answer that switched to none is read like any other."""
    if exchange.http_status != 101:
        return decode_other(exchange, max_decoded_bytes)
    extensions = header_members(exchange.response_headers, "sec-websocket-extensions")
    asked = said_in(exchange.request_body or b"", extensions, by_client=True, limit=max_decoded_bytes)
    answered = said_in(exchange.response_body or b"", extensions, by_client=False, limit=max_decoded_bytes)
    session, first_s = _Session(), None
    heard = timed(answered.messages, exchange.chunks, by_client=False)
    for event in in_order(timed(asked.messages, exchange.sent, by_client=True), heard):
        value = event.value
        if value is not None and session.add(_Event(event.at_s, event.by_client, value)) and first_s is None:
            first_s = event.at_s
    query = parse_qs(exchange.target.partition("?")[2])
    wanted = next((query[key][0] for key in ("model", "deployment") if key in query), None)
    told = text_member(session.config, "model")
    output = session.output()
    problems = [f"what {who} said {said.problem}" for who, said in _sides(asked, answered) if said.problem]
    return Decoded(
        kind="chat",
        model=wanted or told,
        response_model=told,
        stream=True,
        request=({"model": wanted} if wanted else {}) | ({"session": session.config} if session.config else {}) or None,
        response=_response(session, output, asked, answered),
        usage=usage_of(session.usage or None),
        finish_reasons=tuple(session.finish_reasons[-1:]),
        preview=preview_of(_said_by("user", output), _said_by("assistant", output)),
        first_token_s=first_s,
        error=_error(exchange, asked, answered),
        problem="; ".join(problems) or None,
    )


def _sides(asked: Said, answered: Said) -> list[tuple[str, Said]]:
    return [("the client", asked), ("the upstream", answered)]


def _response(session: "_Session", output: list[JsonValue], asked: Said, answered: Said) -> JsonValue:
    closes: JsonObject = {
        side: {"code": said.close_code, "reason": said.close_reason or None}
        for side, said in (("client", asked), ("upstream", answered))
        if said.close_code is not None
    }
    told: JsonObject = {
        "output": output,
        "usage": session.usage,
        "errors": session.errors,
        "rate_limits": session.rate_limits,
        "audio_bytes": session.audio_bytes,
        "close": closes,
    }
    return {key: value for key, value in told.items() if value} or None


def _said_by(role: str, output: list[JsonValue]) -> str:
    return last_user_text([one for one in output if text_member(one, "role") == role]) if output else ""


def _error(exchange: Exchange, asked: Said, answered: Said) -> ProviderError | None:
    """A Close of the upstream that is a complaint, unless it only answers that of the client."""
    code = answered.close_code
    if code is None or code in _GOOD_CLOSES or asked.close_code == code:
        return None
    return ProviderError(kind=f"close_{code}", message=answered.close_reason or f"the upstream closed with {code}")


@dataclass(slots=True)
class _Item:
    """Something that was said, in the making."""

    members: JsonObject
    at_s: float | None
    texts: list[str] = field(default_factory=list)
    audio_bytes: int = 0

    def finished(self) -> JsonValue:
        members = {key: value for key, value in self.members.items() if key not in ("content", "object")}
        parts = [_part(part) for part in object_members(self.members, "content")]
        if not any(part.get("text") for part in parts) and self.texts:
            parts = [{"type": "text", "text": "".join(self.texts)}]
        if parts or "role" in members:
            members["content"] = list(parts)
        if self.audio_bytes:
            members["audio_bytes"] = self.audio_bytes
        return members | ({} if self.at_s is None else {"at_s": self.at_s})


def _part(part: JsonObject) -> JsonObject:
    """A part of a message: what was spoken as text, and of sound its length."""
    audio, spoken = part.get("audio"), text_member(part, "transcript")
    kept: JsonObject = {key: value for key, value in part.items() if key not in ("audio", "transcript")}
    if spoken:
        kept |= {"type": "text", "text": spoken, "spoken": True}
    if isinstance(audio, str):
        kept["audio_bytes"] = _plain_bytes(audio)
    return kept


def _plain_bytes(base64: JsonValue) -> int:
    return len(base64) * 3 // 4 - base64[-2:].count("=") if isinstance(base64, str) else 0


class _Session:
    """A session in the making."""

    def __init__(self) -> None:
        self.config: JsonObject = {}
        self.usage: JsonObject = {}
        self.errors: list[JsonValue] = []
        self.rate_limits: JsonValue = None
        self.finish_reasons: list[str] = []
        self.audio_bytes: JsonObject = {}
        self._items: dict[str, _Item] = {}
        #: Of Google's turns, the one that goes on, for each side.
        self._turns: dict[str, _Item] = {}

    def output(self) -> list[JsonValue]:
        """What was said, in the order in which it began."""
        return [item.finished() for item in self._items.values()]

    def add(self, event: _Event) -> bool:
        """Add an event; whether it brings something of an answer."""
        name = text_member(event.value, "type")
        if event.by_client:
            return self._asked(name, event)
        return self._google_said(event) if name is None else self._openai_said(name, event)

    def _asked(self, name: str | None, event: _Event) -> bool:
        value = event.value
        if name == "session.update":
            self.config = self.config | object_member(value, "session")
        elif name == "input_audio_buffer.append":
            self._hear("input", value.get("audio"))
        elif name is None:
            self._google_asked(event)
        return False

    def _hear(self, side: str, audio: JsonValue) -> None:
        before = self.audio_bytes.get(side)
        self.audio_bytes[side] = (before if isinstance(before, int) else 0) + _plain_bytes(audio)

    def _openai_said(self, name: str, event: _Event) -> bool:
        value = event.value
        if name in ("session.created", "session.updated"):
            self.config = self.config | object_member(value, "session")
        elif name in _ITEM_EVENTS:
            self._set(object_member(value, "item"), event)
        elif name == f"{_TRANSCRIBED}.completed":
            self._item(value, event).texts = [text_member(value, "transcript") or ""]
        elif name == f"{_TRANSCRIBED}.delta" or name in _TEXT_DELTAS:
            self._item(value, event).texts.append(text_member(value, "delta") or "")
            return name in _TEXT_DELTAS
        elif name in _AUDIO_DELTAS:
            self._hear("output", value.get("delta"))
            self._item(value, event).audio_bytes += _plain_bytes(value.get("delta"))
            return True
        elif name == "response.done":
            self._done(object_member(value, "response"), event)
        elif name == "error":
            self.errors.append(value.get("error"))
        elif name == "rate_limits.updated":
            self.rate_limits = value.get("rate_limits")
        return False

    def _done(self, response: JsonObject, event: _Event) -> None:
        for item in object_members(response, "output"):
            self._set(item, event)
        self.usage = _sum(self.usage, object_member(response, "usage"))
        if status := text_member(response, "status"):
            self.finish_reasons.append(status)
        if error := object_member(object_member(response, "status_details"), "error"):
            self.errors.append(error)

    def _set(self, members: JsonObject, event: _Event) -> None:
        item = self._item({"item_id": members.get("id")}, event)
        item.members = item.members | members

    def _item(self, value: JsonObject, event: _Event) -> _Item:
        key = text_member(value, "item_id") or f"#{len(self._items)}"
        return self._items.setdefault(key, _Item({}, event.at_s))

    def _google_asked(self, event: _Event) -> None:
        value = event.value
        self.config = self.config | object_member(value, "setup")
        for turn in object_members(_either(value, "clientContent"), "turns"):
            self._turn_of("user", event, fresh=True).texts.append(text_of(turn.get("parts")))
        heard = _either(value, "realtimeInput")
        chunks = *object_members(heard, "mediaChunks"), *object_members(heard, "media_chunks")
        for blob in [object_member(heard, "audio"), *chunks]:
            if blob:
                self._hear("input", blob.get("data"))
        if text := text_member(heard, "text"):
            self._turn_of("user", event, fresh=True).texts.append(text)
        answers = _either(value, "toolResponse")
        for answer in object_members(answers, "functionResponses") or object_members(answers, "function_responses"):
            made: JsonObject = {"type": "function_call_output", "call_id": answer.get("id")}
            self._items[f"#{len(self._items)}"] = _Item(made | {"output": answer.get("response")}, event.at_s)

    def _google_said(self, event: _Event) -> bool:
        content, brings = object_member(event.value, "serverContent"), False
        if heard := text_member(object_member(content, "inputTranscription"), "text"):
            self._turn_of("user", event).texts.append(heard)
        if spoken := text_member(object_member(content, "outputTranscription"), "text"):
            self._turn_of("assistant", event).texts.append(spoken)
            brings = True
        for part in object_members(object_member(content, "modelTurn"), "parts"):
            audio = object_member(part, "inlineData").get("data")
            turn = self._turn_of("assistant", event)
            turn.audio_bytes += _plain_bytes(audio)
            self._hear("output", audio)
            if (text := text_member(part, "text")) and not part.get("thought"):
                turn.texts.append(text)
            brings = True
        for call in object_members(object_member(event.value, "toolCall"), "functionCalls"):
            made: JsonObject = {"type": "function_call", "call_id": call.get("id"), "name": call.get("name")}
            self._items[f"#{len(self._items)}"] = _Item(made | {"arguments": call.get("args")}, event.at_s)
        if content.get("turnComplete") or content.get("interrupted"):
            self._turns.clear()
            self.finish_reasons.append("interrupted" if content.get("interrupted") else "completed")
        self.usage = _sum(self.usage, _of_google(object_member(event.value, "usageMetadata")))
        return brings

    def _turn_of(self, role: str, event: _Event, *, fresh: bool = False) -> _Item:
        if fresh or role not in self._turns:
            made = self._turns[role] = _Item({"type": "message", "role": role}, event.at_s)
            self._items[f"#{len(self._items)}"] = made
        return self._turns[role]


def _either(value: JsonObject, name: str) -> JsonObject:
    """An object under a name of Google's, or under the same in snake case, as its own SDK for Python writes it."""
    return object_member(value, name) or object_member(value, re.sub("[A-Z]", lambda big: "_" + big[0].lower(), name))


def _of_google(raw: JsonObject) -> JsonObject:
    """Google's counts of one turn in the words of OpenAI; thoughts are part of the output here."""
    if not raw:
        return {}

    def audio(key: str) -> JsonValue:
        return next((one.get("tokenCount") for one in object_members(raw, key) if one.get("modality") == "AUDIO"), None)

    answered, thoughts = raw.get("responseTokenCount"), raw.get("thoughtsTokenCount")
    output = [count for count in (answered, thoughts) if isinstance(count, int)]
    told: JsonObject = {
        "input_tokens": raw.get("promptTokenCount"),
        "output_tokens": sum(output) if output else None,
        "total_tokens": raw.get("totalTokenCount"),
        "input_token_details": {
            "cached_tokens": raw.get("cachedContentTokenCount"),
            "audio_tokens": audio("promptTokensDetails"),
        },
        "output_token_details": {"reasoning_tokens": thoughts, "audio_tokens": audio("responseTokensDetails")},
    }
    return _without_unknown(told)


def _without_unknown(told: JsonObject) -> JsonObject:
    known = {key: _without_unknown(value) if isinstance(value, dict) else value for key, value in told.items()}
    return {key: value for key, value in known.items() if value is not None and value != {}}


def _sum(before: JsonObject, more: JsonObject) -> JsonObject:
    """Counts of two objects of the same shape together; what only one has stays as it is."""
    summed = {**before}
    for key, value in more.items():
        had = before.get(key)
        if isinstance(value, dict):
            summed[key] = _sum(had if isinstance(had, dict) else {}, value)
        elif isinstance(value, int) and isinstance(had, int):
            summed[key] = had + value
        elif value is not None:
            summed[key] = value
    return summed
