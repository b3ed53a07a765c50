"""Bedrock's Converse and ConverseStream: one shape for the models of all providers.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and .../API_runtime_ConverseStream.
A stream is put together into the answer that would have come without streaming; the input of a tool that it broke off
in stays the text that it was. Tokens of caches are counted beside ``inputTokens``; here all of it is input.
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
from llm_proxy.decode.deltas import Growing, as_error, extend, finished, merge
from llm_proxy.decode.event_stream import events_of, is_event_stream, parse_frames
from llm_proxy.decode.paths import bedrock_call
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import call_text, count_of, last_user_text, preview_of, sum_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue, ProviderError, Usage
from llm_proxy.model.exchange import Exchange

#: Operations of Bedrock that answer as a stream.
STREAMING = frozenset({"converse-stream", "invoke-with-response-stream"})
_ERROR_TYPE = "x-amzn-errortype"


def decode_converse(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a conversation."""
    call, events = read_bedrock_call(exchange, max_decoded_bytes)
    answer = Answer(response=call.response) if events is None else assemble_converse(events)
    return as_bedrock(call, describe_converse(call, answer))


def read_bedrock_call(exchange: Exchange, max_decoded_bytes: int) -> tuple[Call, list[Event] | None]:
    """An exchange whose bytes were read, and the events of its answer if that is a stream of AWS's kind."""
    if not is_event_stream(exchange.response_headers):
        return read_call(exchange, max_decoded_bytes), None
    call = read_call(exchange, max_decoded_bytes, response_is_json=False)
    frames, problem = parse_frames(call.plain.content)
    problems = (*call.problems, f"the event stream {problem}") if problem else call.problems
    return replace(call, problems=problems), events_of(frames)


def as_bedrock(call: Call, found: Decoded) -> Decoded:
    """``found`` with what Bedrock says outside of the bodies: the model, whether to stream, the type of an error."""
    model, operation = bedrock_call(call.exchange.target)
    error = found.error
    if error is not None and error.kind is None:
        types = [value for name, value in call.exchange.response_headers if name.lower() == _ERROR_TYPE and value]
        # ValidationException:http://internal.amazon.com/coral/com.amazon.coral.validate/
        error = ProviderError(kind=types[0].partition(":")[0] if types else None, message=error.message)
    return replace(found, model=model or found.model, stream=operation in STREAMING if operation else None, error=error)


def describe_converse(call: Call, answer: Answer) -> Decoded:
    """What a conversation says, however it came."""
    response = answer.response
    message = object_member(object_member(response, "output"), "message")
    found = summarise(
        call,
        answer,
        kind="chat",
        preview=preview_of(
            last_user_text(member(call.request, "messages")), _reply(object_members(message, "content"))
        ),
        finish_reasons=[member(response, "stopReason")],
    )
    usage = object_member(response, "usage")
    return replace(found, usage=converse_usage(usage) if usage else None)


def converse_usage(raw: JsonObject) -> Usage:
    """The tokens of a usage object."""
    cached = count_of(raw.get("cacheReadInputTokens"), raw.get("cacheReadInputTokenCount"))
    written = count_of(raw.get("cacheWriteInputTokens"), raw.get("cacheWriteInputTokenCount"))
    fresh = count_of(raw.get("inputTokens"))
    return Usage(
        input_tokens=None if fresh is None else sum_of(fresh, cached, written),
        output_tokens=count_of(raw.get("outputTokens")),
        total_tokens=count_of(raw.get("totalTokens")),
        cached_input_tokens=cached,
        cache_write_input_tokens=written,
        raw=raw,
    )


def assemble_converse(events: Iterable[Event]) -> Answer:
    """The answer as far as it had come when the stream ended or was cut off."""
    answer = _Answer()
    ended, first_content_end, unreadable = False, None, 0
    for event in events:
        value, _ = parse_json(event.data, errors="replace")
        if event.name == "error":
            answer.fail(as_error(event, value))
        elif isinstance(value, dict):
            if first_content_end is None and _bears_content(event.name, value):
                first_content_end = event.end
            answer.add(event.name, value)
            ended = ended or event.name == "messageStop"
        else:
            unreadable += 1
    return Answer(
        response=answer.finished(), ended=ended, first_content_end=first_content_end, unreadable_events=unreadable
    )


def _bears_content(name: str, event: JsonObject) -> bool:
    if name == "contentBlockDelta":
        return any(object_member(event, "delta").values())
    return name == "contentBlockStart" and bool(object_member(event, "start"))


class _Answer:
    """An answer in the making."""

    def __init__(self) -> None:
        self._members: JsonObject = {}
        self._message: JsonObject = {}
        self._blocks = Blocks("contentBlockIndex", _Block)

    def add(self, name: str, event: JsonObject) -> None:
        """Add an event, which is called ``name``. What pads it against those who watch lengths is left out."""
        event.pop("p", None)
        match name:
            case "messageStart":
                self._message |= event
            case "contentBlockStart":
                self._blocks.begin(event, object_member(event, "start"))
            case "contentBlockDelta":
                self._blocks.grow(event, object_member(event, "delta"))
            case "messageStop" | "metadata":
                self._members |= event

    def fail(self, body: JsonObject | None) -> None:
        """Add an error body."""
        self._members |= {"error": body["error"]} if body else {}

    def finished(self) -> JsonValue:
        if content := self._blocks.finished():
            self._message["content"] = content
        output: JsonObject = {"output": {"message": self._message}} if self._message else {}
        return output | self._members or None


class _Block:
    """A content block in the making."""

    def __init__(self, start: JsonObject) -> None:
        self._members: Growing = {key: {**value} if isinstance(value, dict) else value for key, value in start.items()}
        self._input: list[str] = []
        self._citations: list[JsonValue] = []

    def grow(self, delta: JsonObject) -> None:
        for key, piece in delta.items():
            if key == "toolUse":
                self._input.append(text_member(piece, "input") or "")
            elif key == "citation":
                self._citations.append(piece)
            elif key == "reasoningContent" and isinstance(piece, dict):
                merge(self._members, {key: _reasoning(piece)})
            elif key == "toolResult":
                extend(self._members, {key: {"content": piece}})
            else:
                merge(self._members, {key: piece})

    def finished(self) -> JsonValue:
        block = finished(self._members)
        assert isinstance(block, dict)  # as its members are
        if any(self._input):
            block["toolUse"] = object_member(block, "toolUse") | {"input": input_of(self._input)}
        if self._citations:
            content: JsonValue = [{"text": block.pop("text", "")}]
            block["citationsContent"] = {"content": content, "citations": self._citations}
        return block


def _reasoning(piece: JsonObject) -> JsonObject:
    """A piece of reasoning in the shape of the whole, where text and signature are one level deeper."""
    text: JsonObject = {key: piece[key] for key in ("text", "signature") if key in piece}
    others: JsonObject = {key: value for key, value in piece.items() if key not in text}
    return {**others, **({"reasoningText": text} if text else {})}


def _reply(content: list[JsonObject]) -> str:
    calls = [
        call_text(use.get("name"), use.get("input")) for block in content if (use := object_member(block, "toolUse"))
    ]
    cited = [object_member(block, "citationsContent").get("content") for block in content]
    return text_of([*content]) or " ".join(filter(None, map(text_of, cited))) or ", ".join(calls)
