"""Speech and transcriptions: https://platform.openai.com/docs/api-reference/audio.

What is spoken and what was recorded stay bytes: of them, type, size and, where it is told, duration are read.
A stream is put together into the answer that would have come without streaming.
"""

from collections.abc import Iterable

from llm_proxy.decode.body import (
    Answer,
    Call,
    has_failed,
    media_type,
    member,
    object_member,
    object_members,
    read_call,
    text_member,
)
from llm_proxy.decode.multipart import read_upload
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import preview_of, summarise, text_of
from llm_proxy.decode.typed_events import TypedEvents
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue
from llm_proxy.model.exchange import Exchange


def decode_speech(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read what was to be spoken, and how much came of it."""
    call = read_call(exchange, max_decoded_bytes, response_is_json=_is_json(exchange))
    if call.events is not None:
        answer = _assemble(call.events)
    elif call.response is not None or exchange.http_status is None or has_failed(exchange):
        answer = Answer(response=call.response)
    else:
        answer = Answer(response=_sound(call), first_content_end=1 if call.plain.content else None)
    spoken = "[audio]" if member(answer.response, "bytes") else ""
    asked = text_of(member(call.request, "input"))
    return summarise(call, answer, kind="speech", preview=preview_of(asked, spoken))


def decode_transcription(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read what was heard in a recording; a translation, too."""
    call = read_upload(exchange, max_decoded_bytes, response_is_json=_is_json(exchange))
    if call.events is not None:
        answer = _assemble(call.events)
    elif call.response is None and not has_failed(exchange) and call.plain.content and not _is_json(exchange):
        answer = Answer(response=call.plain.content.decode("utf-8", "replace"))  # as text, SRT or VTT
    else:
        answer = Answer(response=call.response)
    file = text_member(object_member(call.request, "file"), "filename")
    heard = text_of(answer.response) or _of_speakers(answer.response)
    return summarise(call, answer, kind="transcription", preview=preview_of(f"[{file}]" if file else "[audio]", heard))


def _is_json(exchange: Exchange) -> bool:
    return has_failed(exchange) or "json" in (media_type(exchange.response_headers) or "json")


def _sound(call: Call) -> JsonObject:
    size = call.exchange.response_bytes if not call.plain.ends else None
    return {
        "content_type": media_type(call.exchange.response_headers),
        "bytes": size if size is not None else len(call.plain.content),
    }


def _of_speakers(response: JsonValue) -> str:
    return " ".join(filter(None, (text_member(segment, "text") for segment in object_members(response, "segments"))))


def _assemble(events: Iterable[Event]) -> Answer:
    """Both kinds of streams: ``speech.audio.*`` and ``transcript.text.*``."""
    members: JsonObject = {}
    texts: list[str] = []
    segments: list[JsonValue] = []
    audio_bytes: int | None = None
    ended, first_content_end = False, None
    typed = TypedEvents(events)
    for name, value, event in typed:
        first_content_end = first_content_end or (event.end if _bears_content(name, value) else None)
        ended = ended or name.endswith(".done")
        if name == "speech.audio.delta":
            audio_bytes = (audio_bytes or 0) + _decoded_bytes(text_member(value, "audio") or "")
        elif name.endswith(".delta"):
            texts.append(text_member(value, "delta") or "")
        elif name.endswith(".segment"):
            segments.append({key: value[key] for key in value.keys() - {"type"}})
        else:
            members |= {key: value[key] for key in value.keys() - {"type"}}
    members |= typed.error
    grown: JsonObject = ({"text": "".join(texts)} if texts else {}) | ({"segments": segments} if segments else {})
    grown |= {} if audio_bytes is None else {"bytes": audio_bytes}
    return Answer(
        response=grown | members or None,
        ended=ended,
        first_content_end=first_content_end,
        unreadable_events=typed.unreadable,
    )


def _bears_content(name: str, event: JsonObject) -> bool:
    return name.endswith(".segment") or (name.endswith(".delta") and bool(event.get("delta") or event.get("audio")))


def _decoded_bytes(base64: str) -> int:
    return len(base64.rstrip("=")) * 3 // 4
