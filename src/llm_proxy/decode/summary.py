"""What lists and accounts need to know of a call: its tokens, its error, and a line of what was asked and answered.

Reads JSON of any shape: a member of the wrong type is as unknown as one that is absent, and hides no other one.
"""

import re
from collections.abc import Iterable
from urllib.parse import parse_qs

import msgspec

from llm_proxy.decode.body import Answer, Call, has_failed, member, object_member, text_member
from llm_proxy.model.completion import PREVIEW_CHARACTERS, Decoded, JsonObject, JsonValue, ProviderError, Usage

#: Calls that show once more what another call brought about; its tokens are not theirs.
_REPEATING = re.compile(r"/responses/[^/]+/cancel$|/chat/completions/[^/]+$")
#: The largest number that every store takes.
_MOST_TOKENS = 2**63 - 1
#: Names and messages stand in the rows of lists; the whole of them stays in the request and the response.
_NAME_CHARACTERS = 200
_MESSAGE_CHARACTERS = 1000
#: Read of a text for the preview: enough for a line even with much white space in it.
_READ_CHARACTERS = 4 * PREVIEW_CHARACTERS
#: What is read first, of a text that is longer.
_MOSTLY_ENOUGH = 2 * PREVIEW_CHARACTERS
#: Parts of a message looked at for the preview.
_READ_PARTS = 100
_ARROW = " → "
_MEDIA = ("image", "audio", "video", "file")
#: The escape sequences of a prompt must not reach the terminal that shows a list.
_CONTROL_CHARACTERS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)])


def summarise(
    call: Call,
    answer: Answer,
    *,
    kind: str,
    preview: str | None,
    finish_reasons: Iterable[JsonValue] = (),
) -> Decoded:
    """What a decoder found, in the words of the model."""
    # Groq puts the usage of a stream aside (https://console.groq.com/docs/openai).
    usage = object_member(answer.response, "usage") or object_member(object_member(answer.response, "x_groq"), "usage")
    return Decoded(
        kind=kind,
        model=_name(member(call.request, "model")),
        response_model=_name(member(answer.response, "model")),
        stream=_asked_for_stream(call),
        request=call.request,
        response=answer.response,
        usage=usage_of(usage) if _made_its_answer(call) else None,
        finish_reasons=tuple(filter(None, map(_name, finish_reasons))),
        preview=preview,
        first_token_s=None if answer.first_content_end is None else call.arrival_s(answer.first_content_end),
        error=error_of(call, answer.response),
        stream_ended=answer.ended,
        problem=_problem(call, answer),
    )


def usage_of(raw: JsonValue) -> Usage | None:
    """The tokens of a usage object, in the spelling of chat completions or of responses; None if there is none.

    Where DeepSeek, Moonshot, Perplexity and xAI differ from OpenAI, theirs is read, too.
    """
    if not isinstance(raw, dict) or not raw:
        return None
    # Transcriptions say input_token_details.
    of_input = _first_object(raw, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    of_output = _first_object(raw, "completion_tokens_details", "output_tokens_details", "output_token_details")
    input_tokens = count_of(raw.get("prompt_tokens"), raw.get("input_tokens"))
    output_tokens = count_of(raw.get("completion_tokens"), raw.get("output_tokens"))
    total_tokens = count_of(raw.get("total_tokens"))
    reasoning_tokens = count_of(of_output.get("reasoning_tokens"), raw.get("reasoning_tokens"))
    # xAI leaves reasoning out of the completion, which shows in the total (https://docs.x.ai/docs/guides/reasoning).
    apart = sum_of(input_tokens, output_tokens, reasoning_tokens)
    if reasoning_tokens and apart == total_tokens:
        output_tokens = sum_of(output_tokens, reasoning_tokens)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=total_tokens,
        cached_input_tokens=count_of(
            of_input.get("cached_tokens"),
            of_input.get("cache_read_input_tokens"),
            raw.get("prompt_cache_hit_tokens"),
            raw.get("cached_tokens"),
        ),
        reasoning_output_tokens=reasoning_tokens,
        cache_write_input_tokens=count_of(
            of_input.get("cache_write_tokens"), of_input.get("cache_creation_input_tokens")
        ),
        audio_input_tokens=count_of(of_input.get("audio_tokens")),
        audio_output_tokens=count_of(of_output.get("audio_tokens")),
        raw=raw,
    )


def count_of(*candidates: JsonValue) -> int | None:
    """The first that is a count."""
    for count in candidates:
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= _MOST_TOKENS:
            return count
    return None


def sum_of(*counts: int | None) -> int | None:
    """All of them together; None if none is known or no store could take it."""
    known = [count for count in counts if count is not None]
    return count_of(sum(known)) if known else None


def error_of(call: Call, response: JsonValue) -> ProviderError | None:
    """The error that an answer tells of.

    Whatever its status: ``{"error": {"message", "type", "code"}}`` (OpenAI), the same in a list (Gemini), and
    ``{"error": "text"}`` (Ollama; with ``error_type``, Hugging Face). Of a call that failed, also
    ``{"message", "type", "code"}`` (Mistral, vLLM), ``{"detail": ...}`` (FastAPI) and plain text (load balancers).
    """
    failed = has_failed(call.exchange)
    if isinstance(response, list) and len(response) == 1:
        response = response[0]
    if not isinstance(response, dict):
        return _plain_text_error(call) if failed else None
    error = response.get("error")
    if isinstance(error, dict) and error:
        return _error(error)
    if error and isinstance(response.get("message"), str):
        return _error({"message": response["message"], "type": error})
    if error:
        return _error({"message": error, "type": text_member(response, "error_type")})
    return _error(response) if failed and (response.get("message") or response.get("detail")) else None


def preview_of(question: str, reply: str) -> str | None:
    """Both on one line of at most ``PREVIEW_CHARACTERS``, each with half of it if both are long; None without both."""
    question, reply = _beginning(question), _beginning(reply)
    if not question or not reply:
        return _cut(question or reply, PREVIEW_CHARACTERS) or None
    room = PREVIEW_CHARACTERS - len(_ARROW)
    question = _cut(question, max(room // 2, room - len(reply)))
    return question + _ARROW + _cut(reply, room - len(question))


def text_of(content: JsonValue) -> str:
    """The text of a message, which is a string or a list of parts; parts that are no text by what they are: [image]."""
    if isinstance(content, str):
        return content
    parts = content[:_READ_PARTS] if isinstance(content, list) else [content]
    return " ".join(filter(None, map(_text_of_part, parts)))


def last_user_text(messages: JsonValue) -> str:
    """What the user said last in a conversation; what was said last by anyone if there is no user."""
    if not isinstance(messages, list):
        return text_of(messages)
    spoken = [message for message in reversed(messages) if isinstance(message, dict)]
    by_user = (message for message in spoken if message.get("role") == "user")
    last = next(by_user, spoken[0] if spoken else {})
    return text_of(last.get("content"))


def call_text(name: JsonValue, arguments: JsonValue) -> str:
    """A tool call as one would write it."""
    return f"{as_text(name)}({as_text(arguments)})"


def as_text(value: JsonValue) -> str:
    """A string as it is, nothing for null, and anything else as JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _name(value: JsonValue) -> str | None:
    return _cut(value, _NAME_CHARACTERS) if isinstance(value, str) and value else None


def _problem(call: Call, answer: Answer) -> str | None:
    unreadable = answer.unreadable_events
    events = [f"of the stream, {unreadable} whole events are no JSON objects"] if unreadable else []
    return "; ".join([*call.problems, *events]) or None


def _made_its_answer(call: Call) -> bool:
    path = call.exchange.target.partition("?")[0]
    return call.exchange.method == "POST" and not _REPEATING.search(path.rstrip("/"))


def _asked_for_stream(call: Call) -> bool | None:
    if isinstance(call.request, dict):
        return call.request.get("stream") is True
    if call.exchange.method == "GET":
        return parse_qs(call.exchange.target.partition("?")[2]).get("stream") == ["true"]
    return None


def _first_object(raw: JsonObject, *keys: str) -> JsonObject:
    for key in keys:
        found = raw.get(key)
        if isinstance(found, dict) and found:
            return found
    return {}


def _error(error: JsonObject) -> ProviderError:
    message = error.get("message") or error.get("detail")
    # The type of OpenAI's error events is only "error"; Google says in "status" what others say in "type", and in
    # "code" only the status of HTTP (https://google.aip.dev/193): a number is a kind where there is no word.
    words = [text_member(error, key) for key in ("type", "code", "status")]
    kinds = [*words, *(as_text(error.get(key)) for key in ("type", "code", "status"))]
    return ProviderError(
        kind=next((_name(kind) for kind in kinds if kind and kind != "error"), None),
        message=_cut(as_text(message or error), _MESSAGE_CHARACTERS),
    )


def _plain_text_error(call: Call) -> ProviderError | None:
    if call.response is not None or call.events is not None:
        return None
    line = _one_line(call.plain.content[:_MESSAGE_CHARACTERS].decode("utf-8", "replace"))
    return ProviderError(kind=None, message=line) if line and not line.startswith("<") else None


def _text_of_part(part: JsonValue) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    for key in ("text", "refusal"):
        if isinstance(part.get(key), str):
            return str(part[key])
    kind = text_member(part, "type") or ""
    return next((f"[{medium}]" for medium in _MEDIA if medium in kind), "")


def _beginning(text: str) -> str:
    """One line of it, at least as far as a preview can show it."""
    line = _one_line(text[:_MOSTLY_ENOUGH]) if len(text) > _MOSTLY_ENOUGH else ""
    return line if len(line) > PREVIEW_CHARACTERS else _one_line(text)


def _one_line(text: str) -> str:
    read = text[:_READ_CHARACTERS]
    if read.isprintable() and "  " not in read:  # which is quickly found out, and then it is one line
        line = read.strip()
    else:
        line = " ".join(read.split())
        line = line if line.isprintable() else line.translate(_CONTROL_CHARACTERS)
    return line + "…" if len(text) > _READ_CHARACTERS else line


def _cut(line: str, characters: int) -> str:
    return line if len(line) <= characters else line[: characters - 1] + "…"
