"""Chat calls as examples for fine-tuning, in the format of OpenAI: ``{"messages": [...], "tools": [...]}`` a line.

Only what was answered well is an example: a finished chat completion whose answer is text or tool calls and was not cut
off. The answer is the last message. Answers given earlier in the conversation get ``"weight": 0``: each of them is an
example of its own if its call was recorded, and would else be learned again with every turn.

The format is strict (``FineTuneChatRequestInput`` of https://github.com/openai/openai-openapi): members that it does
not have, as ``reasoning_content``, make it refuse the whole file, so a message keeps only those of ``_MEMBERS``.
"""

from typing import BinaryIO

from llm_proxy.model.completion import Completion, JsonObject, JsonValue, Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.model.json_text import encode_json

#: Members of a message by its role.
_MEMBERS = {
    "system": ("role", "content", "name"),
    "user": ("role", "content", "name"),
    "assistant": ("role", "content", "name", "refusal", "tool_calls", "function_call"),
    "tool": ("role", "content", "tool_call_id"),
    "function": ("role", "content", "name"),
}
#: Newer models call it developer, the format still system.
_ROLES = {"developer": "system"}
#: An answer that ended for another reason is not all of an answer.
_GOOD_ENDS = (None, "stop", "tool_calls", "function_call")
_BAD_ENDS = {
    "length": "the answer was cut off by a limit of tokens",
    "content_filter": "the answer was withheld by a content filter",
}
#: Audio and files are not taken (FineTuneChatRequestInput).
_CONTENT_PARTS = ("text", "image_url", "refusal")


class FinetuneWriter:
    """Writes what is an example, and says of all else why it is none."""

    with_bodies = True

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, completion: Completion) -> str | None:
        """Write one example as a line, or say why there is none."""
        try:
            line = encode_json(example(completion))
        except _Unfit as exc:
            return str(exc)
        except RecursionError:
            return "its JSON is nested too deep"
        self._file.write(line + b"\n")
        return None

    def close(self) -> None:
        """Nothing belongs at the end."""


class _Unfit(ValueError):
    """Why a record is no example, in a few words."""


def example(completion: Completion) -> JsonObject:
    """The example of ``completion``. Raises ValueError with the reason why there is none."""
    request, answer = _request(completion), _answer(completion)
    messages = request["messages"]
    if not isinstance(messages, list) or not messages:
        raise _Unfit("the request has no messages")
    made: JsonObject = {"messages": [*(_message(message, weight=0) for message in messages), _message(answer)]}
    tools, functions = request.get("tools"), request.get("functions")
    if tools:
        made["tools"] = _tools(tools)
        if isinstance(request.get("parallel_tool_calls"), bool):
            made["parallel_tool_calls"] = request["parallel_tool_calls"]
    if isinstance(functions, list) and functions:
        made["functions"] = functions
    return made


def _request(completion: Completion) -> JsonObject:
    if completion.endpoint is not Endpoint.CHAT:
        raise _Unfit("no chat completion")
    if completion.status is not Status.FINISHED:
        raise _Unfit(f"not finished, but {completion.status}")
    if completion.truncated:
        raise _Unfit("not recorded in full")
    request = completion.bodies.request if completion.bodies else None
    if not isinstance(request, dict) or "messages" not in request:
        raise _Unfit("the request has no messages")
    return request


def _answer(completion: Completion) -> JsonObject:
    response = completion.bodies.response if completion.bodies else None
    choices = response.get("choices") if isinstance(response, dict) else None
    # Several choices are several answers to one question; the first is what a program without ``n`` would have got.
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise _Unfit("no answer")
    end = choice.get("finish_reason")
    if end not in _GOOD_ENDS:
        raise _Unfit(_BAD_ENDS.get(str(end), "the answer did not end by itself"))
    if message.get("refusal"):
        raise _Unfit("the answer is a refusal")
    if not (message.get("content") or message.get("tool_calls") or message.get("function_call")):
        raise _Unfit("the answer has neither text nor tool calls")
    return message | {"role": "assistant"}


def _message(message: JsonValue, *, weight: int | None = None) -> JsonObject:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(message, dict) or not isinstance(role, str):
        raise _Unfit("a message has no role")
    role = _ROLES.get(role, role)
    if role not in _MEMBERS:
        raise _Unfit("a message has a role that the format does not have")
    made = {name: message[name] for name in _MEMBERS[role] if message.get(name) is not None}
    _check_content(made.get("content"))
    _check_tool_calls(made.get("tool_calls"))
    made["role"] = role
    if role == "assistant" and weight is not None:
        made["weight"] = weight
    return made


def _check_content(content: JsonValue) -> None:
    if content is None or isinstance(content, str):
        return
    for part in content if isinstance(content, list) else [content]:
        if not isinstance(part, dict) or part.get("type") not in _CONTENT_PARTS:
            raise _Unfit("a message has content other than text and images")


def _check_tool_calls(calls: JsonValue) -> None:
    if calls is not None and not (isinstance(calls, list) and all(map(_is_function, calls))):
        raise _Unfit("a tool other than a function was called")


def _tools(tools: JsonValue) -> JsonValue:
    if not isinstance(tools, list) or not all(map(_is_function, tools)):
        raise _Unfit("a tool other than a function was offered")
    return tools


def _is_function(tool: JsonValue) -> bool:
    return isinstance(tool, dict) and tool.get("type", "function") == "function" and "function" in tool
