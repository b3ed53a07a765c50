"""What SDKs can ask for besides conversations: each through the proxy, understood the same as it is on record."""

from operator import attrgetter
from pathlib import Path

import httpx
import openai
import pytest
from google import genai

from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Endpoint
from llm_proxy.understand import understand
from upstreams import LAST_CHUNK, SSE_HEAD, chunk, response

SAMPLES = Path(__file__).parents[1] / "samples"
WAV = ("hello.wav", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(2000))
#: Method of the SDK, its arguments, the answer, and what the record says: method and path, API, kind.
ASKED = {
    "embeddings": (
        "embeddings.create",
        {"model": "m", "input": ["Hi"], "encoding_format": "float"},
        "embeddings_float.json",
        ("POST /v1/embeddings", Endpoint.EMBEDDINGS, "embedding"),
    ),
    "moderations": (
        "moderations.create",
        {"model": "m", "input": "Hi"},
        "moderations.json",
        ("POST /v1/moderations", Endpoint.MODERATIONS, "moderation"),
    ),
    "images": (
        "images.generate",
        {"model": "gpt-image-1", "prompt": "a cat"},
        "images.json",
        ("POST /v1/images/generations", Endpoint.IMAGES, "image"),
    ),
    "image-edits": (
        "images.edit",
        {"model": "gpt-image-1", "prompt": "a cat", "image": ("cat.png", b"\x89PNG")},
        "images.json",
        ("POST /v1/images/edits", Endpoint.IMAGES, "image"),
    ),
    "transcription": (
        "audio.transcriptions.create",
        {"model": "whisper-1", "file": WAV},
        "transcription.json",
        ("POST /v1/audio/transcriptions", Endpoint.TRANSCRIPTION, "transcription"),
    ),
    "file": (
        "files.create",
        {"file": ("a.jsonl", b"{}\n"), "purpose": "batch"},
        "file.json",
        ("POST /v1/files", Endpoint.FILES, "file"),
    ),
    "file-head": (
        "files.retrieve",
        {"file_id": "file-abc123"},
        "file.json",
        ("GET /v1/files/file-abc123", Endpoint.FILES, "file"),
    ),
    "batch": (
        "batches.create",
        {"input_file_id": "file-abc123", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
        "batch.json",
        ("POST /v1/batches", Endpoint.BATCHES, "batch"),
    ),
    "batch-cancel": (
        "batches.cancel",
        {"batch_id": "batch_abc123"},
        "batch.json",
        ("POST /v1/batches/batch_abc123/cancel", Endpoint.BATCHES, "batch"),
    ),
    "response": (
        "responses.create",
        {"model": "gpt-5-mini", "input": "Hi"},
        "responses.json",
        ("POST /v1/responses", Endpoint.RESPONSES, "chat"),
    ),
    "response-again": (
        "responses.retrieve",
        {"response_id": "resp_1"},
        "responses.json",
        ("GET /v1/responses/resp_1", Endpoint.RESPONSES, "chat"),
    ),
    "response-cancel": (
        "responses.cancel",
        {"response_id": "resp_1"},
        "responses.json",
        ("POST /v1/responses/resp_1/cancel", Endpoint.RESPONSES, "chat"),
    ),
}
#: What has brought no tokens about, or those of another call.
NOT_CHARGED = ("file", "batch", "batch-cancel", "response-cancel")


@pytest.fixture
async def client(proxy):
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="sk-1", max_retries=0) as made:
        yield made


async def the_record(proxy):
    [exchange] = await proxy.ended()
    record = understand(exchange)
    assert (record.status, record.decode_problem) == (Status.FINISHED, None)
    return record


@pytest.mark.parametrize("name", ASKED)
async def test_what_the_sdk_understood_is_on_record(upstream, proxy, client, name):
    method, arguments, sample, (line, endpoint, kind) = ASKED[name]
    upstream.script(response((SAMPLES / sample).read_bytes(), headers=[("Content-Type", "application/json")]))

    said = await attrgetter(method)(client)(**arguments)

    assert upstream.received[0].request_line == f"{line} HTTP/1.1".encode()
    record = await the_record(proxy)
    assert (f"{record.method} {record.path}", record.endpoint, record.kind) == (line, endpoint, kind)
    assert record.model == arguments.get("model")
    assert type(said).construct(**record.bodies.response).to_dict() == said.to_dict()
    usage, has_tokens = getattr(said, "usage", None), line.startswith("POST") and name not in NOT_CHARGED
    total_tokens = usage.total_tokens if usage and has_tokens else None
    assert (record.usage.total_tokens if record.usage else None) == total_tokens


async def test_speech_is_on_record_by_its_size(upstream, proxy, client):
    upstream.script(response(b"ID3" + bytes(3000), headers=[("Content-Type", "audio/mpeg")]))

    sound = await client.audio.speech.create(model="tts-1", voice="alloy", input="Hello.")

    record = await the_record(proxy)
    assert (record.endpoint, record.kind, record.response_bytes) == (Endpoint.SPEECH, "speech", len(sound.content))
    assert record.bodies.request["input"] == "Hello."


async def test_all_events_of_a_response_are_put_together_as_the_sdk_does(upstream, proxy, client):
    stream = (SAMPLES / "responses_tools.sse").read_bytes()
    upstream.script(SSE_HEAD, *(chunk(stream[at : at + 101]) for at in range(0, len(stream), 101)), LAST_CHUNK)

    events = [event async for event in await client.responses.create(model="gpt-5", input="Hi", stream=True)]

    record = await the_record(proxy)
    final = events[-1].response
    assert (events[-1].type, record.stream) == ("response.completed", True)
    assert type(final).construct(**record.bodies.response).to_dict() == final.to_dict()
    assert record.usage.total_tokens == final.usage.total_tokens


async def test_google_counts_tokens(upstream, start_proxy):
    proxy = await start_proxy("http://127.0.0.1:1/v1", named={"google": upstream.url})
    upstream.script(response(b'{"totalTokens": 7}', headers=[("Content-Type", "application/json")]))

    async with httpx.AsyncClient(trust_env=False) as http:
        gemini = genai.Client(api_key="AIza0", http_options={"base_url": proxy.url, "httpx_async_client": http})
        count = await gemini.aio.models.count_tokens(model="gemini-2.5-flash", contents="Hi")
        gemini.close()

    record = await the_record(proxy)
    assert (record.endpoint, record.kind) == (Endpoint.COUNT_TOKENS, "token_count")
    assert record.bodies.response["totalTokens"] == count.total_tokens == 7
