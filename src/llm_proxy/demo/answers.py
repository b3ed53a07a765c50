"""What the scripted upstream says: answers in the shapes of the OpenAI API, chosen by what is asked. Pure functions.

Streams have pauses, as a model has when it thinks and writes, so that there are times to look at.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeAlias

#: The one key that is not accepted.
WRONG_KEY = "sk-demo-not-a-valid-key"
#: The model whose streams are cut off half-way.
UNRELIABLE_MODEL = "demo-unreliable"

_Json: TypeAlias = dict[str, Any]

#: How long this model thinks, and how long it takes for a word, in seconds.
_THINK_S, _WORD_S = 0.2, 0.04
_CREATED = 1_700_000_000
_TEXTS = {
    "What is the capital of France?": "The capital of France is Paris.",
    "Write a haiku about rivers.": "Rain finds the river / the river forgets the rain / the sea remembers.",
    "Tell me a very long story.": "Once upon a time there was a proxy. "
    + "It relayed a call, and wrote it down. " * 40,
}
_OTHER_TEXT = "This is a scripted answer: no model was asked, and nothing was paid."


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer, as it leaves the upstream."""

    status: int = 200
    content_type: str = "application/json"
    #: Seconds to wait, and the bytes to send then. An answer in one piece has a length, others are chunked.
    pieces: tuple[tuple[float, bytes], ...]
    #: False if the connection is broken off behind the last piece.
    complete: bool = True


def answer(path: str, body: _Json, *, authorization: str) -> Answer:
    """What to say to a request for ``path`` whose body is the JSON ``body``."""
    if authorization == f"Bearer {WRONG_KEY}":
        shown = f"{WRONG_KEY[:7]}***{WRONG_KEY[-4:]}"
        return _error(401, "invalid_api_key", f"Incorrect API key provided: {shown}.")
    match path.rpartition("/v1/")[2]:
        case "chat/completions":
            return _chat_stream(body) if body.get("stream") else _chat(body)
        case "responses":
            return _response_stream(body)
        case "embeddings":
            return _embeddings(body)
    return _error(404, "unknown_url", f"Unknown request URL: {path}.")


def _chat(body: _Json) -> Answer:
    if body.get("tools"):
        message: _Json = {"role": "assistant", "content": None, "tool_calls": [_tool_call(body)], "refusal": None}
    else:
        message = {"role": "assistant", "content": _text(body["messages"]), "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish_reason(body)}
    return _whole(_completion(body, "chat.completion") | {"choices": [choice], "usage": _chat_usage(body)})


def _chat_stream(body: _Json) -> Answer:
    head = _completion(body, "chat.completion.chunk")

    def event(delta: _Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event(head | {"choices": [choice]})

    deltas = _tool_deltas(body) if body.get("tools") else [{"content": word} for word in _words(body["messages"])]
    pieces = [(_THINK_S, event({"role": "assistant", "content": None if body.get("tools") else ""}))]
    pieces += [(_WORD_S, event(delta)) for delta in deltas]
    if body["model"] == UNRELIABLE_MODEL:
        return _stream(pieces[: len(pieces) // 2], complete=False)
    pieces.append((0, event({}, _finish_reason(body))))
    if (body.get("stream_options") or {}).get("include_usage"):
        pieces.append((0, _event(head | {"choices": [], "usage": _chat_usage(body)})))
    return _stream([*pieces, (0, b"data: [DONE]\n\n")])


def _tool_deltas(body: _Json) -> list[_Json]:
    """A tool call as it is streamed: first its name, then its arguments in pieces."""
    call = _tool_call(body)
    arguments = call["function"]["arguments"]
    begun = call | {"index": 0, "function": call["function"] | {"arguments": ""}}
    pieces = [arguments[start : start + 6] for start in range(0, len(arguments), 6)]
    return [{"tool_calls": [begun]}, *({"tool_calls": [{"index": 0, "function": {"arguments": p}}]} for p in pieces)]


def _response_stream(body: _Json) -> Answer:
    words = list(_words(body["input"]))
    number = count()

    def event(kind: str, **members: Any) -> bytes:
        named = {"type": kind, "sequence_number": next(number), **members}
        return f"event: {kind}\n".encode() + _event(named)

    item: _Json = {"id": "msg_demo", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "annotations": [], "text": "".join(words)}
    done = item | {"status": "completed", "content": [part]}
    response: _Json = {"id": "resp_demo", "object": "response", "created_at": _CREATED, "model": body["model"]}
    running = response | {"status": "in_progress", "output": [], "usage": None}
    ended = response | {"status": "completed", "output": [done], "usage": _response_usage(body)}
    return _stream(
        [
            (0, event("response.created", response=running)),
            (_THINK_S, event("response.output_item.added", output_index=0, item=item)),
            (0, event("response.content_part.added", **place, part=part | {"text": ""})),
            *((_WORD_S, event("response.output_text.delta", **place, delta=word)) for word in words),
            (0, event("response.output_text.done", **place, text=part["text"])),
            (0, event("response.content_part.done", **place, part=part)),
            (0, event("response.output_item.done", output_index=0, item=done)),
            (0, event("response.completed", response=ended)),
        ]
    )


def _embeddings(body: _Json) -> Answer:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {"object": "embedding", "index": index, "embedding": [len(text) / 1000, -0.25, 0.5]}
        for index, text in enumerate(texts)
    ]
    tokens = sum(map(_tokens, texts))
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _whole({"object": "list", "data": data, "model": body["model"], "usage": usage})


def _error(status: int, code: str, message: str) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Answer(status=status, pieces=((0, json.dumps({"error": error}).encode()),))


def _whole(body: _Json) -> Answer:
    return Answer(pieces=((_THINK_S, json.dumps(body).encode()),))


def _stream(pieces: list[tuple[float, bytes]], *, complete: bool = True) -> Answer:
    return Answer(content_type="text/event-stream", pieces=tuple(pieces), complete=complete)


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def _completion(body: _Json, kind: str) -> _Json:
    return {"id": "chatcmpl-demo", "object": kind, "created": _CREATED, "model": body["model"]}


def _tool_call(body: _Json) -> _Json:
    """A call of the first tool, with the one city that is in the script."""
    function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"city": "Paris"})}
    return {"id": "call_demo", "type": "function", "function": function}


def _finish_reason(body: _Json) -> str:
    return "tool_calls" if body.get("tools") else "stop"


def _text(messages: list[_Json] | str) -> str:
    question = messages if isinstance(messages, str) else messages[-1]["content"]
    return _TEXTS.get(question, _OTHER_TEXT)


def _words(messages: list[_Json] | str) -> Iterator[str]:
    for index, word in enumerate(_text(messages).split(" ")):
        yield word if index == 0 else f" {word}"


def _tokens(text: str) -> int:
    """About as many as a tokeniser makes of English."""
    return -(-len(text) // 4)


def _counts(body: _Json, question: list[_Json] | str) -> tuple[int, int]:
    answered = _tool_call(body)["function"]["arguments"] if body.get("tools") else _text(question)
    return _tokens(json.dumps([question, body.get("tools")])), _tokens(answered)


def _chat_usage(body: _Json) -> _Json:
    asked, answered = _counts(body, body["messages"])
    return {"prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered}


def _response_usage(body: _Json) -> _Json:
    asked, answered = _counts(body, body["input"])
    return {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}
