"""The scripted upstream over the wire; that what it says is right is judged by the SDK of the API that it imitates."""

import asyncio
import socket

import httpx
import openai
import pytest

from llm_proxy.demo.answers import UNRELIABLE_MODEL, WRONG_KEY
from llm_proxy.demo.upstream import ScriptedUpstream
from running import PATIENCE_S

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture
async def base_url():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with ScriptedUpstream().listening(listener):
            yield url
        await asyncio.sleep(0)  # in which the cancelled connections close


@pytest.fixture
async def client(base_url):
    async with openai.AsyncOpenAI(base_url=base_url, api_key="sk-demo", timeout=PATIENCE_S, max_retries=0) as client:
        yield client


async def test_the_sdk_reads_a_chat(client):
    completion = await client.chat.completions.create(model="m", messages=MESSAGES)

    assert completion.choices[0].message.content == "The capital of France is Paris."
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens


async def test_the_sdk_puts_a_streamed_chat_together(client):
    async with client.chat.completions.stream(model="m", messages=MESSAGES) as stream:
        completion = await stream.get_final_completion()

    assert completion.choices[0].message.content == "The capital of France is Paris."
    assert completion.choices[0].finish_reason == "stop"


async def test_the_sdk_puts_a_streamed_tool_call_together(client):
    async with client.chat.completions.stream(model="m", messages=MESSAGES, tools=[TOOL]) as stream:
        completion = await stream.get_final_completion()

    (call,) = completion.choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city": "Paris"}')


async def test_the_sdk_puts_a_streamed_response_together(client):
    async with client.responses.stream(model="m", input="What is the capital of France?") as stream:
        response = await stream.get_final_response()

    assert response.output_text == "The capital of France is Paris."
    assert response.usage.output_tokens > 0


async def test_the_sdk_reads_embeddings(client):
    answer = await client.embeddings.create(model="m", input=["a", "b"], encoding_format="float")

    assert [len(one.embedding) for one in answer.data] == [3, 3]


async def test_the_sdk_knows_a_wrong_key(client):
    with pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        await client.with_options(api_key=WRONG_KEY).chat.completions.create(model="m", messages=MESSAGES)


async def test_a_stream_that_is_cut_off_ends_with_its_connection(base_url):
    body = {"model": UNRELIABLE_MODEL, "messages": MESSAGES, "stream": True}
    received = bytearray()

    with pytest.raises(httpx.TransportError):
        await read_into(received, f"{base_url}/chat/completions", body)

    assert received.startswith(b"data: ")
    assert b"[DONE]" not in received


async def read_into(received, url, body):
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("POST", url, json=body) as response,
    ):
        async for piece in response.aiter_raw():
            received += piece


async def test_what_is_no_request_ends_its_connection_and_nothing_else(base_url, client):
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(base_url).port)
    writer.write(b"nonsense\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        answered = await reader.read()
    writer.close()

    assert answered == b""
    assert await client.chat.completions.create(model="m", messages=MESSAGES)


async def test_each_request_is_counted():
    upstream = ScriptedUpstream()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/moderations"

        async with upstream.listening(listener), httpx.AsyncClient(trust_env=False) as client:
            statuses = [(await client.post(url, json={})).status_code for _ in range(3)]

    assert (statuses, upstream.arrived) == ([404, 404, 404], 3)
