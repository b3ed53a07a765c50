"""Every provider in its own wire format, asked by a real SDK through the proxy; the record says what that understood.

The matrix is all of ``PROVIDERS`` by all of ``wire.CASES``.
"""

import json
from typing import Any

import pytest

from llm_proxy.attribution.passage import RECORDED_RESPONSE_HEADERS, RECORDED_RESPONSE_PREFIXES
from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.headers import HeaderRules
from llm_proxy.proxy.providers import provider_named
from llm_proxy.understand import understand
from sdk.drivers import Understood, by_anthropic, by_boto3, by_google, by_openai
from sdk.wire import CASES, WIRE
from upstreams import LAST_CHUNK, chunk, response

#: Of each provider, the SDK that asks it, where it asks, and what the record calls that.
PROVIDERS = {
    "openai": (by_openai, b"/v1/chat/completions", Endpoint.CHAT),
    "azure": (by_openai, b"/openai/deployments/m/chat/completions?api-version=2024-10-21", Endpoint.CHAT),
    "bedrock": (by_boto3, b"/model/amazon.nova-lite-v1%3A0/converse", Endpoint.CONVERSE),
    "anthropic": (by_anthropic, b"/v1/messages", Endpoint.MESSAGES),
    "huggingface": (by_openai, b"/v1/chat/completions", Endpoint.CHAT),
    "together": (by_openai, b"/v1/chat/completions", Endpoint.CHAT),
    "groq": (by_openai, b"/openai/v1/chat/completions", Endpoint.CHAT),
    "google": (by_google, b"/v1/models/gemini-2.5-flash:", Endpoint.GENERATE_CONTENT),
}
RULES = HeaderRules(recorded_response=RECORDED_RESPONSE_HEADERS, recorded_response_prefixes=RECORDED_RESPONSE_PREFIXES)


@pytest.fixture
async def proxy(start_proxy, upstream):
    """A proxy before an upstream that is all providers; the default one is elsewhere, and keys are the clients' own."""
    root = upstream.url.removesuffix("/v1")
    bases = {"groq": f"{root}/openai/v1", "azure": f"{root}/openai/v1", "bedrock": root}
    named = {name: bases.get(name, upstream.url) for name in PROVIDERS}
    return await start_proxy(
        "http://127.0.0.1:1/v1", named=named, providers={name: name for name in named}, rules=RULES
    )


def steps(said):
    """An answer as the upstream sends it, a stream in pieces that end anywhere."""
    headers = [("Content-Type", said.kind), *said.headers.items()]
    if said.kind == "application/json":
        return [response(said.body, status=said.status, headers=headers)]
    lines = [f"HTTP/1.1 {said.status}", *(f"{name}: {value}" for name, value in headers), "Transfer-Encoding: chunked"]
    pieces = [said.body[at : at + 97] for at in range(0, len(said.body), 97)]
    return ["\r\n".join([*lines, "", ""]).encode(), *map(chunk, pieces), LAST_CHUNK]


def test_the_matrix_is_whole():
    assert set(PROVIDERS) == set(WIRE)
    assert {name: set(answers) for name, answers in WIRE.items()} == {name: set(CASES) for name in PROVIDERS}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_record_says_what_the_sdk_understood(upstream, proxy, provider, case):
    said, (ask, target, endpoint) = WIRE[provider][case], PROVIDERS[provider]
    upstream.script(*steps(said))

    understood = await ask(proxy.url, provider, case)

    assert upstream.received[0].request_line.split(b" ")[1].startswith(target)
    [exchange] = await proxy.ended()
    record = understand(exchange)
    assert (record.provider, record.endpoint, record.decode_problem) == (provider, endpoint, None)
    assert exchange.response_body == said.body
    assert of_record(record, understood) == understood
    failed = case in ("refused", "limited", "broken")
    assert (record.status is Status.FAILED, record.http_status) == (failed, int(said.status[:3]))
    assert (understood.error_message is not None) == failed
    assert understood.tools or not case.startswith("tools")
    is_streamed = case.endswith("streamed") or case == "broken"
    assert record.stream in ((is_streamed, None) if failed else (is_streamed,))
    assert understood.text or case not in ("whole", "streamed", "broken")


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_request_ids_and_limits_of_an_answer_are_on_record(upstream, proxy, provider):
    said, row = WIRE[provider]["limited"], provider_named(provider)
    upstream.script(*steps(said))

    understood = await PROVIDERS[provider][0](proxy.url, provider, "limited")

    [exchange] = await proxy.ended()
    recorded = {name.lower(): value for name, value in exchange.response_headers}
    told = {name: value for name, value in recorded.items() if name.encode().startswith(row.rate_limits or (b"-",))}
    assert told == {name: understood.headers[name] for name in told}
    assert bool(told) == bool(row.rate_limits)
    assert recorded.get("retry-after") == said.headers.get("retry-after") == understood.headers.get("retry-after")
    if row.request_ids:
        assert recorded[row.request_ids[0].decode()] == said.headers[row.request_ids[0].decode()]


def of_record(record: Completion, understood: Understood) -> Understood:
    """The same, as the record has it; what only SDKs can tell is theirs."""
    assert record.bodies is not None
    answer: Any = record.bodies.response
    text, tools = _READERS[record.endpoint](answer if isinstance(answer, dict) else {})
    row = provider_named(record.provider or "")
    assert row is not None
    ids = {name.lower(): value for name, value in record.bodies.response_headers}
    names = [name.decode() for name in row.request_ids if ids.get(name.decode())]
    found = {ids[name] for name in names}
    failed = record.status is Status.FAILED
    return Understood(
        text=text,
        tools=tuple(tools),
        finish=None if failed else ", ".join(record.finish_reasons),
        input_tokens=record.usage.input_tokens if record.usage and not failed else None,
        output_tokens=record.usage.output_tokens if record.usage and not failed else None,
        error_kind=None if record.failure_kind in (None, "upstream_error") else record.failure_kind,
        error_message=record.failure_reason,
        request_id=understood.request_id if understood.request_id in found else None,
        headers=understood.headers,
    )


def _of_chat(answer):
    message = answer["choices"][0]["message"] if "choices" in answer else {}
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return message.get("content") or "", [(call["name"], json.loads(call["arguments"])) for call in calls]


def _of_messages(answer):
    blocks = answer.get("content", [])
    uses = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    return "".join(block["text"] for block in blocks if block["type"] == "text"), uses


def _of_google(answer):
    parts = answer["candidates"][0]["content"]["parts"] if "candidates" in answer else []
    text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
    return text, [
        (part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part
    ]


def _of_converse(answer):
    blocks = answer.get("output", {}).get("message", {}).get("content", [])
    uses = [block["toolUse"] for block in blocks if "toolUse" in block]
    return "".join(block.get("text", "") for block in blocks), [(use["name"], use["input"]) for use in uses]


_READERS = {
    Endpoint.CHAT: _of_chat,
    Endpoint.MESSAGES: _of_messages,
    Endpoint.GENERATE_CONTENT: _of_google,
    Endpoint.CONVERSE: _of_converse,
}
