"""Bedrock's InvokeModel, streamed or not: each model in the shape of its own maker.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html. Claude speaks Anthropic's messages, Nova the
shape of Converse, the open models OpenAI's chat completions; what else there is (Llama, Titan, Mistral) is kept as it
is, a stream of it with its strings joined. Chunks come as base64 in the frames of AWS, the last one with counts.
"""

import binascii
from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from llm_proxy.decode.body import Answer, Call, member, object_member, object_members, parse_json, text_member
from llm_proxy.decode.chat import assemble_chat, describe_chat
from llm_proxy.decode.converse import as_bedrock, assemble_converse, describe_converse, read_bedrock_call
from llm_proxy.decode.deltas import Growing, as_error, finished, merge
from llm_proxy.decode.messages import assemble_message, describe_message
from llm_proxy.decode.sse import Event
from llm_proxy.decode.summary import count_of, last_user_text, preview_of, sum_of, summarise, text_of
from llm_proxy.model.completion import Decoded, JsonObject, JsonValue, Usage
from llm_proxy.model.exchange import Exchange

#: In the last chunk of any model.
_METRICS = "amazon-bedrock-invocationMetrics"
_INPUT_HEADER, _OUTPUT_HEADER = "x-amzn-bedrock-input-token-count", "x-amzn-bedrock-output-token-count"
_PROMPTS = ("prompt", "inputText")
_REPLIES = ("generation", "outputText", "completion")
_REASONS = ("stop_reason", "completionReason")
_NOVA_EVENTS = ("messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")


def decode_invoke_model(exchange: Exchange, max_decoded_bytes: int) -> Decoded:
    """Read a call of a model."""
    call, frames = read_bedrock_call(exchange, max_decoded_bytes)
    if frames is None:
        return as_bedrock(call, _describe(call, Answer(response=call.response)))
    events = [_unwrapped(event) for event in frames]
    return as_bedrock(call, _describe(call, _assemble(events)))


def _describe(call: Call, answer: Answer) -> Decoded:
    response = answer.response
    if member(response, "type") == "message":
        return describe_message(call, answer)
    if object_member(object_member(response, "output"), "message"):
        return describe_converse(call, answer)
    if object_members(response, "choices"):
        found = describe_chat(call, answer)
        return found if found.usage else replace(found, usage=_usage(call, response))
    return _describe_other(call, answer)


def _describe_other(call: Call, answer: Answer) -> Decoded:
    """What a model says in a shape of its own."""
    response = answer.response
    outputs = object_members(response, "outputs") or object_members(response, "results") or [{}]
    said = response | outputs[0] if isinstance(response, dict) else outputs[0]
    prompt = next((text for key in _PROMPTS if (text := text_member(call.request, key))), "")
    reply = next((text_of(said[key]) for key in (*_REPLIES, "text") if said.get(key)), "")
    is_embedding = member(response, "embedding") is not None or member(response, "embeddings") is not None
    found = summarise(
        call,
        answer,
        kind="embedding" if is_embedding else "prompt",
        preview=preview_of(prompt or last_user_text(member(call.request, "messages")), reply),
        finish_reasons=[said.get(key) for key in _REASONS],
    )
    return replace(found, usage=_usage(call, response))


def _usage(call: Call, response: JsonValue) -> Usage | None:
    """Tokens from the answer, from the metrics of Bedrock at the end of a stream, or from its headers."""
    if not isinstance(response, dict):
        return None
    metrics = object_member(response, _METRICS)
    results = (object_members(response, "results") or [{}])[0]
    counted: JsonObject = metrics or {
        "inputTokenCount": count_of(
            response.get("prompt_token_count"), response.get("inputTextTokenCount"), _header(call, _INPUT_HEADER)
        ),
        "outputTokenCount": count_of(
            response.get("generation_token_count"), results.get("tokenCount"), _header(call, _OUTPUT_HEADER)
        ),
    }
    cached = count_of(counted.get("cacheReadInputTokenCount"))
    written = count_of(counted.get("cacheWriteInputTokenCount"))
    fresh, output_tokens = count_of(counted.get("inputTokenCount")), count_of(counted.get("outputTokenCount"))
    if fresh is None and output_tokens is None:
        return None
    input_tokens = None if fresh is None else sum_of(fresh, cached, written)
    is_whole = output_tokens is not None or "embedding" in response or "embeddings" in response
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        total_tokens=sum_of(input_tokens, output_tokens) if is_whole and input_tokens is not None else None,
        cached_input_tokens=cached,
        cache_write_input_tokens=written,
        raw={key: value for key, value in counted.items() if value is not None},
    )


def _header(call: Call, name: str) -> JsonValue:
    values = [value for key, value in call.exchange.response_headers if key.lower() == name and value]
    return int(values[0]) if values and values[0].isascii() and values[0].isdigit() and len(values[0]) < 19 else None


def _unwrapped(event: Event) -> Event:
    """The event of the model in a ``chunk`` of Bedrock: ``{"bytes": base64, "p": padding}``."""
    if event.name != "chunk":
        return event
    value, _ = parse_json(event.data, errors="replace")
    try:
        return Event(binascii.a2b_base64(text_member(value, "bytes") or ""), event.end)
    except ValueError:
        return Event(b"", event.end)


def _assemble(events: list[Event]) -> Answer:
    first = next((value for event in events if isinstance(value := parse_json(event.data)[0], dict)), {})
    if "choices" in first:
        return assemble_chat(events)
    if any(name in first for name in _NOVA_EVENTS):
        return assemble_converse(_nova_events(events))
    if text_member(first, "type"):
        return assemble_message(events)
    return _join(events)


def _nova_events(events: Iterable[Event]) -> Iterable[Event]:
    """Nova's chunks as events of Converse: ``{"contentBlockDelta": {...}}`` is one of that name."""
    for event in events:
        value, _ = parse_json(event.data, errors="replace")
        name = next((name for name in _NOVA_EVENTS if isinstance(value, dict) and name in value), None)
        if name is None:
            yield event
        else:
            yield Event(msgspec.json.encode(object_member(value, name)), event.end, name)


def _join(events: Iterable[Event]) -> Answer:
    """The chunks of an unknown shape as one: strings joined, of other values the last one."""
    whole: Growing = {}
    ended, first_content_end, unreadable = False, None, 0
    for event in events:
        value, _ = parse_json(event.data, errors="replace")
        if event.name == "error":
            whole |= as_error(event, value) or {}
        elif isinstance(value, dict):
            if first_content_end is None and any(value.get(key) for key in (*_REPLIES, "outputs")):
                first_content_end = event.end
            ended = ended or _METRICS in value
            merge(whole, value)
        else:
            unreadable += 1
    return Answer(
        response=finished(whole) or None, ended=ended, first_content_end=first_content_end, unreadable_events=unreadable
    )
