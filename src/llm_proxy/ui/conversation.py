"""A call's request and answer as turns of a conversation, whatever the API: what one reads, in the order it was said.

Reads JSON of any shape, that of OpenAI's chat completions and responses, Anthropic's messages, Google's and Bedrock's
among them. What has no form of its own here stands as its JSON, so that nothing goes unseen. Pure functions.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.ui.picture import picture_url
from llm_proxy.ui.present import size
from llm_proxy.ui.sound import sound_url


class Kind(StrEnum):
    """What a part is, and so how it is shown."""

    TEXT = "text"
    REASONING = "reasoning"
    REFUSAL = "refusal"
    TOOL_CALL = "tool call"
    TOOL_RESULT = "tool result"
    IMAGE = "image"
    AUDIO = "audio"
    #: A file, or a sound or image that is not in the call itself: what it is, in words.
    ATTACHMENT = "attachment"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of what was said."""

    kind: Kind
    #: Of an image or a sound its data: URL; a tool call's are its arguments.
    text: str
    #: Of a tool, or of the kind of JSON.
    name: str | None = None
    #: What joins a tool call and its result.
    call_id: str | None = None
    #: What a tool call came to; empty if that is not in this call.
    results: tuple["Part", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What somebody said at once."""

    role: str
    parts: tuple[Part, ...]
    #: Whether this came back in the answer.
    answered: bool = False
    #: Why the model ended here, or what tells several answers apart.
    note: str | None = None
    #: When it began, in seconds since the call did; of what was said in a session over a WebSocket.
    at_s: float | None = None


_IMAGE = re.compile(r"data:image/(?:png|jpeg|gif|webp);base64,[A-Za-z0-9+/=\s]+")
_TEXTS = frozenset({"text", "input_text", "output_text"})
_REASONINGS = frozenset({"thinking", "redacted_thinking", "reasoning", "summary_text", "reasoning_text"})
_CALLS = frozenset({"function_call", "tool_use", "custom_tool_call", "server_tool_use", "mcp_call", "function"})
_RESULTS = frozenset({"function_call_output", "tool_result", "custom_tool_call_output"})


def conversation(request: JsonValue, response: JsonValue) -> tuple[Turn, ...]:
    """The turns of a call, each tool call with its result where both are in it; none if it is no conversation."""
    turns = [*_asked(request), *_answered(response)]
    return tuple(_paired(_joined(turn for turn in turns if turn.parts)))


def _asked(request: JsonValue) -> Iterator[Turn]:
    if not isinstance(request, dict):
        return
    for key in ("instructions", "system", "systemInstruction", "system_instruction"):
        if request.get(key):
            yield Turn(role="system", parts=tuple(_parts(request[key])))
    for key in ("messages", "input", "contents", "prompt"):
        said = request.get(key)
        if said is not None:
            # A prompt may be a list of tokens, which is one thing.
            many = isinstance(said, list) and any(isinstance(message, dict | str) for message in said)
            for message in said if isinstance(said, list) and many else [said]:
                yield _turn(message)
            return


def _answered(response: JsonValue) -> Iterator[Turn]:
    if isinstance(response, list) and response and isinstance(response[0], dict) and "candidates" in response[0]:
        for piece in response:
            yield from _answered(piece)
    if not isinstance(response, dict):
        return
    choices = _objects(response.get("choices"))
    for number, choice in enumerate(choices):
        said = choice.get("message")
        turn = _turn(said if isinstance(said, dict) else choice.get("text"), role="assistant")
        yield replace(turn, answered=True, note=_note(choice.get("finish_reason"), number, len(choices)))
    for key in ("generation", "outputText", "completion"):
        yield Turn(role="assistant", parts=tuple(_part(_text(response.get(key)))), answered=True)
    output = response.get("output")
    if isinstance(output, dict):
        output = [output.get("message")]
    for item in _objects(output):
        yield _of_output(item)
    if isinstance(response.get("content"), list):
        yield replace(_turn(response, role="assistant"), answered=True, note=_text(response.get("stop_reason")) or None)
    yield Turn(role="assistant", parts=tuple(_painted(response)), answered=True)
    for candidate in _objects(response.get("candidates")):
        turn = _turn(candidate.get("content"), role="assistant")
        yield replace(turn, answered=True, note=_text(candidate.get("finishReason")) or None)


def _painted(response: JsonObject) -> Iterator[Part]:
    """The images of an answer of the API for images, and what each was made from where that is another text."""
    for image in _objects(response.get("data")):
        url = picture_url(_text(image.get("b64_json"))) or _text(image.get("url"))
        if url or image.get("b64_json"):
            yield from _part({"type": "image_url", "image_url": url})
            yield from _part(_text(image.get("revised_prompt")))


def _of_output(item: JsonObject) -> Turn:
    """An item of the Responses API, or of a session over a WebSocket, in which there are those of the user, too."""
    turn, at_s, heard = _turn(item, role="assistant"), item.get("at_s"), item.get("audio_bytes")
    if isinstance(heard, int) and not isinstance(heard, bool):
        turn = replace(turn, parts=(*turn.parts, Part(kind=Kind.ATTACHMENT, text=f"audio: {size(heard)}")))
    if isinstance(at_s, int | float) and not isinstance(at_s, bool):
        turn = replace(turn, at_s=float(at_s))
    return replace(turn, answered=turn.role not in ("user", "system", "tool"))


def _turn(message: JsonValue, *, role: str = "user") -> Turn:
    """One message, or one item of the Responses API, which may be a part that nobody says."""
    if not isinstance(message, dict):
        return Turn(role=role, parts=tuple(_parts(message)))
    if "role" not in message and "content" not in message and "parts" not in message:
        kind = _text(message.get("type"))
        role = "tool" if kind in _RESULTS else "assistant" if kind else role
        return Turn(role=role, parts=tuple(_part(message)))
    role = _text(message.get("role")) or ("assistant" if _text(message.get("type")) in _REASONINGS else role)
    parts = tuple(_of_message(message, role))
    return Turn(role="assistant" if role == "model" else role, parts=parts, note=_text(message.get("name")) or None)


def _of_message(message: JsonObject, role: str) -> Iterator[Part]:
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(reasoning, str):
        yield Part(kind=Kind.REASONING, text=reasoning)
    content = message.get("content", message.get("parts"))
    if _text(message.get("type")) in _REASONINGS:
        yield from _part(message)
    elif role in ("tool", "function"):
        call_id = _text(message.get("tool_call_id")) or None
        name = _text(message.get("name")) or None
        yield Part(kind=Kind.TOOL_RESULT, text=_flat(content), name=name, call_id=call_id)
    else:
        yield from _parts(content)
    for image in _objects(message.get("images")):  # https://openrouter.ai/docs/features/multimodal/image-generation
        yield from _part(image)
    if isinstance(message.get("refusal"), str) and message["refusal"]:
        yield Part(kind=Kind.REFUSAL, text=_text(message["refusal"]))
    for call in _objects(message.get("tool_calls")):
        yield from _part(call)
    for call in _objects([message.get("function_call")]):
        yield _call(call)
    for audio in _objects([message.get("audio")]):
        url = sound_url(_text(audio.get("data")), _text(audio.get("format")) or _format_of(_text(audio.get("data"))))
        yield Part(kind=Kind.AUDIO, text=url) if url else Part(kind=Kind.ATTACHMENT, text="audio")
        yield from _part(_text(audio.get("transcript")))


def _parts(content: JsonValue) -> Iterator[Part]:
    """The parts of a message; of a list of numbers, one."""
    if isinstance(content, dict) and isinstance(content.get("parts"), list):
        content = content["parts"]
    many = isinstance(content, list) and not any(isinstance(block, int | float) for block in content)
    for block in content if isinstance(content, list) and many else [content]:
        yield from _part(block)


def _part(block: JsonValue) -> Iterator[Part]:
    if block is None or block == "":
        return
    if not isinstance(block, dict):
        yield Part(kind=Kind.TEXT, text=block if isinstance(block, str) else _json(block))
        return
    kind = _text(block.get("type"))
    if kind in _REASONINGS or block.get("thought") is True or "reasoningContent" in block:
        yield Part(kind=Kind.REASONING, text=_reasoning(block))
    elif kind == "refusal":
        yield Part(kind=Kind.REFUSAL, text=_text(block.get("refusal")))
    elif kind in _TEXTS or (not kind and isinstance(block.get("text"), str)):
        yield from _part(_text(block.get("text")))
    elif kind in _CALLS or "functionCall" in block or "toolUse" in block or (not kind and "function" in block):
        yield _call(_inner(block, "function", "functionCall", "toolUse") | {"id": _call_id(block)})
    elif kind in _RESULTS or "functionResponse" in block or "toolResult" in block:
        yield _result(block)
    elif picture := _picture(block, kind):
        yield picture
    else:
        yield Part(kind=Kind.JSON, text=_json(block), name=kind or None)


def _reasoning(block: JsonObject) -> str:
    """The text of it; providers keep some to themselves."""
    for key in ("thinking", "text", "summary", "content"):
        if said := _flat(block.get(key)):
            return said
    inner = _inner(block, "reasoningContent")
    return _text(_inner(inner, "reasoningText").get("text")) or "(encrypted by the provider)"


def _call(call: JsonObject) -> Part:
    arguments = next((call[key] for key in ("arguments", "input", "args") if call.get(key) is not None), None)
    call_id = _text(call.get("id")) or None
    return Part(kind=Kind.TOOL_CALL, text=_pretty(arguments), name=_text(call.get("name")) or "a tool", call_id=call_id)


def _result(block: JsonObject) -> Part:
    block = _inner(block, "functionResponse", "toolResult")
    said = next((block[key] for key in ("output", "content", "response") if block.get(key) is not None), None)
    call_id = _call_id(block, "tool_use_id", "toolUseId")
    return Part(kind=Kind.TOOL_RESULT, text=_flat(said), name=_text(block.get("name")) or None, call_id=call_id or None)


def _call_id(block: JsonObject, *others: str) -> str:
    """The name of a tool call; an item of the Responses API has an id of its own, besides."""
    block = _inner(block, "functionCall", "toolUse")
    return next((found for key in (*others, "call_id", "id", "toolUseId") if (found := _text(block.get(key)))), "")


def _picture(block: JsonObject, kind: str) -> Part | None:
    """An image that is in the call as such, or what else is attached in words."""
    url = block.get("image_url") or picture_url(_text(block.get("result")))
    url = url.get("url") if isinstance(url, dict) else url
    source = _inner(block, "source") if "source" in block else block
    inline = _inner(block, "inlineData", "inline_data") if {"inlineData", "inline_data"} & set(block) else source
    sound = _inner(block, "input_audio")
    if sound is not block and (heard := sound_url(_text(sound.get("data")), _text(sound.get("format")))):
        return Part(kind=Kind.AUDIO, text=heard)
    media_type = _text(inline.get("media_type")) or _text(inline.get("mimeType")) or _text(inline.get("mime_type"))
    if media_type.startswith("audio/") and (heard := sound_url(_text(inline.get("data")), media_type)):
        return Part(kind=Kind.AUDIO, text=heard)
    if isinstance(inline.get("data"), str) and media_type:
        url = f"data:{media_type};base64,{inline['data']}"
    elif isinstance(inline.get("url"), str):
        url = inline["url"]
    if isinstance(url, str) and _IMAGE.fullmatch(url):
        return Part(kind=Kind.IMAGE, text=url)
    medium = next((word for word in ("image", "audio", "video", "file", "document") if word in f"{kind} {url}"), None)
    if medium is None and url is None:
        return None
    name = _text(_inner(block, "file").get("filename")) or _text(block.get("filename"))
    where = url if isinstance(url, str) and not url.startswith("data:") else name or media_type
    return Part(kind=Kind.ATTACHMENT, text=": ".join(filter(None, (medium or "file", where))))


def _format_of(encoded: str) -> str:
    """What a sound is whose answer does not say it; the samples of a stream have no head."""
    heads = {"UklG": "wav", "SUQz": "mp3", "//": "mp3", "T2dn": "opus", "Zkxh": "flac"}
    return next((kind for head, kind in heads.items() if encoded.startswith(head)), "pcm16")


def _joined(turns: Iterable[Turn]) -> Iterator[Turn]:
    """What one assistant says in several items of the Responses API is one turn."""
    before: Turn | None = None
    for turn in turns:
        same = before is not None and turn.role == before.role == "assistant" and turn.answered == before.answered
        if before is not None and same and turn.at_s is None and not (before.note or turn.note):
            before = replace(before, parts=before.parts + turn.parts)
            continue
        if before is not None:
            yield before
        before = turn
    if before is not None:
        yield before


def _paired(turns: Iterable[Turn]) -> Iterator[Turn]:
    turns = list(turns)
    results: dict[str, list[Part]] = {}
    calls: set[str] = set()
    for part in (part for turn in turns for part in turn.parts if part.call_id):
        assert part.call_id is not None
        if part.kind is Kind.TOOL_RESULT:
            results.setdefault(part.call_id, []).append(part)
        else:
            calls.add(part.call_id)
    for turn in turns:
        parts = []
        for part in turn.parts:
            if part.kind is Kind.TOOL_CALL and part.call_id in results:
                parts.append(replace(part, results=tuple(results.pop(part.call_id))))
            elif part.kind is not Kind.TOOL_RESULT or part.call_id not in calls:
                parts.append(part)
        if parts:
            yield replace(turn, parts=tuple(parts))


def _note(reason: JsonValue, number: int, of: int) -> str | None:
    which = f"choice {number + 1} of {of}" if of > 1 else ""
    return ", ".join(filter(None, (which, _text(reason)))) or None


def _inner(block: JsonObject, *keys: str) -> JsonObject:
    """The first of these members that is an object, or else the object itself."""
    for key in keys:
        inner = block.get(key)
        if isinstance(inner, dict):
            return inner
    return block


def _objects(values: JsonValue) -> list[JsonObject]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _flat(content: JsonValue) -> str:
    """Parts of text as one text; anything else as JSON."""
    if isinstance(content, list) and content and all(isinstance(part, dict) and "text" in part for part in content):
        return "\n\n".join(_text(part["text"]) for part in _objects(content))
    if content is None or content == []:
        return ""
    return _pretty(content)


def _pretty(value: JsonValue) -> str:
    """A text as it is, or indented if it is JSON."""
    if not isinstance(value, str):
        return "" if value is None else _json(value)
    if value[:1] not in ("{", "["):
        return value
    try:
        return _json(json.loads(value))
    except (ValueError, RecursionError):
        return value


def _json(value: JsonValue) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
