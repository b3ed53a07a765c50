"""How many tokens a call took, by its text, where nobody has counted them: an estimate, and marked as one.

No vocabulary of a model is at hand, so letters are counted: words of the Latin script are a token or a few, a character
of Chinese or Japanese is one, three digits are one. How far off that is stands in docs/providers.md. What
is no text (images, sound, files) has no estimate, and neither has a call that holds some: unknown stays unknown. Pure,
and linear in the text.
"""

import re

from llm_proxy.decode.body import object_members
from llm_proxy.model.completion import ESTIMATED, JsonObject, JsonValue, Usage
from llm_proxy.model.exchange import Endpoint

#: What the members of a request hold that a model reads, and those of an answer that it wrote.
_READ = (
    "system",
    "instructions",
    "systemInstruction",
    "messages",
    "contents",
    "prompt",
    "input",
    "tools",
    "toolConfig",
)
_WRITTEN = ("choices", "content", "candidates", "output")
_TEXTUAL = frozenset(
    {Endpoint.CHAT, Endpoint.TEXT, Endpoint.RESPONSES, Endpoint.MESSAGES, Endpoint.GENERATE_CONTENT, Endpoint.CONVERSE}
)
#: Members that tell what a part is, and are no text of it.
_STRUCTURE = frozenset(
    {
        *("role", "type", "id", "index", "finish_reason", "finishReason", "status", "object", "model", "logprobs"),
        *("call_id", "tool_call_id", "tool_use_id", "toolUseId", "cache_control", "annotations"),
        *("signature", "thoughtSignature", "encrypted_content"),
    }
)
#: Members of parts that are no text.
_MEDIA = frozenset(
    {
        *("image", "image_url", "input_image", "audio", "input_audio", "video", "inlineData", "inline_data"),
        *("file", "file_id", "file_data", "fileData", "document", "source"),
    }
)
#: Around each message, and before the answer: https://cookbook.openai.com/examples/how_to_count_tokens_with_tiktoken
_PER_MESSAGE = 3
_MAX_DEPTH = 100

_PIECES = re.compile(
    r"(?P<latin>[A-Za-z]+)|(?P<digits>\d+)|(?P<han>[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]+)"
    r"|(?P<letters>[^\W\d_]+)|(?P<blank>\s+)|(?P<signs>[\W_])"
)


class _NoText(Exception):
    """There is something in it that is no text."""


def estimated_usage(endpoint: Endpoint, request: JsonValue, response: JsonValue) -> Usage | None:
    """The tokens that the text of a call is worth; None if they cannot be told from it."""
    if endpoint not in _TEXTUAL or not isinstance(request, dict) or not isinstance(response, dict):
        return None
    try:
        # What follows from another answer is not in the request.
        if request.get("previous_response_id") or request.get("conversation"):
            return None
        asked = {key: request[key] for key in _READ if key in request}
        messages = len(object_members(request, "messages")) + len(object_members(request, "contents"))
        answer: JsonObject = {key: response[key] for key in _WRITTEN if key in response}
        input_tokens = _tokens_in(asked) + (_PER_MESSAGE * (messages + 1) if messages else 0)
        output_tokens = _tokens_in(answer)
    except _NoText:
        return None
    if not answer:
        return None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=input_tokens + output_tokens,
        raw={ESTIMATED: "characters"},
    )


def tokens_of(text: str) -> int:
    """About how many tokens a text is."""
    return sum(_worth(found.lastgroup or "", found[0]) for found in _PIECES.finditer(text))


def _worth(kind: str, piece: str) -> int:
    length = len(piece)
    match kind:
        case "latin":  # nearly every word of English is one token with the blank before it
            return 1 if length <= 10 else -(-length // 5)
        case "digits" | "letters":
            return -(-length // 3)
        case "han":
            return length
        case "blank":
            return 1 if "\n" in piece or length > 1 else 0
    return 1


def _tokens_in(value: JsonValue, depth: int = 0) -> int:
    if isinstance(value, str):
        return tokens_of(value)
    if depth > _MAX_DEPTH or value is None or isinstance(value, bool):
        return 0
    if isinstance(value, list):
        return sum(_tokens_in(one, depth + 1) for one in value)
    if not isinstance(value, dict):
        return 1
    if any(value.get(key) for key in _MEDIA):
        raise _NoText
    return sum(_tokens_in(one, depth + 1) for key, one in value.items() if key not in _STRUCTURE)
