"""A response that ``llm`` logged, as the chat completion that it was or would have been.

``llm`` (https://llm.datasette.io) logs what it said to a model in its own words, whichever provider that was. Here it
takes the shape of a chat completion. Everything that it says of a call is told by its columns; status, headers, times
of arrival and bytes of the wire it does not know, and whether the answer was streamed neither.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_proxy.model.completion import Bodies, Completion, JsonObject, JsonValue, Status
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.transfer import foreign
from llm_proxy.transfer.base import BadRow, Row

SOURCE = "llm"

#: What is worth keeping of the provider's own answer besides the message, which the columns have.
_ENVELOPE = ("id", "created", "system_fingerprint", "service_tier")


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """One logged response; ``columns`` are those of ``responses`` or ``turns``, some of which older versions lack."""

    source_id: str
    columns: Mapping[str, Any]
    session_id: str | None
    session_name: str | None
    messages: Sequence[JsonObject]
    answer: JsonObject
    tools: Sequence[JsonObject] = ()
    #: JSON schema that the answer had to have.
    schema: JsonValue = None
    #: Where fragments of the prompt came from: files, URLs.
    fragments: Sequence[str] = ()


def completion_of(logged: Logged, place: str) -> Row:
    """The record of ``logged``."""
    columns = logged.columns
    started_at = foreign.moment(columns.get("datetime_utc"))
    if started_at is None:
        return BadRow(place=place, reason="no time in datetime_utc")
    origin = foreign.Origin(source=SOURCE, source_id=logged.source_id, started_at=started_at)
    model = foreign.text(columns.get("model"))
    request, response = _request(logged, model), _response(logged, model)
    usage = foreign.object_of(columns.get("token_details"))
    for name, column in (("prompt_tokens", "input_tokens"), ("completion_tokens", "output_tokens")):
        if (tokens := foreign.count(columns.get(column))) is not None:
            usage[name] = tokens
    return Completion(
        id=origin.new_id(),
        status=Status.FINISHED,
        ending=Ending.COMPLETE,
        method="POST",
        path=foreign.PATHS[Endpoint.CHAT],
        endpoint=Endpoint.CHAT,
        kind=foreign.KINDS[Endpoint.CHAT],
        model=model,
        response_model=foreign.text(columns.get("resolved_model")),
        context=origin.context(
            facts={"fragments": list(logged.fragments)},
            session_id=logged.session_id,
            session_name=logged.session_name,
        ),
        started_at=started_at,
        duration_s=foreign.seconds(columns.get("duration_ms")),
        usage=foreign.usage_of(usage),
        finish_reasons=foreign.finish_reasons_of(response),
        preview=foreign.preview_of(request, response),
        bodies=Bodies(request=request, response=response),
    )


def text_or_parts(texts: Sequence[str], attachments: Sequence[JsonObject]) -> JsonValue:
    """The content of a message: one string if it is but one, else a list of parts."""
    if not attachments and len(texts) <= 1:
        return texts[0] if texts else None
    spoken: list[JsonValue] = [{"type": "text", "text": text} for text in texts]
    return spoken + list(attachments)


def attachment_part(row: Mapping[str, Any]) -> JsonObject:
    """The part of a message that a row of ``attachments`` is; of a file, only its path is known."""
    type_, content = row.get("type") or "application/octet-stream", row.get("content")
    url = row.get("url")
    if url is None and isinstance(content, bytes):
        url = f"data:{type_};base64,{base64.b64encode(content).decode('ascii')}"
    if url is not None and type_.startswith("image/"):
        return {"type": "image_url", "image_url": {"url": url}}
    if url is not None:
        return {"type": "file", "file": {"file_data": url}}
    return {"type": "file", "file": {"filename": row.get("path")}}


def tool_call(call_id: str | None, name: str | None, arguments: JsonValue) -> JsonObject:
    """A call of a tool, whose arguments are an object or the text of one."""
    written = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": written}}


def tool_answer(call_id: str | None, output: str | None) -> JsonObject:
    """The message that a tool answered with."""
    return {"role": "tool", "tool_call_id": call_id, "content": output}


def tool(row: Mapping[str, Any]) -> JsonObject:
    """A tool as it was offered, of a row of ``tools``."""
    parameters = foreign.parsed(row["input_schema"])
    function: JsonObject = {"name": row["name"], "description": row["description"], "parameters": parameters}
    return {"type": "function", "function": {name: value for name, value in function.items() if value is not None}}


def _request(logged: Logged, model: str | None) -> JsonObject:
    request = foreign.object_of(logged.columns.get("options_json"))
    request |= {"model": model, "messages": list(logged.messages)}
    if logged.tools:
        request["tools"] = list(logged.tools)
    if logged.schema is not None:
        schema: JsonObject = {"name": "output", "schema": logged.schema}
        request["response_format"] = {"type": "json_schema", "json_schema": schema}
    return request


def _response(logged: Logged, model: str | None) -> JsonObject:
    told = foreign.object_of(logged.columns.get("response_json"))
    choice: JsonObject = {"index": 0, "message": logged.answer}
    # Of a stream, llm puts the chunks together without choices.
    ends = foreign.finish_reasons_of(told) or (foreign.text(told.get("finish_reason")),)
    if ends[0] is not None:
        choice["finish_reason"] = ends[0]
    envelope: JsonObject = {name: told[name] for name in _ENVELOPE if isinstance(told.get(name), str | int)}
    answered = foreign.text(logged.columns.get("resolved_model")) or model
    return envelope | {"object": "chat.completion", "model": answered, "choices": [choice]}
