"""Chat completions, streamed or not, in the shape of ``chat.completion``.

https://platform.openai.com/docs/api-reference/chat and, for streams, .../chat-streaming
"""

from collections.abc import Iterable

from llm_proxy.decode.body import Answer, Call, member, object_member, object_members, read_call
from llm_proxy.decode.deltas import Dialect, Growing, assemble, extend, merge
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import call_text, last_user_text, preview_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject
from llm_proxy.model.exchange import Exchange

#: Members of a delta that bear content; the other ones say who speaks.
_CONTENT = frozenset(
    {
        "audio",
        "content",
        "function_call",
        "images",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "thinking",
        "thinking_blocks",
        "tool_calls",
    }
)


def decode_chat(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a chat completion."""
    call = read_call(exchange, max_decoded_bytes)
    return describe_chat(call, Answer(response=call.response) if call.events is None else assemble_chat(call.events))


def describe_chat(call: Call, answer: Answer) -> Decoded:
    """What a chat completion says, however it came."""
    choices = object_members(answer.response, "choices")
    return summarise(
        call,
        answer,
        kind="chat",
        preview=preview_of(last_user_text(member(call.request, "messages")), _reply(choices)),
        finish_reasons=[choice.get("finish_reason") for choice in choices],
    )


def assemble_chat(events: Iterable[Event]) -> Answer:
    """The completion as far as it had come when the stream ended or was cut off."""
    answer = assemble(events, _DIALECT)
    for choice in object_members(answer.response, "choices"):
        for tool_call in object_members(object_member(choice, "message"), "tool_calls"):
            tool_call.pop("index", None)  # only chunks need it
    return answer


def _reply(choices: list[JsonObject]) -> str:
    message = object_member(choices[0], "message") if choices else {}
    calls = [
        *(_written(tool_call) for tool_call in object_members(message, "tool_calls")),
        *([_written(message)] if object_member(message, "function_call") else []),
    ]
    return text_of(message.get("content")) or ", ".join(calls) or text_of(message.get("refusal"))


def _written(tool_call: JsonObject) -> str:
    function = object_member(tool_call, "function") or object_member(tool_call, "function_call")
    custom = object_member(tool_call, "custom")
    return call_text(function.get("name") or custom.get("name"), function.get("arguments") or custom.get("input"))


def _grow_choice(choice: Growing, piece: JsonObject) -> None:
    delta, whole = piece.pop("delta", None), piece.pop("message", None)
    message = choice.get("message")
    if not isinstance(message, dict):
        message = choice["message"] = {}
    if isinstance(delta, dict):
        # Perplexity sends the message as it is by now as well.
        merge(message, delta)
    elif isinstance(whole, dict):
        message.clear()
        merge(message, whole)
    extend(choice, piece)


def _bears_content(piece: JsonObject) -> bool:
    said = object_member(piece, "delta") or object_member(piece, "message")
    return any(said[key] for key in _CONTENT & said.keys())


_DIALECT = Dialect(shape="chat.completion", grow_choice=_grow_choice, bears_content=_bears_content)
