"""Requests and answers of any provider as chat completions of OpenAI, which is the one shape that the Log10 API has.

What the shape asks for and is not there is filled in with null, or with what says nothing; what it does not allow is
left out. This is a view for its clients, some of which crash over a missing member: the record keeps what there was.
A body of no known shape has no such view. Pure; a value of the wrong type is as unknown as one that is absent.
"""

from collections.abc import Iterable

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.json_text import encode_json

#: Members of a request that log10py must find, be it null.
_NULLABLE = ("logit_bias", "max_tokens", "seed", "stream_options", "top_logprobs")
_FINISH_REASONS = {
    **{reason: reason for reason in ("stop", "length", "tool_calls", "content_filter", "function_call")},
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    **dict.fromkeys(("SAFETY", "RECITATION", "safety", "recitation"), "content_filter"),
    "MAX_TOKENS": "length",
    "refusal": "content_filter",
}
_ROLES = frozenset({"system", "user", "assistant", "tool", "function"})
#: Members of a message that are made anew.
_MADE = frozenset({"role", "content", "tool_calls", "function_call"})
#: What other names stand for.
_ROLE_NAMES = {"developer": "system", "model": "assistant"}


def chat_request(request: JsonValue) -> JsonObject | None:
    """A request in the shape of a chat completion's; None if it is of no known one."""
    if not isinstance(request, dict):
        return None
    messages = _messages(request)
    if messages is None:
        return None
    view: JsonObject = {"model": request.get("model", "")} | dict.fromkeys(_NULLABLE) | request
    view["messages"] = messages
    tools = request.get("tools")
    if "tools" in view:
        view["tools"] = [tool for tool in _objects(tools) if _is_function(tool)]
    if not view.get("tools"):
        view.pop("tools", None)
        view.pop("tool_choice", None)
    if _object(request.get("response_format")).get("type") not in ("text", "json_object"):
        view.pop("response_format", None)
    if not isinstance(view["stream_options"], dict):
        view["stream_options"] = None
    return view


def chat_response(response: JsonValue) -> JsonObject | None:
    """An answer in the shape of a chat completion; None if it is of no known one, an error for example."""
    if not isinstance(response, dict):
        return None
    choices = _choices(response)
    if choices is None:
        return None
    view: JsonObject = {
        **{name: value for name, value in response.items() if name in ("system_fingerprint", "service_tier")},
        "id": _text(response.get("id")) or _text(response.get("responseId")),
        "object": "chat.completion",
        "created": _whole(response.get("created")) or _whole(response.get("created_at")),
        "model": _text(response.get("model")) or _text(response.get("modelVersion")),
        "choices": list(choices),
    }
    counted = usage_counts(response)
    if counted is not None:
        view["usage"] = counted
    if not isinstance(view.get("system_fingerprint", ""), str):
        del view["system_fingerprint"]
    return view


def usage_counts(response: JsonObject) -> JsonObject | None:
    """The tokens of an answer of any shape, as a chat completion has them; None unless input and output are known."""
    usage = _object(response.get("usage"))
    google = _object(response.get("usageMetadata"))
    prompt, output = _count(usage, "prompt_tokens", "input_tokens"), _count(usage, "completion_tokens", "output_tokens")
    total: int | None = _count(usage, "total_tokens")
    if google:
        prompt, output = _count(google, "promptTokenCount"), _count(google, "candidatesTokenCount")
        output = None if output is None else output + (_count(google, "thoughtsTokenCount") or 0)
        total = _count(google, "totalTokenCount")
    if prompt is None or output is None:
        return None
    # Anthropic counts what came from the cache, or went there, beside the input.
    beside = [_count(usage, name) or 0 for name in ("cache_read_input_tokens", "cache_creation_input_tokens")]
    prompt += sum(beside)
    details = _count(google, "cachedContentTokenCount") or beside[0]
    counted: JsonObject = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output if total is None else total,
    }
    if details:
        counted["prompt_tokens_details"] = {"cached_tokens": details}
    return {**usage, **counted} if "prompt_tokens" in usage else counted


def _messages(request: JsonObject) -> list[JsonValue] | None:
    for member in ("messages", "contents", "input", "prompt"):
        said = request.get(member)
        if isinstance(said, str):
            said = [{"role": "user", "content": said}]
        if isinstance(said, list):
            break
    else:
        return None
    before = request.get("system") or request.get("instructions") or request.get("systemInstruction")
    system = _plain(before)
    messages = [_message(one) for one in said]
    known = [message for message in messages if message]
    first: list[JsonValue] = [{"role": "system", "content": system}] if system else []
    return [*first, *known]


def _message(said: JsonValue) -> JsonObject:
    if isinstance(said, str):
        return {"role": "user", "content": said}
    if not isinstance(said, dict):
        return {}
    role = _text(said.get("role")) or "user"
    message: JsonObject = {**said, "role": _ROLE_NAMES.get(role, role)}
    if "parts" in message:
        message["content"] = _plain(message.pop("parts"))
    message.setdefault("content", None)
    return message


def _choices(response: JsonObject) -> Iterable[JsonObject] | None:
    if isinstance(response.get("choices"), list):
        return [_choice(index, one) for index, one in enumerate(_objects(response["choices"]))]
    if isinstance(response.get("candidates"), list):
        return [_candidate(index, one) for index, one in enumerate(_objects(response["candidates"]))]
    parts = response.get("content")
    if response.get("type") == "message" and isinstance(parts, list):
        return [_made(0, _plain(parts), response.get("stop_reason"), _tools_used(_objects(parts)))]
    if isinstance(response.get("output"), list):
        output = _objects(response["output"])
        said = " ".join(filter(None, (_plain(item.get("content")) for item in output if item.get("type") == "message")))
        calls = [
            _call(item.get("call_id"), item.get("name"), item.get("arguments")) for item in output if "call_id" in item
        ]
        return [_made(0, said, "stop" if response.get("status") == "completed" else "length", calls)]
    if isinstance(response.get("completion"), str):  # the older one of Anthropic's APIs
        return [_made(0, _text(response["completion"]), response.get("stop_reason"), [])]
    return None


def _choice(index: int, choice: JsonObject) -> JsonObject:
    message = _object(choice.get("message")) or _object(choice.get("delta"))
    said = message.get("content") if message else choice.get("text")
    calls = [
        _call(call.get("id"), _object(call.get("function")).get("name"), _object(call.get("function")).get("arguments"))
        for call in _objects(message.get("tool_calls"))
        if _object(call.get("function"))
    ]
    made = _made(
        index, said if said is None or isinstance(said, str) else _plain(said), choice.get("finish_reason"), calls
    )
    function_call = _object(message.get("function_call"))
    inner = made["message"]
    assert isinstance(inner, dict)
    if isinstance(function_call.get("name"), str):
        inner["function_call"] = {"name": function_call["name"], "arguments": _text(function_call.get("arguments"))}
    kept = {
        name: value for name, value in message.items() if name not in ("role", "content", "tool_calls", "function_call")
    }
    inner |= kept
    role = _text(message.get("role"))
    inner["role"] = role if role in _ROLES else "assistant"
    logprobs = choice.get("logprobs")
    made["logprobs"] = logprobs if isinstance(_object(logprobs).get("content"), list) else None
    return made


def _candidate(index: int, candidate: JsonObject) -> JsonObject:
    parts = _objects(_object(candidate.get("content")).get("parts"))
    calls = [
        _call(call.get("id"), call.get("name"), call.get("args"))
        for part in parts
        if (call := _object(part.get("functionCall")))
    ]
    return _made(index, _plain([part for part in parts if "text" in part]), candidate.get("finishReason"), calls)


def _made(index: int, said: str | None, why: JsonValue, calls: list[JsonObject]) -> JsonObject:
    message: JsonObject = {"role": "assistant", "content": said}
    if calls:
        message["tool_calls"] = [*calls]
    reason = _FINISH_REASONS.get(_text(why), "tool_calls" if calls else "stop")
    return {"index": index, "finish_reason": reason, "logprobs": None, "message": message}


def _tools_used(parts: list[JsonObject]) -> list[JsonObject]:
    return [
        _call(part.get("id"), part.get("name"), part.get("input")) for part in parts if part.get("type") == "tool_use"
    ]


def _call(call_id: JsonValue, name: JsonValue, arguments: JsonValue) -> JsonObject:
    written = arguments if isinstance(arguments, str) else encode_json(arguments or {}).decode()
    return {"id": _text(call_id), "type": "function", "function": {"name": _text(name), "arguments": written}}


def _is_function(tool: JsonObject) -> bool:
    return tool.get("type") == "function" and isinstance(_object(tool.get("function")).get("name"), str)


def _plain(content: JsonValue) -> str:
    """The text of what may be a string, an object with parts, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = content.get("parts") or [content]
    if not isinstance(content, list):
        return ""
    texts = [part if isinstance(part, str) else _text(_object(part).get("text")) for part in content]
    return "\n".join(filter(None, texts))


def _objects(value: JsonValue) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: JsonValue) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63 else 0


def _count(counts: JsonObject, *names: str) -> int | None:
    for name in names:
        count = counts.get(name)
        if isinstance(count, int) and not isinstance(count, bool) and 0 <= count < 2**63:
            return count
    return None
