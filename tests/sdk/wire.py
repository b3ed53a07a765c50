"""What each of eight providers says on the wire: whole, streamed, with tools, refusing, and breaking off with an error.

Made after their public documentation and the types of their SDKs, which stand beside each; ids and counts are invented.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parents[1] / "samples"
JSON, SSE, EVENTS = "application/json", "text/event-stream", "application/vnd.amazon.eventstream"
CASES = ("whole", "streamed", "tools", "tools-streamed", "refused", "limited", "broken")


@dataclass(frozen=True)
class Said:
    """One answer."""

    body: bytes
    kind: str = JSON
    status: str = "200 OK"
    headers: dict[str, str] = field(default_factory=dict)


def whole(value: Any, status: str = "200 OK", headers: dict[str, str] | None = None) -> Said:
    return Said(json.dumps(value).encode(), JSON, status, headers or {})


def sse(events: Iterable[Any], headers: dict[str, str], *, done: bool = True) -> Said:
    lines = [b"data: %b\n\n" % json.dumps(event).encode() for event in events]
    return Said(b"".join(lines) + (b"data: [DONE]\n\n" if done else b""), SSE, headers=headers)


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a provider speaks OpenAI's language."""

    ids: dict[str, Any]
    #: Beside each choice, and beside the choices of a chunk.
    choice: dict[str, Any] = field(default_factory=dict)
    chunk: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)
    #: Chunks before the first and, with the usage, after the last one; None for usage in the last one.
    before: tuple[dict[str, Any], ...] = ()
    usage_apart: bool = True
    #: In how many pieces the arguments of a tool come.
    pieces: int = 3
    headers: dict[str, str]
    limits: dict[str, str]
    refused: tuple[str, Any]
    limited: Any
    broken: Any

    def answers(self) -> dict[str, Said]:
        tool = {"id": "call_9hFq", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}
        text = {"role": "assistant", "content": "Grüße aus Oslo."}
        tools = {"role": "assistant", "content": None, "tool_calls": [tool]}
        headers = self.headers | self.limits
        texts = [{"role": "assistant", "content": ""}, {"content": "Grüße aus "}, {"content": "Oslo."}]
        return {
            "whole": whole(self._whole(text, "stop"), headers=headers),
            "tools": whole(self._whole(tools, "tool_calls"), headers=headers),
            "streamed": sse(self._chunks(texts, "stop"), headers),
            "tools-streamed": sse(self._chunks(self._tool_deltas(tool), "tool_calls"), headers),
            "refused": whole(self.refused[1], self.refused[0], headers),
            "limited": whole(self.limited, "429 Too Many Requests", headers | {"retry-after": "7"}),
            "broken": sse([*self._chunks(texts, None)[: len(self.before) + 2], self.broken], headers, done=False),
        }

    def _whole(self, message: dict[str, Any], finish: str) -> dict[str, Any]:
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None, **self.choice}
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16, **self.usage}
        return {**self.ids, "object": "chat.completion", "choices": [choice], "usage": usage}

    def _tool_deltas(self, tool: dict[str, Any]) -> list[dict[str, Any]]:
        function, size = tool["function"], -(-len(tool["function"]["arguments"]) // self.pieces)
        cut = [function["arguments"][at : at + size] for at in range(0, len(function["arguments"]), size)]
        first = {**tool, "index": 0, "function": {"name": function["name"], "arguments": cut[0]}}
        rest = [{"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in cut[1:]]
        return [{"role": "assistant", "content": None, "tool_calls": [first]}, *rest]

    def _chunks(self, deltas: list[dict[str, Any]], finish: str | None) -> list[dict[str, Any]]:
        usage = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16, **self.usage}
        said = [self._chunk([(delta, None)]) for delta in deltas]
        last = self._chunk([({}, finish)])
        after = [self._chunk([]) | {"usage": usage}] if self.usage_apart else []
        return [*self.before, *said, last if self.usage_apart else last | {"usage": usage}, *after]

    def _chunk(self, choices: list[tuple[dict[str, Any], str | None]]) -> dict[str, Any]:
        made = [{"index": 0, "delta": delta, "finish_reason": finish, **self.choice} for delta, finish in choices]
        return {**self.ids, "object": "chat.completion.chunk", "choices": made, "usage": None, **self.chunk}


def _safe() -> dict[str, Any]:
    return {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}


DIALECTS = {
    # https://platform.openai.com/docs/api-reference/chat/object, .../guides/rate-limits and .../guides/error-codes;
    # errors within a stream: https://github.com/openai/openai-python/blob/main/src/openai/_streaming.py
    "openai": Dialect(
        ids={
            "id": "chatcmpl-B9MBs8Cj",
            "created": 1741569952,
            "model": "gpt-4.1-2025-04-14",
            "service_tier": "default",
        },
        usage={
            "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
        },
        chunk={"obfuscation": "x8Zq", "system_fingerprint": "fp_50cad350e4"},
        headers={"x-request-id": "req_0a1b2c", "openai-processing-ms": "412", "openai-version": "2020-10-01"},
        limits={"x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-tokens": "6m0s"},
        refused=(
            "400 Bad Request",
            {"error": {"message": "Too long.", "type": "invalid_request_error", "param": "messages", "code": "length"}},
        ),
        limited={
            "error": {"message": "Rate limit reached.", "type": "tokens", "param": None, "code": "rate_limit_exceeded"}
        },
        broken={"error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}},
    ),
    # https://learn.microsoft.com/azure/ai-foundry/openai/reference and .../concepts/content-filter
    "azure": Dialect(
        ids={"id": "chatcmpl-C06nVg", "created": 1754130277, "model": "gpt-4o-2024-11-20"},
        choice={"content_filter_results": _safe()},
        before=(
            {
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _safe()}],
            },
        ),
        headers={"apim-request-id": "6a1f-4e0b", "x-request-id": "77aa-01", "x-ms-region": "Sweden Central"},
        limits={"x-ratelimit-remaining-tokens": "9984"},
        refused=(
            "400 Bad Request",
            {
                "error": {
                    "message": "The response was filtered.",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _safe()},
                }
            },
        ),
        limited={"error": {"code": "429", "message": "Requests have exceeded the token rate limit."}},
        broken={"error": {"message": "The server had an error.", "type": "server_error", "param": None, "code": None}},
    ),
    # https://huggingface.co/docs/text-generation-inference/reference/api_reference, ErrorResponse; within a stream:
    # https://github.com/huggingface/text-generation-inference/blob/main/router/src/server.rs
    "huggingface": Dialect(
        ids={
            "id": "",
            "created": 1744120000,
            "model": "meta-llama/Llama-3.3-70B",
            "system_fingerprint": "3.3.5-native",
        },
        pieces=8,
        headers={"x-request-id": "Root=1-68", "x-inference-provider": "hf-inference"},
        limits={"ratelimit": '"api";r=0;t=55', "ratelimit-policy": '"fixed window";"api";q=500;w=300'},
        refused=("422 Unprocessable Entity", {"error": "Input validation error", "error_type": "validation"}),
        limited={"error": "Model is overloaded", "error_type": "overloaded"},
        broken={"error": {"message": "Request failed during generation", "http_status_code": 500}},
    ),
    # https://docs.together.ai/reference/chat-completions-1, .../docs/error-codes and .../docs/rate-limits
    "together": Dialect(
        ids={
            "id": "oRkQwz-2j9zxn",
            "created": 1736000000,
            "model": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
            "prompt": [],
        },
        choice={"seed": 4711},
        usage={"cached_tokens": 3},
        usage_apart=False,
        pieces=1,
        headers={"x-request-id": "oRkQwz-2j9zxn", "x-api-received": "2026-01-02T03:04:05Z"},
        limits={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1", "x-tokenlimit-remaining": "2950"},
        refused=(
            "422 Unprocessable Entity",
            {
                "id": "oRkQwz",
                "error": {
                    "message": "Input too long.",
                    "type": "invalid_request_error",
                    "param": "max_tokens",
                    "code": None,
                },
            },
        ),
        limited={
            "id": "oRkQwz",
            "error": {"message": "Slow down.", "type": "rate_limit", "param": None, "code": "rate_limit"},
        },
        broken={"error": {"message": "Overloaded.", "type": "server_error", "param": None, "code": "overloaded"}},
    ),
    # https://console.groq.com/docs/api-reference#chat, .../docs/errors and .../docs/rate-limits
    "groq": Dialect(
        ids={"id": "chatcmpl-3e1f0a54", "created": 1754160911, "model": "llama-3.1-8b-instant"},
        usage={"queue_time": 0.018, "prompt_time": 0.0017, "completion_time": 0.0026, "total_time": 0.0044},
        chunk={"x_groq": {"id": "req_01k1q8m4"}},
        usage_apart=False,
        pieces=1,
        headers={"x-request-id": "req_01k1q8m4", "x-groq-region": "dls"},
        limits={"x-ratelimit-remaining-tokens": "5967", "x-ratelimit-reset-requests": "2m59.56s"},
        refused=(
            "400 Bad Request",
            {
                "error": {
                    "message": "Failed to call a function.",
                    "type": "invalid_request_error",
                    "code": "tool_use_failed",
                    "failed_generation": "<function=weather",
                }
            },
        ),
        limited={"error": {"message": "Limit of TPM reached.", "type": "tokens", "code": "rate_limit_exceeded"}},
        broken={"error": {"message": "Over capacity.", "type": "internal_server_error", "code": "over_capacity"}},
    ),
}


def sample(name: str, headers: dict[str, str] | None = None) -> Said:
    """A file of tests/samples; they name their sources in tests/decode."""
    body = (SAMPLES / name).read_bytes()
    kinds = {"json": JSON, "sse": SSE, "eventstream": EVENTS}
    return Said(body, kinds[name.rpartition(".")[2]], headers=headers or {})


def _anthropic() -> dict[str, Said]:
    """https://platform.claude.com/docs/en/api/messages, .../messages-streaming, .../errors and .../rate-limits."""
    headers = {"request-id": "req_018EeWyXxfu5pfWkrYcMdjWG", "anthropic-ratelimit-requests-remaining": "49"}
    tool = {"type": "tool_use", "id": "toolu_01A", "name": "weather", "input": {"city": "Oslo"}}
    usage = {"input_tokens": 20, "cache_creation_input_tokens": 3, "cache_read_input_tokens": 100, "output_tokens": 9}
    message = {"id": "msg_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929"}
    tools = {**message, "content": [tool], "stop_reason": "tool_use", "stop_sequence": None, "usage": usage}

    def error(kind: str, text: str) -> dict[str, Any]:
        return {"type": "error", "error": {"type": kind, "message": text}, "request_id": headers["request-id"]}

    return {
        "whole": sample("messages.json", headers),
        "streamed": sample("messages_text.sse", headers),
        "tools": whole(tools, headers=headers),
        "tools-streamed": sample("messages_tools.sse", headers),
        "refused": whole(error("invalid_request_error", "Too long."), "400 Bad Request", headers),
        "limited": whole(
            error("rate_limit_error", "Slow down."), "429 Too Many Requests", headers | {"retry-after": "7"}
        ),
        "broken": sample("messages_error.sse", headers),
    }


def _google() -> dict[str, Said]:
    """https://ai.google.dev/api/generate-content and https://google.aip.dev/193.

    An error within a stream: https://github.com/googleapis/python-genai/blob/main/google/genai/_api_client.py
    """
    call = {"functionCall": {"id": "fc-1", "name": "weather", "args": {"city": "Oslo"}}}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 5, "thoughtsTokenCount": 7, "totalTokenCount": 23}
    ids = {"modelVersion": "gemini-2.5-flash", "responseId": "mAitaLmkHPP"}

    def part(value: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"candidates": [{"content": {"parts": [value], "role": "model"}, "index": 0, **more}], **ids}

    def error(code: int, status: str, text: str) -> dict[str, Any]:
        return {"error": {"code": code, "message": text, "status": status}}

    ended = part(call, finishReason="STOP") | {"usageMetadata": usage}
    broken = json.dumps(error(503, "UNAVAILABLE", "Overloaded."), indent=2).encode()
    first = sse([part({"text": "Grüße "})], {}, done=False).body
    return {
        "whole": sample("generate_content.json"),
        "streamed": sample("generate_content_text.sse"),
        "tools": whole(ended),
        "tools-streamed": sse([part({"text": "I look. "}), ended], {}, done=False),
        "refused": whole(error(400, "INVALID_ARGUMENT", "Too long."), "400 Bad Request"),
        "limited": whole(error(429, "RESOURCE_EXHAUSTED", "Slow down."), "429 Too Many Requests", {"retry-after": "7"}),
        "broken": Said(first + broken + b"\n", SSE),
    }


def _bedrock() -> dict[str, Said]:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html and .../CommonErrors.html."""
    headers = {"x-amzn-requestid": "d5a1-4f0e"}
    use = {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Oslo"}}}
    usage = {"inputTokens": 20, "outputTokens": 9, "totalTokens": 132, "cacheReadInputTokens": 100}
    usage |= {"cacheWriteInputTokens": 3}
    tools = {"output": {"message": {"role": "assistant", "content": [use]}}, "stopReason": "tool_use", "usage": usage}

    def refused(kind: str, text: str, status: str) -> Said:
        return whole({"message": text}, status, headers | {"x-amzn-errortype": kind})

    return {
        "whole": sample("converse.json", headers),
        "streamed": sample("converse_text.eventstream", headers),
        "tools": whole(tools | {"metrics": {"latencyMs": 412}}, headers=headers),
        "tools-streamed": sample("converse_tools.eventstream", headers),
        "refused": refused("ValidationException", "Too long.", "400 Bad Request"),
        "limited": refused("ThrottlingException", "Too many requests.", "429 Too Many Requests"),
        "broken": sample("converse_error.eventstream", headers),
    }


#: By provider and case.
WIRE: dict[str, dict[str, Said]] = {
    **{name: dialect.answers() for name, dialect in DIALECTS.items()},
    "anthropic": _anthropic(),
    "google": _google(),
    "bedrock": _bedrock(),
}
