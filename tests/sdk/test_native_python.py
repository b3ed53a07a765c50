"""The SDKs of Anthropic, Google, Azure and AWS at the proxy, with nothing but a base URL, before scripted upstreams.

The answers have the wire formats of tests/samples, which name their sources. What the record says is compared with what
the SDK itself understood. Every provider with every kind of answer is in test_every_provider.py.
"""

import asyncio
import json
from pathlib import Path

import anthropic
import botocore.exceptions
import botocore.session
import openai
import pytest
from anthropic.types import Message
from botocore.config import Config
from google import genai
from google.genai import types

from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.understand import understand
from upstreams import LAST_CHUNK, SSE_HEAD, chunk, response

SAMPLES = Path(__file__).parents[1] / "samples"
MESSAGES = [{"role": "user", "content": "Hi"}]
JSON = [("Content-Type", "application/json")]
TEXT = [{"text": "Hi"}]
PROVIDERS = ["anthropic", "google", "azure", "bedrock", "groq", "together", "huggingface"]


@pytest.fixture
async def proxy(start_proxy, upstream):
    """A proxy before an upstream that is all providers; the default one is elsewhere, and keys are the clients' own."""
    root = upstream.url.removesuffix("/v1")
    bases = {"groq": f"{root}/openai/v1", "azure": f"{root}/openai/v1", "bedrock": root}
    return await start_proxy(
        "http://127.0.0.1:1/v1",
        named={name: bases.get(name, upstream.url) for name in PROVIDERS},
        providers={name: name for name in PROVIDERS},
    )


def sample(name):
    return (SAMPLES / name).read_bytes()


def answers(upstream, name, *, status="200 OK", headers=()):
    """Have the upstream say a sample, piece by piece if it is a stream."""
    body, kind = sample(name), name.rpartition(".")[2]
    if kind == "json":
        upstream.script(response(body, status=status, headers=[*JSON, *headers]))
        return
    head = SSE_HEAD
    if kind == "eventstream":
        head = head.replace(b"text/event-stream", b"application/vnd.amazon.eventstream")
    pieces = [body[at : at + 100] for at in range(0, len(body), 100)]
    upstream.script(head, *(chunk(piece) for piece in pieces), LAST_CHUNK)


def fails(upstream, error, *, status="429 Too Many Requests", headers=()):
    upstream.script(response(json.dumps(error).encode(), status=status, headers=[*JSON, *headers]))


async def the_record(proxy):
    [exchange] = await proxy.ended()
    return understand(exchange)


# Anthropic


@pytest.fixture
async def claude(proxy):
    async with anthropic.AsyncAnthropic(base_url=proxy.url, api_key="sk-ant-0123456789abcdef", max_retries=0) as client:
        yield client


def of_claude(message):
    return (message.id, message.model, message.stop_reason, [block.model_dump() for block in message.content])


@pytest.mark.parametrize("name", ["messages.json", "messages_text.sse", "messages_tools.sse", "messages_thinking.sse"])
async def test_anthropic(upstream, proxy, claude, name):
    answers(upstream, name)
    asked = {"model": "claude-of-tests", "max_tokens": 100, "messages": MESSAGES}

    if name.endswith(".sse"):
        async with claude.messages.stream(**asked) as stream:
            message = await stream.get_final_message()
    else:
        message = await claude.messages.create(**asked)

    [received] = upstream.received
    assert received.request_line == b"POST /v1/messages HTTP/1.1"
    assert b"sk-ant-0123456789abcdef" in received.head
    record = await the_record(proxy)
    assert (record.endpoint, record.provider, record.status) == (Endpoint.MESSAGES, "anthropic", Status.FINISHED)
    assert (record.model, record.stream) == ("claude-of-tests", name.endswith(".sse"))
    assert of_claude(Message.model_validate(record.bodies.response)) == of_claude(message)
    assert record.usage.output_tokens == message.usage.output_tokens
    assert record.key_fingerprint.endswith("…cdef")


async def test_anthropic_counts_tokens(upstream, proxy, claude):
    answers(upstream, "messages_count_tokens.json")

    count = await claude.messages.count_tokens(model="claude-of-tests", messages=MESSAGES)

    record = await the_record(proxy)
    assert (record.endpoint, record.bodies.response) == (Endpoint.COUNT_TOKENS, {"input_tokens": count.input_tokens})


# Google


@pytest.fixture
async def gemini(proxy):
    client = genai.Client(
        api_key="AIza0123456789abcdefg", http_options={"base_url": proxy.url, "httpx_async_client": proxy.client}
    )
    yield client
    client.close()


def of_gemini(answers_of_sdk):
    parts = [part for one in answers_of_sdk for part in one.candidates[0].content.parts or ()]
    return (
        "".join(part.text for part in parts if part.text and not part.thought),
        [(part.function_call.name, part.function_call.args) for part in parts if part.function_call],
        answers_of_sdk[-1].usage_metadata.total_token_count,
    )


@pytest.mark.parametrize(
    "name", ["generate_content.json", "generate_content_text.sse", "generate_content_thoughts.sse"]
)
async def test_google(upstream, proxy, gemini, name):
    answers(upstream, name)
    asked = {"model": "gemini-2.5-flash", "contents": "Hi"}

    if name.endswith(".sse"):
        said = [piece async for piece in await gemini.aio.models.generate_content_stream(**asked)]
    else:
        said = [await gemini.aio.models.generate_content(**asked)]

    [received] = upstream.received
    method = b"streamGenerateContent?alt=sse" if name.endswith(".sse") else b"generateContent"
    assert received.request_line.endswith(b"/models/gemini-2.5-flash:" + method + b" HTTP/1.1")
    assert received.header("x-goog-api-key") == b"AIza0123456789abcdefg"
    record = await the_record(proxy)
    assert (record.endpoint, record.provider, record.model) == (
        Endpoint.GENERATE_CONTENT,
        "google",
        "gemini-2.5-flash",
    )
    assert of_gemini([types.GenerateContentResponse.model_validate(record.bodies.response)]) == of_gemini(said)
    assert record.usage.total_tokens == said[-1].usage_metadata.total_token_count


# Azure, and OpenAI's SDK at others


@pytest.mark.parametrize("name", ["chat_text.json", "chat_azure.sse", "chat_tools.json"])
async def test_azure(upstream, proxy, name):
    answers(upstream, name)
    is_streamed = name.endswith(".sse")

    async with openai.AsyncAzureOpenAI(
        azure_endpoint=proxy.url, api_key="azure-0123456789abcdef", api_version="2024-10-21", max_retries=0
    ) as client:
        answer = await client.chat.completions.create(model="my-gpt", messages=MESSAGES, stream=is_streamed)
        said = [piece async for piece in answer] if is_streamed else [answer]

    [received] = upstream.received
    there = b"/openai/deployments/my-gpt/chat/completions?api-version=2024-10-21"
    assert received.request_line == b"POST " + there + b" HTTP/1.1"
    assert received.header("api-key") == b"azure-0123456789abcdef"
    record = await the_record(proxy)
    assert (record.endpoint, record.provider, record.status) == (Endpoint.CHAT, "azure", Status.FINISHED)
    choice = record.bodies.response["choices"][0]
    if is_streamed:
        deltas = [piece.choices[0].delta.content or "" for piece in said if piece.choices]
        assert choice["message"]["content"] == "".join(deltas)
    else:
        calls = said[0].choices[0].message.tool_calls
        assert choice["message"]["content"] == said[0].choices[0].message.content
        assert choice["message"].get("tool_calls") == (calls and [call.model_dump() for call in calls])
    assert record.response_model == said[-1].model


@pytest.mark.parametrize(
    ("name", "there"),
    [("groq", "/openai/v1"), ("together", "/v1"), ("huggingface", "/v1"), ("azure", "/openai/v1")],
)
async def test_openais_sdk_at_others(upstream, proxy, name, there):
    answers(upstream, "chat_text.sse")

    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/{name}/v1", api_key="sk-1", max_retries=0) as client:
        stream = await client.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        text = "".join([piece.choices[0].delta.content or "" async for piece in stream if piece.choices])

    assert upstream.received[0].request_line == f"POST {there}/chat/completions HTTP/1.1".encode()
    record = await the_record(proxy)
    assert (record.provider, record.endpoint) == (name, Endpoint.CHAT)
    assert record.bodies.response["choices"][0]["message"]["content"] == text


# AWS


@pytest.fixture
def bedrock(proxy):
    session = botocore.session.Session()
    made = session.create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"{proxy.url}/bedrock",
        aws_access_key_id="AKIDEXAMPLE0123456789",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


ASKED = {"modelId": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": TEXT}]}


async def test_bedrock(upstream, proxy, bedrock):
    answers(upstream, "converse.json")

    said = await asyncio.to_thread(lambda: bedrock.converse(**ASKED))

    [received] = upstream.received
    assert received.request_line == b"POST /model/amazon.nova-lite-v1%3A0/converse HTTP/1.1"
    record = await the_record(proxy)
    assert (record.endpoint, record.provider, record.model) == (
        Endpoint.CONVERSE,
        "bedrock",
        "amazon.nova-lite-v1:0",
    )
    assert record.bodies.response["output"] == said["output"]
    assert record.usage.raw == said["usage"]
    assert record.key_fingerprint.endswith("…6789")


@pytest.mark.parametrize("name", ["converse_text.eventstream", "converse_tools.eventstream"])
async def test_bedrock_streams(upstream, proxy, bedrock, name):
    answers(upstream, name)

    events = await asyncio.to_thread(lambda: list(bedrock.converse_stream(**ASKED)["stream"]))

    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    record = await the_record(proxy)
    blocks = record.bodies.response["output"]["message"]["content"]
    assert "".join(block.get("text", "") for block in blocks) == "".join(delta.get("text", "") for delta in deltas)
    tools = [event["contentBlockStart"]["start"]["toolUse"] for event in events if "contentBlockStart" in event]
    assert [block["toolUse"]["name"] for block in blocks if "toolUse" in block] == [tool["name"] for tool in tools]
    [usage] = [event["metadata"]["usage"] for event in events if "metadata" in event]
    assert record.usage.raw.items() >= usage.items()
    assert record.stream is True
