"""Anthropic's messages, streamed or not: https://platform.claude.com/docs/en/api/messages and .../messages-streaming.

A stream is put together into the message that would have come without streaming: blocks by their index, the input of a
tool from its pieces of JSON. The input that a stream broke off in stays the text that it was. Pings, and events that
nobody knows yet, change nothing. Usage counts what was cached beside ``input_tokens``; here all of it is input.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from llm_proxy.decode.blocks import Blocks, input_of
from llm_proxy.decode.body import (
    Answer,
    Call,
    member,
    object_member,
    object_members,
    parse_json,
    read_call,
    text_member,
)
from llm_proxy.decode.deltas import END_MARK, Growing, as_error, extend, finished, merge
from llm_proxy.decode.paths import bedrock_call, google_call
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import call_text, count_of, preview_of, sum_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue, Usage
from llm_proxy.model.exchange import Exchange

#: Blocks that are announced empty; any other one bears content from its announcement on.
_GROWING_BLOCKS = frozenset({"text", "thinking"})


def decode_message(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a message."""
    call = read_call(exchange, max_decoded_bytes)
    answer = Answer(response=call.response) if call.events is None else assemble_message(call.events)
    found = describe_message(call, answer)
    return replace(found, model=found.model or google_call(exchange.target)[0])


def decode_token_count(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read how long an input would be: nothing was generated, so there is no usage."""
    call = read_call(exchange, max_decoded_bytes)
    found = summarise(call, Answer(response=call.response), kind="token_count", preview=preview_of(_asked(call), ""))
    model = found.model or google_call(exchange.target)[0] or bedrock_call(exchange.target)[0]
    return replace(found, usage=None, model=model)


def describe_message(call: Call, answer: Answer) -> Decoded:
    """What a message says, however it came."""
    response = answer.response
    reason = member(response, "stop_reason")
    found = summarise(
        call,
        answer,
        kind="chat",
        preview=preview_of(_asked(call), _reply(object_members(response, "content"))),
        finish_reasons=[reason],
    )
    if found.usage is None:
        return found
    usage = message_usage(object_member(response, "usage"))
    if answer.ended is False and reason is None:
        # What a stream says of its output at its beginning is not what it became.
        usage = replace(usage, output_tokens=None, total_tokens=None)
    return replace(found, usage=usage)


def message_usage(raw: JsonObject) -> Usage:
    """The tokens of a usage object; what was read from a cache and written to one is counted beside the input in it."""
    cached, written = count_of(raw.get("cache_read_input_tokens")), count_of(raw.get("cache_creation_input_tokens"))
    fresh, output_tokens = count_of(raw.get("input_tokens")), count_of(raw.get("output_tokens"))
    input_tokens = None if fresh is None else sum_of(fresh, cached, written)
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=None if input_tokens is None or output_tokens is None else sum_of(input_tokens, output_tokens),
        cached_input_tokens=cached,
        cache_write_input_tokens=written,
        reasoning_output_tokens=count_of(object_member(raw, "output_tokens_details").get("thinking_tokens")),
        raw=raw,
    )


def assemble_message(events: Iterable[Event]) -> Answer:
    """The message as far as it had come when the stream ended or was cut off."""
    message = _Message()
    ended, first_content_end, unreadable = False, None, 0
    for event in events:
        value, _ = parse_json(event.data, errors="replace")
        name = text_member(value, "type") or event.name
        if "error" in (name, event.name):
            message.fail(as_error(event, value))
        elif isinstance(value, dict):
            if first_content_end is None and _bears_content(name, value):
                first_content_end = event.end
            message.add(name, value)
            ended = ended or name == "message_stop"
        elif event.data.startswith(END_MARK):  # of servers that speak OpenAI's language, too
            ended = True
        else:
            unreadable += event.complete
    return Answer(
        response=message.finished(), ended=ended, first_content_end=first_content_end, unreadable_events=unreadable
    )


def _bears_content(name: str, event: JsonObject) -> bool:
    if name == "content_block_delta":
        delta = object_member(event, "delta")
        return any(value for key, value in delta.items() if key != "type")
    block = object_member(event, "content_block")
    return name == "content_block_start" and (
        text_member(block, "type") not in _GROWING_BLOCKS or bool(block.get("text") or block.get("thinking"))
    )


class _Message:
    """A message in the making."""

    def __init__(self) -> None:
        self._members: JsonObject = {}
        self._usage: JsonObject = {}
        self._blocks = Blocks("index", _Block)

    def add(self, name: str, event: JsonObject) -> None:
        """Add an event, which is called ``name``."""
        match name:
            case "message_start":
                self._members = {**object_member(event, "message")}
                self._usage = {**object_member(self._members, "usage")}
                for index, block in enumerate(object_members(self._members, "content")):
                    self._blocks.begin({"index": index}, block)
            case "content_block_start":
                self._blocks.begin(event, object_member(event, "content_block"))
            case "content_block_delta":
                self._blocks.grow(event, object_member(event, "delta"))
            case "message_delta":
                _supersede(self._members, object_member(event, "delta"))
                # Its counts are those of the whole; what it does not count is as it was at the beginning.
                _supersede(self._usage, object_member(event, "usage"))
                others = {key: event[key] for key in event.keys() - {"type", "delta", "usage"}}
                _supersede(self._members, others)

    def fail(self, body: JsonObject | None) -> None:
        """Add an error body, which is None if it was torn."""
        self._members = self._members | ({"error": body["error"]} if body else {})

    def finished(self) -> JsonValue:
        if content := self._blocks.finished():
            self._members["content"] = content
        if self._usage:
            self._members["usage"] = self._usage
        return self._members or None


class _Block:
    """A content block in the making."""

    def __init__(self, block: JsonObject) -> None:
        self._members: Growing = {**block}
        self._input: list[str] = []

    def grow(self, delta: JsonObject) -> None:
        match delta.get("type"):
            case "input_json_delta":
                self._input.append(text_member(delta, "partial_json") or "")
            case "citations_delta":
                extend(self._members, {"citations": [delta.get("citation")]})
            case _:
                merge(self._members, {key: value for key, value in delta.items() if key != "type"})

    def finished(self) -> JsonValue:
        block = finished(self._members)
        if any(self._input) and isinstance(block, dict):
            block["input"] = input_of(self._input)
        return block


def _supersede(held: JsonObject, newer: JsonObject) -> None:
    for key, value in newer.items():
        if value is not None or key not in held:
            held[key] = value


def _asked(call: Call) -> str:
    """What the user said last; results of tools, which come from the user as well, are not said."""
    messages = member(call.request, "messages")
    for message in reversed(messages) if isinstance(messages, list) else ():
        text = text_of(member(message, "content")) if member(message, "role") == "user" else ""
        if text:
            return text
    return ""


def _reply(content: list[JsonObject]) -> str:
    calls = [call_text(block["name"], block.get("input")) for block in content if block.get("name")]
    return text_of([*content]) or ", ".join(calls)
