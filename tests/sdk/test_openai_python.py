import asyncio
import contextlib
import urllib.request
from operator import attrgetter

import openai
import pytest

from running import TRANSPORT

MESSAGES = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100_000)

#: Method of the SDK and its arguments.
CALLS = {
    "chat": ("chat.completions.create", {"model": "m", "messages": MESSAGES}),
    "chat-streamed": ("chat.completions.create", {"model": "m", "messages": MESSAGES, "stream": True}),
    "tools": ("chat.completions.create", {"model": "tools", "messages": MESSAGES, "tools": [TOOL]}),
    "tools-streamed": (
        "chat.completions.create",
        {"model": "tools", "messages": MESSAGES, "tools": [TOOL], "stream": True},
    ),
    "completions": ("completions.create", {"model": "m", "prompt": "Hi"}),
    "completions-streamed": ("completions.create", {"model": "m", "prompt": "Hi", "stream": True}),
    "embeddings": ("embeddings.create", {"model": "m", "input": ["Hi", "Ho"]}),
    "responses": ("responses.create", {"model": "m", "input": "Hi"}),
    "responses-streamed": ("responses.create", {"model": "m", "input": "Hi", "stream": True}),
    "models": ("models.list", {}),
    "transcription": ("audio.transcriptions.create", {"model": "whisper-1", "file": ("hello.wav", WAV)}),
    "delete": ("files.delete", {"file_id": "file-1"}),
}
ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
}


def options(base_url, session="", **more):
    headers = {"X-LLM-Session-Id": session, "X-LLM-Tags": f"sdk,{session}", "X-LLM-User-Id": "ada"} if session else {}
    return {"base_url": base_url, "api_key": "sk-test", "max_retries": 0, "default_headers": headers, **more}


def synchronously(base_url, call, session=""):
    """What the SDK makes of the answer: one value, or one for each event."""
    method, arguments = call
    with openai.OpenAI(**options(base_url, session)) as client:
        answer = attrgetter(method)(client)(**arguments)
        return [event.model_dump() for event in answer] if arguments.get("stream") else answer.model_dump()


def asynchronously(base_url, call, session=""):
    async def run():
        method, arguments = call
        async with openai.AsyncOpenAI(**options(base_url, session)) as client:
            answer = await attrgetter(method)(client)(**arguments)
            return [event.model_dump() async for event in answer] if arguments.get("stream") else answer.model_dump()

    return asyncio.run(run())


@pytest.mark.parametrize("make", [synchronously, asynchronously])
@pytest.mark.parametrize("name", CALLS)
def test_it_understands_the_same_as_without_the_proxy_and_the_call_is_on_record(stand, name, make):
    session = f"{name}-{make.__name__}"

    direct = make(stand.direct_url, CALLS[name])
    proxied = make(stand.proxied_url, CALLS[name], session)

    assert proxied == direct
    (record,) = stand.ended(session, 1)
    assert (record["status"], record["http_status"]) == ("finished", 200)
    # The SDK leaves at the end mark of a stream; httpx tells of the end of an answer later than that.
    assert record["ending"] in ({"complete"} if TRANSPORT == "http1" else {"complete", "client_disconnected"})
    assert (record["tags"], record["session_id"], record["user_id"]) == (["sdk", session], session, "ada")
    assert 0 < record["ttfb_s"] <= record["duration"]
    assert record["stream"] is (name.endswith("-streamed") if record["request"] else None)


@pytest.mark.parametrize("name", ["chat", "tools", "responses", "responses-streamed", "embeddings", "chat-streamed"])
def test_what_was_answered_is_on_record_as_the_sdk_understood_it(stand, name):
    session = f"understood-{name}"

    answer = synchronously(stand.proxied_url, CALLS[name], session)

    (record,) = stand.ended(session, 1)
    assert record["model"] == CALLS[name][1]["model"]
    usage = usage_in(answer)
    recorded = record["usage"] and {
        key: value for key, value in record["usage"].items() if key in ("input_tokens", "output_tokens", "total_tokens")
    }
    assert recorded == usage
    if name == "chat":
        assert record["response"]["choices"][0]["message"]["content"] == answer["choices"][0]["message"]["content"]
    if "streamed" in name:
        assert record["ttft_s"] <= record["duration"]


def usage_in(answer):
    """The tokens as the SDK understood them, under our names."""
    events = answer if isinstance(answer, list) else [answer]
    found = [event.get("usage") or (event.get("response") or {}).get("usage") for event in events]
    usage = next((usage for usage in reversed(found) if usage), None)
    return usage and {
        "input_tokens": usage.get("prompt_tokens", usage.get("input_tokens")),
        "output_tokens": usage.get("completion_tokens", usage.get("output_tokens")),
        "total_tokens": usage["total_tokens"],
    }


@pytest.mark.parametrize("status", ERRORS)
def test_an_error_of_the_upstream_is_the_same_exception(stand, status):
    call = ("chat.completions.create", {"model": f"error:{status}", "messages": MESSAGES})

    with pytest.raises(ERRORS[status]) as direct:
        synchronously(stand.direct_url, call)
    with pytest.raises(ERRORS[status]) as proxied:
        synchronously(stand.proxied_url, call, f"error-{status}")

    assert type(proxied.value) is type(direct.value)
    assert told(proxied.value) == told(direct.value)
    (record,) = stand.ended(f"error-{status}", 1)
    assert (record["status"], record["ending"], record["http_status"]) == ("failed", "upstream_error", status)


def told(exception):
    return (
        exception.status_code,
        exception.code,
        exception.type,
        exception.message,
        exception.body,
        exception.request_id,
    )


@pytest.mark.parametrize("model", ["reset", "cut"])
@pytest.mark.parametrize("make", [synchronously, asynchronously])
def test_a_stream_that_is_cut_off_is_never_taken_for_a_whole_one(stand, model, make):
    call = ("chat.completions.create", {"model": model, "messages": MESSAGES, "stream": True})
    session = f"{model}-{make.__name__}"

    with pytest.raises(openai.APIConnectionError):
        make(stand.direct_url, call)
    with pytest.raises(openai.APIConnectionError):
        make(stand.proxied_url, call, session)

    (record,) = stand.ended(session, 1)
    assert (record["status"], record["ending"]) == ("failed", "upstream_broke_off")
    assert record["response"]["choices"][0]["message"]["content"] == "partial"


def test_a_client_that_loses_patience_is_told_so_and_on_record(stand):
    with (
        openai.OpenAI(**options(stand.proxied_url, "impatient", timeout=0.5)) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        client.chat.completions.create(model="silent", messages=MESSAGES)

    (record,) = stand.ended("impatient", 1)
    assert record["ending"] == "client_disconnected"
    assert record["response"] is None


def test_a_retry_of_the_sdk_is_a_call_of_its_own(stand):
    with openai.OpenAI(**options(stand.proxied_url, "flaky", max_retries=2)) as client:
        answer = client.chat.completions.create(model="flaky", messages=MESSAGES)

    assert answer.choices[0].message.content
    records = stand.ended("flaky", 2)
    assert sorted(record["http_status"] for record in records) == [200, 429]


def test_a_raw_answer_has_the_headers_of_the_upstream_and_the_id_of_the_record(stand):
    call = {"model": "m", "messages": MESSAGES}
    with (
        openai.OpenAI(**options(stand.direct_url)) as straight,
        openai.OpenAI(**options(stand.proxied_url, "raw")) as client,
    ):
        direct = straight.chat.completions.with_raw_response.create(**call)
        proxied = client.chat.completions.with_raw_response.create(**call)

    (record,) = stand.ended("raw", 1)
    headers = dict(proxied.headers)
    assert headers.pop("x-llm-proxy-id") == record["id"]
    assert headers == dict(direct.headers)
    assert (proxied.content, proxied.request_id) == (direct.content, direct.request_id)
    assert proxied.parse() == direct.parse()


def test_a_stream_arrives_in_pieces(stand):
    with (
        openai.OpenAI(**options(stand.proxied_url, "stepwise")) as client,
        contextlib.closing(
            client.chat.completions.create(model="stepwise:python", messages=MESSAGES, stream=True)
        ) as stream,
    ):
        first = next(stream)
        # Only now the upstream says more: a proxy that waited for it would wait for ever.
        urllib.request.urlopen(f"{stand.direct_url}/go-on/python").close()
        rest = list(stream)

    assert [event.choices[0].delta.content for event in [first, *rest]] == ["first", "second"]


def test_the_command_shows_each_call(stand):
    for name in ("chat", "chat-streamed", "embeddings"):
        synchronously(stand.proxied_url, CALLS[name], "command")
    stand.ended("command", 3)

    records = stand.product.logs("--limit", "0", "--session", "command")

    assert [(record["path"], record["stream"]) for record in records] == [
        ("/v1/embeddings", False),
        ("/v1/chat/completions", True),
        ("/v1/chat/completions", False),
    ]
    for record in records:
        assert (record["status"], record["ending"]) == ("finished", "complete")
        assert (record["tags"], record["session_id"]) == (["sdk", "command"], "command")
        assert record["usage"]["input_tokens"] > 0
        assert 0 < record["ttfb_s"] <= record["duration"]
        assert record["request"]["model"] == "m"
        assert record["response"]
