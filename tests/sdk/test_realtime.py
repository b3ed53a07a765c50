"""Live sessions of the SDKs of OpenAI and Google through the proxy, with nothing but a base URL.

What the record says is compared with what the SDK itself understood.
"""

import asyncio
import ssl
from contextlib import asynccontextmanager
from dataclasses import replace

import openai
import pytest
from google import genai
from google.genai import types

from certificates import make_certificate
from conftest import RULES
from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.understand import understand
from sdk.realtime_upstream import AUDIO, MODEL, USAGE, OpenAiSession, google_talk
from sockets import talking

TOOL = {"type": "function", "name": "weather", "parameters": {"type": "object", "properties": {}}}
QUESTION = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How is it in Rome?"}]}
AUDIO_BYTES = 2048


@pytest.fixture
async def proxy(start_proxy):
    # Of the names that the product records, the one that the frames are read by.
    rules = replace(RULES, recorded_response=RULES.recorded_response | {b"sec-websocket-extensions"})
    async with talking(OpenAiSession.talk) as upstream, talking(google_talk) as google:
        yield await start_proxy(upstream, named={"google": google}, providers={"google": "google"}, rules=rules)


async def asynchronously(base_url):
    """All events that the SDK understood in a session in which each kind of thing happens."""
    events = []
    async with (
        openai.AsyncOpenAI(base_url=base_url, api_key="sk-theirs", max_retries=0) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):

        async def listen(until):
            while not events or events[-1].type != until:
                events.append(await connection.recv())

        await connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        await listen("session.updated")
        await connection.input_audio_buffer.append(audio=AUDIO)
        await connection.conversation.item.create(item=QUESTION)
        await connection.response.create(response={"tools": [TOOL]})
        await listen("response.done")
        await connection.response.create()
        await listen("response.created")
        await listen("response.done")
        await connection.send({"type": "no.such.event", "event_id": "mine"})
        await listen("error")
    return events


def synchronously(base_url):
    events = []
    with (
        openai.OpenAI(base_url=base_url, api_key="sk-theirs", max_retries=0) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):

        def listen(until):
            while not events or events[-1].type != until:
                events.append(connection.recv())

        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        listen("session.updated")
        connection.input_audio_buffer.append(audio=AUDIO)
        connection.conversation.item.create(item=QUESTION)
        connection.response.create(response={"tools": [TOOL]})
        listen("response.done")
        connection.response.create()
        listen("response.created")
        listen("response.done")
        connection.send({"type": "no.such.event", "event_id": "mine"})
        listen("error")
    return events


async def in_a_thread(base_url):
    return await asyncio.to_thread(synchronously, base_url)


# The SDK's synchronous client opens connections in a way that websockets has come to warn of.
@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used as a context manager:DeprecationWarning")
@pytest.mark.parametrize("talk", [asynchronously, in_a_thread])
async def test_openai_s_sdk_has_a_session_and_the_record_says_what_it_understood(proxy, talk):
    events = await talk(f"http://127.0.0.1:{proxy.port}/v1")

    [call] = await proxy.ended()
    record = understand(call)
    by_type = {event.type: event for event in events}
    done = [event.response for event in events if event.type == "response.done"]
    assert (record.status, record.ending, record.endpoint) == (Status.FINISHED, Ending.COMPLETE, Endpoint.REALTIME)
    assert record.response_model == by_type["session.created"].session.model == MODEL
    assert record.bodies.request["session"]["instructions"] == by_type["session.updated"].session.instructions
    asked, called, said = record.bodies.response["output"]
    assert asked["content"][0]["text"] == by_type["conversation.item.done"].item.content[0].text
    assert (called["name"], called["arguments"]) == (done[0].output[0].name, done[0].output[0].arguments)
    assert said["content"][0]["text"] == done[1].output[0].content[0].transcript
    assert record.bodies.response["audio_bytes"] == {"input": AUDIO_BYTES, "output": 2 * AUDIO_BYTES}
    assert said["audio_bytes"] == 2 * AUDIO_BYTES
    assert record.usage.input_tokens == sum(response.usage.input_tokens for response in done)
    assert record.usage.output_tokens == sum(response.usage.output_tokens for response in done)
    spoken = sum(response.usage.output_token_details.audio_tokens for response in done)
    assert record.usage.audio_output_tokens == spoken == 2 * USAGE["output_token_details"]["audio_tokens"]
    [error] = record.bodies.response["errors"]
    assert (error["message"], error["event_id"]) == (by_type["error"].error.message, "mine")
    assert record.bodies.response["close"]["client"]["code"] == 1000
    assert call.key_fingerprint is not None


@asynccontextmanager
async def tls_before(port, directory):
    """Somebody who speaks TLS before the proxy, as Google's SDK wants it: its port, and whom to trust."""
    certificate, key = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def pump(reader, writer):
        while piece := await reader.read(2**16):
            writer.write(piece)
            await writer.drain()
        writer.close()

    async def take(reader, writer):
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    async with await asyncio.start_server(take, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1], ssl.create_default_context(cafile=certificate)


async def test_google_s_sdk_has_a_live_session_and_the_record_says_what_it_understood(proxy, tmp_path):
    async with tls_before(proxy.port, tmp_path) as (port, trusted):
        options = {"base_url": f"https://127.0.0.1:{port}", "async_client_args": {"ssl": trusted}}
        client = genai.Client(api_key="AIza-theirs-0123456789", http_options=options)
        config = {"response_modalities": ["AUDIO"], "output_audio_transcription": {}}
        messages = []
        async with client.aio.live.connect(model="gemini-live-2.5-flash", config=config) as session:
            turn = types.Content(role="user", parts=[types.Part(text="How is it in Rome?")])
            await session.send_client_content(turns=turn)
            async for message in session.receive():
                messages.append(message)
                if message.tool_call:
                    asked = message.tool_call.function_calls[0]
                    answer = types.FunctionResponse(id=asked.id, name=asked.name, response={"output": "sunny"})
                    await session.send_tool_response(function_responses=[answer])

    [call] = await proxy.ended()
    record = understand(call)
    assert (record.status, record.endpoint, record.provider) == (Status.FINISHED, Endpoint.REALTIME, "google")
    assert record.model == "models/gemini-live-2.5-flash"
    asked, called, result, said = record.bodies.response["output"]
    assert asked["content"][0]["text"] == "How is it in Rome?"
    [tool] = [one for message in messages if message.tool_call for one in message.tool_call.function_calls]
    assert (called["name"], called["arguments"]) == (tool.name, tool.args)
    assert result["output"] == {"output": "sunny"}
    contents = [message.server_content for message in messages if message.server_content]
    spoken = "".join(content.output_transcription.text for content in contents if content.output_transcription)
    assert said["content"] == [{"type": "text", "text": spoken}]
    assert said["audio_bytes"] == sum(len(message.data or b"") for message in messages)
    [usage] = [message.usage_metadata for message in messages if message.usage_metadata]
    assert record.usage.input_tokens == usage.prompt_token_count
    assert record.usage.output_tokens == usage.response_token_count == record.usage.audio_output_tokens
    assert record.bodies.response["close"]["client"]["code"] == 1000
    assert call.key_fingerprint.endswith("6789")
