"""The SDKs of the providers at work: how each asks, and what it understood of the answer."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anthropic
import boto3
import botocore.exceptions
import httpx
import openai
from botocore.config import Config
from google import genai
from google.genai import errors

MESSAGES = [{"role": "user", "content": "Hi"}]
#: Of the SDK that names its models in the path.
NOVA = {"modelId": "amazon.nova-lite-v1:0", "messages": [{"role": "user", "content": [{"text": "Hi"}]}]}


@dataclass
class Understood:
    """An answer, in no SDK's own words."""

    text: str = ""
    #: Name and arguments of each.
    tools: tuple[tuple[str, Any], ...] = ()
    finish: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    error_kind: str | None = None
    error_message: str | None = None
    #: None where the SDK does not tell it.
    request_id: str | None = None
    #: Of an answer that was an error.
    headers: Mapping[str, str] | None = None


async def by_openai(url: str, provider: str, case: str) -> Understood:
    """A client of OpenAI's SDK at any provider that speaks its language."""
    asked: dict[str, Any] = {"model": "m", "messages": MESSAGES}
    async with _openai_client(url, provider) as client:
        chat = client.chat.completions
        if case == "broken":
            return await _broken_at_openai(await chat.create(**asked, stream=True))
        try:
            if case.endswith("streamed"):
                async with chat.stream(**asked, stream_options={"include_usage": True}) as stream:
                    completion: Any = await stream.get_final_completion()
            else:
                completion = await chat.create(**asked)
        except openai.APIStatusError as exc:
            return _refused_by_openai(exc)
    [choice] = completion.choices
    calls = choice.message.tool_calls or ()
    return Understood(
        text=choice.message.content or "",
        tools=tuple((call.function.name, json.loads(call.function.arguments)) for call in calls),
        finish=choice.finish_reason,
        input_tokens=completion.usage.prompt_tokens,
        output_tokens=completion.usage.completion_tokens,
        request_id=getattr(completion, "_request_id", None),
    )


def _openai_client(url: str, provider: str) -> openai.AsyncOpenAI:
    if provider == "azure":
        return openai.AsyncAzureOpenAI(azure_endpoint=url, api_key="k", api_version="2024-10-21", max_retries=0)
    return openai.AsyncOpenAI(base_url=f"{url}/{provider}/v1", api_key="sk-1", max_retries=0)


async def _broken_at_openai(stream: Any) -> Understood:
    understood = Understood()
    try:
        async for chunk in stream:
            understood.text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    except openai.APIError as exc:
        body: Any = exc.body
        understood.error_kind, understood.error_message = body.get("type") or body.get("code"), exc.message
    return understood


def _refused_by_openai(exc: openai.APIStatusError) -> Understood:
    body: Any = exc.body
    if isinstance(body, str):  # a text where OpenAI has an object: the SDK has the kind in the answer only
        body = {"message": body, "type": exc.response.json()["error_type"]}
    return Understood(
        error_kind=body.get("type") or body.get("code"),
        error_message=body["message"],
        request_id=exc.request_id,
        headers=exc.response.headers,
    )


async def by_anthropic(url: str, _provider: str, case: str) -> Understood:
    asked: Any = {"model": "claude-of-tests", "max_tokens": 100, "messages": MESSAGES}
    text = ""
    async with anthropic.AsyncAnthropic(base_url=url, api_key="sk-ant-1", max_retries=0) as client:
        try:
            if case.endswith("streamed") or case == "broken":
                async with client.messages.stream(**asked) as stream:
                    async for piece in stream.text_stream:
                        text += piece
                    message = await stream.get_final_message()
            else:
                message = await client.messages.create(**asked)
        except anthropic.APIStatusError as exc:
            error = exc.body["error"]  # type: ignore[index]  # as the API documents it
            return Understood(
                text=text,
                error_kind=error["type"],
                error_message=error["message"],
                request_id=exc.request_id,
                headers=exc.response.headers,
            )
    usage = message.usage
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return Understood(
        text="".join(block.text for block in message.content if block.type == "text"),
        tools=tuple((block.name, block.input) for block in message.content if block.type == "tool_use"),
        finish=message.stop_reason,
        input_tokens=usage.input_tokens + cached,
        output_tokens=usage.output_tokens,
        request_id=getattr(message, "_request_id", None),
    )


async def by_google(url: str, _provider: str, case: str) -> Understood:
    # Without one of these it takes aiohttp, in a way that aiohttp warns of.
    http = httpx.AsyncClient(trust_env=False)
    client = genai.Client(api_key="AIza0123456789", http_options={"base_url": url, "httpx_async_client": http})
    asked: Any = {"model": "gemini-2.5-flash", "contents": "Hi"}
    said: list[Any] = []
    understood = Understood()
    try:
        if case.endswith("streamed") or case == "broken":
            async for piece in await client.aio.models.generate_content_stream(**asked):
                said.append(piece)  # noqa: PERF401  what came before an error is kept
        else:
            said.append(await client.aio.models.generate_content(**asked))
    except errors.APIError as exc:
        understood.error_kind, understood.error_message = exc.status, exc.message
        understood.headers = getattr(exc.response, "headers", None)
    finally:
        await http.aclose()
        client.close()
    parts = [part for one in said for part in one.candidates[0].content.parts or ()]
    understood.text = "".join(part.text for part in parts if part.text and not part.thought)
    understood.tools = tuple((part.function_call.name, part.function_call.args) for part in parts if part.function_call)
    if understood.error_kind is None:
        usage = said[-1].usage_metadata
        understood.finish = said[-1].candidates[0].finish_reason.value
        understood.input_tokens = usage.prompt_token_count + (usage.tool_use_prompt_token_count or 0)
        understood.output_tokens = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
    return understood


async def by_boto3(url: str, _provider: str, case: str) -> Understood:
    return await asyncio.to_thread(_by_boto3, url, case)


def _by_boto3(url: str, case: str) -> Understood:
    client = boto3.client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"{url}/bedrock",
        aws_access_key_id="AKIDEXAMPLE0123456789",
        aws_secret_access_key="secret",
        config=Config(retries={"total_max_attempts": 1}),
    )
    with contextlib.closing(client):
        try:
            if case.endswith("streamed") or case == "broken":
                answer = client.converse_stream(**NOVA)
                with contextlib.closing(answer["stream"]):
                    return _stream_of_boto3(answer)
            answer = client.converse(**NOVA)
        except botocore.exceptions.ClientError as exc:
            meta, error = exc.response["ResponseMetadata"], exc.response["Error"]
            headers = meta["HTTPHeaders"]
            return Understood(
                error_kind=error["Code"], error_message=error["Message"], request_id=meta["RequestId"], headers=headers
            )
    blocks = answer["output"]["message"]["content"]
    return _with_usage(
        Understood(
            text="".join(block.get("text", "") for block in blocks),
            tools=tuple(
                (block["toolUse"]["name"], block["toolUse"]["input"]) for block in blocks if "toolUse" in block
            ),
            finish=answer["stopReason"],
            request_id=answer["ResponseMetadata"]["RequestId"],
        ),
        answer["usage"],
    )


def _stream_of_boto3(answer: Any) -> Understood:
    understood = Understood(request_id=answer["ResponseMetadata"]["RequestId"])
    tools: list[list[str]] = []
    try:
        for event in answer["stream"]:
            delta = event.get("contentBlockDelta", {}).get("delta", {})
            understood.text += delta.get("text", "")
            if "toolUse" in event.get("contentBlockStart", {}).get("start", {}):
                tools.append([event["contentBlockStart"]["start"]["toolUse"]["name"], ""])
            if "toolUse" in delta:
                tools[-1][1] += delta["toolUse"]["input"]
            understood.finish = event.get("messageStop", {}).get("stopReason", understood.finish)
            if "metadata" in event:
                _with_usage(understood, event["metadata"]["usage"])
    except botocore.exceptions.EventStreamError as exc:
        understood.error_kind, understood.error_message = (
            exc.response["Error"]["Code"],
            exc.response["Error"]["Message"],
        )
    understood.tools = tuple((name, json.loads(arguments or "{}")) for name, arguments in tools)
    return understood


def _with_usage(understood: Understood, usage: Any) -> Understood:
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    understood.input_tokens, understood.output_tokens = usage["inputTokens"] + cached, usage["outputTokens"]
    return understood
