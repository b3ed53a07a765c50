"""What a call continues, told by its messages alone: hashes of conversations up to each answer.

A conversation is cut into turns: what one side said until the other one speaks. Each turn is hashed together with all
before it, so that equal hashes are equal conversations from their beginning. A call is said to end at the hash that
includes its answer; it continues a call that ended at one of the hashes of its own request. Since such a hash has
an answer of the model in it, calls that share their instructions, their examples or their first question alone are
never taken for one conversation.

What clients change when they send a conversation again is not looked at: instructions, white space, thoughts, marks
for caches, and what Claude Code puts between ``<system-reminder>`` tags. Pure; never fails.
"""

import json
import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from llm_proxy.model.completion import JsonObject, JsonValue, Turns
from llm_proxy.model.exchange import Endpoint

HASH_BYTES = 16
#: Hashes of a request that are compared, the last ones: the call before ended at the last, unless it is missing.
MAX_PRIOR = 16
#: Roles that only instruct.
_INSTRUCTING = frozenset({"system", "developer"})
_ANSWERING = frozenset({"assistant", "model"})
#: Parts that clients do not always send back.
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
#: All that ``str.isspace`` calls so: of ASCII, and of the rest. To drop it is several times as fast as to make it even.
_WHITE_SPACE = b"\t\n\v\f\r\x1c\x1d\x1e\x1f "
_WIDE_WHITE_SPACE = re.compile("[\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
#: Where the messages of a request stand.
_MESSAGES = {
    Endpoint.CHAT: "messages",
    Endpoint.MESSAGES: "messages",
    Endpoint.CONVERSE: "messages",
    Endpoint.RESPONSES: "input",
    Endpoint.GENERATE_CONTENT: "contents",
}
#: Members that clients add to or leave out of a part.
_LEFT_OUT = frozenset({"cache_control", "cachePoint", "id", "status", "annotations", "logprobs", "thoughtSignature"})


def turns_of(endpoint: Endpoint, request: JsonValue, response: JsonValue) -> Turns | None:
    """What the messages of a call can be recognised by; None if it has none."""
    member = _MESSAGES.get(endpoint)
    if member is None or not isinstance(request, dict):
        return None
    try:
        return _turns(request, request.get(member), response)
    except RecursionError:
        return None


def _turns(request: JsonObject, messages: JsonValue, response: JsonValue) -> Turns:
    answer = response if isinstance(response, dict) else {}
    before = request.get("previous_response_id")
    named = isinstance(before, str)
    beginning = _of_response(before) if isinstance(before, str) else b""
    ends = _hashes(_listed(messages), beginning, named=named)
    prior = ([beginning] if named else []) + [after for side, after in ends if side == _MODEL]
    said: list[bytes] = []
    # Where the request has begun the answer itself, nobody knows how it will be sent back.
    is_asked = ends[-1][0] == _OTHERS if ends else named
    if is_asked and (parts := list(_answer(answer))):
        said.append(_hash(ends[-1][1] if ends else beginning, _MODEL, parts))
    if isinstance(answer.get("id"), str) and "output" in answer:
        said.append(_of_response(str(answer["id"])))
    return Turns(said=tuple(said), prior=tuple(prior[-MAX_PRIOR:]))


_MODEL, _OTHERS = b"m", b"o"


def _hashes(messages: JsonValue, beginning: bytes, *, named: bool) -> list[tuple[bytes, bytes]]:
    """The side of each turn, and the hash at its end; from the first turn that is not the model's."""
    ends: list[tuple[bytes, bytes]] = []
    turn: list[str] = []
    speaking = b""
    before = beginning
    for side, part in _parts(messages):
        if side != speaking and turn:
            before = _hash(before, speaking, turn)
            ends.append((speaking, before))
            turn = []
        if side == _MODEL and not turn and not ends and not named:
            continue  # an answer to nothing
        speaking = side
        turn.append(part)
    if turn:
        ends.append((speaking, _hash(before, speaking, turn)))
    return ends


def _hash(before: bytes, side: bytes, parts: Iterable[str]) -> bytes:
    hashed = blake2b(before + side, digest_size=HASH_BYTES)
    for part in parts:
        text = _without_white_space(part)
        hashed.update(len(text).to_bytes(8, "little") + text)
    return hashed.digest()


def _without_white_space(text: str) -> bytes:
    if not text.isascii():
        text = _WIDE_WHITE_SPACE.sub("", text)
    return text.encode("utf-8", "surrogatepass").translate(None, _WHITE_SPACE)


def _of_response(response_id: str) -> bytes:
    """OpenAI's Responses are continued by their id, without what was said before."""
    return _hash(b"response", _MODEL, [response_id])


def _listed(messages: JsonValue) -> JsonValue:
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else messages


def _answer(answer: JsonObject) -> Iterator[str]:
    """The parts of an answer, in whichever of the shapes."""
    for member in ("choices", "candidates"):
        if isinstance(options := answer.get(member), list):
            first = options[0] if options and isinstance(options[0], dict) else {}
            message = first.get("message", first.get("content"))
            if isinstance(message, dict):
                yield from _of_message(message)
            return
    if isinstance(answer.get("output"), dict):  # of Converse
        message = answer["output"].get("message") if isinstance(answer["output"], dict) else None
        yield from _of_message(message) if isinstance(message, dict) else ()
    elif isinstance(answer.get("output"), list):
        yield from (part for side, part in _parts(answer["output"]) if side == _MODEL)
    else:
        yield from _of_message(answer)


def _parts(messages: JsonValue) -> Iterator[tuple[bytes, str]]:
    """Every part of every message, and who says it."""
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict) or message.get("role") in _INSTRUCTING:
            continue
        side = _MODEL if message.get("role") in _ANSWERING or message.get("type") in _ITEMS_OF_THE_MODEL else _OTHERS
        for part in _of_message(message):
            yield side, part


#: Items of OpenAI's Responses without a role.
_ITEMS_OF_THE_MODEL = frozenset(
    {"function_call", "custom_tool_call", "computer_call", "web_search_call", "file_search_call", "reasoning"}
    | {"image_generation_call", "code_interpreter_call", "local_shell_call", "mcp_call", "shell_call"}
)


def _of_message(message: JsonObject) -> Iterator[str]:
    content = message.get("content", message.get("parts"))
    if isinstance(message.get("type"), str) and "role" not in message:
        yield from _of_part(message)
        return
    for part in content if isinstance(content, list) else [content]:
        yield from _of_part(part)
    if isinstance(message.get("tool_call_id"), str):
        yield f"for {message['tool_call_id']}"
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        yield from _of_part(call)


def _of_part(part: JsonValue) -> Iterator[str]:
    if isinstance(part, str):
        yield from _said(part)
    elif isinstance(part, dict) and part.get("type") not in _THOUGHTS and part.get("thought") is not True:
        text = part.get("text")
        called = _call(part)
        if called is not None:
            yield f"call {called[0]} {_canonical(called[1])}"
        elif isinstance(text, str):
            yield from _said(text)
        elif "reasoningContent" not in part and "cachePoint" not in part:
            yield _canonical({key: value for key, value in part.items() if key not in _LEFT_OUT})


def _call(part: JsonObject) -> tuple[str, JsonValue] | None:
    """The name and the arguments of a part that calls a tool."""
    for member in ("function", "functionCall", "toolUse", "custom"):
        inner = part.get(member)
        if isinstance(inner, dict) and isinstance(inner.get("name"), str):
            return str(inner["name"]), _arguments(inner)
    if part.get("type") in ("tool_use", "server_tool_use", "function_call", "custom_tool_call"):
        return str(part.get("name")), _arguments(part)
    return None


def _arguments(call: JsonObject) -> JsonValue:
    given = next((call[member] for member in ("arguments", "args", "input") if member in call), None)
    if isinstance(given, str):
        try:
            parsed: JsonValue = json.loads(given)
        except ValueError:
            return given
        return parsed
    return given


def _said(text: str) -> Iterator[str]:
    if "<system-reminder>" in text:
        text = _REMINDER.sub("", text)
    if text and not text.isspace():
        yield text


def _canonical(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
