"""The calls of the demo, as programs make them: a base URL, a key, and a word about who they are."""

import json
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from llm_proxy.demo.answers import UNRELIABLE_MODEL, WRONG_KEY

ID_HEADER = "X-LLM-Proxy-Id"

_Json: TypeAlias = dict[str, Any]

_KEY = "sk-demo-0123456789abcdef"
_MODEL = "gpt-4o-mini"
_SHOWN_CHARACTERS = 44
_WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call, and how much of its answer is waited for."""

    title: str
    #: Behind the URL of the proxy.
    path: str = "/v1/chat/completions"
    body: _Json
    headers: dict[str, str] = field(default_factory=dict)
    key: str = _KEY
    #: Go away after so many events of the stream; None is to stay.
    leave_after_events: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came back."""

    #: Under which the call is on record; None if no llm-proxy has answered.
    id: str | None
    #: Status and answer, on one line.
    line: str


def scripted_calls(session_id: str) -> tuple[Call, ...]:
    """One of each kind; those that belong together say so in their headers, or in the path as ``session_id``."""
    who = {"X-LLM-Session-Id": session_id, "X-LLM-Session-Name": "the demo", "X-LLM-User-Id": "ada"}
    prefix = f"/~tags=demo,search;session={session_id};user=ada"
    return (
        Call(title="chat", body=_chat("What is the capital of France?"), headers=_tags("demo")),
        Call(
            title="chat, streamed",
            body=_chat("Write a haiku about rivers.", stream=True, stream_options={"include_usage": True}),
            headers=_tags("demo", "poetry") | who,
        ),
        Call(
            title="chat with a tool",
            body=_chat("What is the weather in Paris?", tools=[_WEATHER]),
            headers=_tags("demo", "tools") | who,
        ),
        Call(
            title="chat with a tool, streamed",
            body=_chat("What is the weather in Paris?", tools=[_WEATHER], stream=True),
            headers=_tags("demo", "tools") | who,
        ),
        Call(
            title="embeddings, tagged by path",
            path=f"{prefix}/v1/embeddings",
            body={"model": "text-embedding-3-small", "input": ["a river", "the sea"]},
        ),
        Call(
            title="responses, streamed",
            path="/v1/responses",
            body={"model": _MODEL, "input": "Who are you?", "stream": True},
            headers=_tags("demo"),
        ),
        Call(title="a wrong key", body=_chat("Hello?"), headers=_tags("demo", "trouble"), key=WRONG_KEY),
        Call(
            title="an upstream that breaks off",
            body=_chat("Who are you?", stream=True) | {"model": UNRELIABLE_MODEL},
            headers=_tags("demo", "trouble"),
        ),
        Call(
            title="a client that leaves",
            body=_chat("Tell me a very long story.", stream=True),
            headers=_tags("demo", "trouble"),
            leave_after_events=8,
        ),
    )


async def make(client: httpx.AsyncClient, call: Call) -> Outcome:
    """Make ``call`` and read its answer. Raises httpx.TransportError if there is none at all."""
    headers = call.headers | {"Authorization": f"Bearer {call.key}"}
    async with client.stream("POST", call.path, json=call.body, headers=headers) as response:
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            said = await _read_stream(response, call.leave_after_events)
        else:
            said = _said(_parsed(await response.aread()))
        return Outcome(id=response.headers.get(ID_HEADER), line=f"{response.status_code}  {said}")


async def _read_stream(response: httpx.Response, leave_after_events: int | None) -> str:
    events, text, end = 0, "", ""
    try:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                events += 1
                text += _piece(_parsed(line.removeprefix("data: ")))
            if events == leave_after_events:
                end = ", then this client left"
                break
    except httpx.TransportError:
        end = ", then the answer broke off"
    return f"{events} events: {_short(text)}{end}"


def _chat(question: str, **options: Any) -> _Json:
    return {"model": _MODEL, "messages": [{"role": "user", "content": question}], **options}


def _tags(*tags: str) -> dict[str, str]:
    return {"X-LLM-Tags": ",".join(tags)}


def _parsed(text: str | bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # the mark at the end of a stream, or nobody that we know
        return None


def _said(answer: Any) -> str:
    match answer:
        case {"choices": [{"message": {"tool_calls": [{"function": {"name": name, "arguments": arguments}}]}}]}:
            return f"{name}({arguments})"
        case {"choices": [{"message": {"content": str(text)}}]} | {"error": {"message": str(text)}}:
            return _short(text)
        case {"data": [*vectors]}:
            return f"{len(vectors)} vectors"
    return "an answer that is not in the script"


def _piece(event: Any) -> str:
    match event:
        case {"choices": [{"delta": {"content": str(text)}}]} | {"delta": str(text)}:
            return text
        case {"choices": [{"delta": {"tool_calls": [{"function": {"name": name}}]}}]}:
            return f"{name} "
        case {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": str(text)}}]}}]}:
            return text
    return ""


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS].rstrip()}..."
