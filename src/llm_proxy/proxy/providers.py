"""The providers that are known: where they are, how they take a key, and which API stands behind a path.

A table and its look-ups, nothing else; what is not in it is relayed just the same. Each row names its source. All of
them speak OpenAI's language at ``base_url``; what they speak besides stands in their rules.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from llm_proxy.model.exchange import Endpoint


class ErrorShape(StrEnum):
    """What an error answer looks like; ``decode/summary.py`` reads all of them."""

    #: ``{"error": {"message", "type", "code", "param"}}``
    OPENAI = "openai"
    #: ``{"type": "error", "error": {"type", "message"}, "request_id"}``
    ANTHROPIC = "anthropic"
    #: ``{"error": {"code", "message", "status", "details"}}``, for a stream in a list
    GOOGLE = "google"
    #: ``{"message"}``, the type in the header ``x-amzn-errortype``
    AWS = "aws"
    #: ``{"object": "error", "message", "type", "code"}`` or ``{"detail"}``
    FLAT = "flat"
    #: ``{"error": "text"}``
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One way in which a key is carried: in a header, or in a parameter of the query."""

    #: Lower case.
    header: bytes | None = None
    #: What stands before the key in the header.
    scheme: bytes = b""
    parameter: bytes | None = None
    #: Whether it is no key but a signature over the whole request, which nobody can put another key into.
    is_signature: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Calls that belong to one API."""

    #: None for any.
    method: bytes | None = b"POST"
    #: Matched against the whole path, without the query.
    path: re.Pattern[bytes]
    endpoint: Endpoint


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # each is there once, and hashed with every call
class Provider:
    """One row."""

    name: str
    #: Other names by which people call it.
    aliases: tuple[str, ...] = ()
    #: In lower case; ``*`` stands for one or more labels or a part of one.
    hosts: tuple[str, ...] = ()
    #: Where it speaks OpenAI's language; None if that depends on the account, and for what one runs oneself.
    base_url: str | None
    #: Root of its own API, if that is another one.
    native_url: str | None = None
    #: Address by region, if that is all that it depends on.
    regional_url: str | None = None
    #: What stands there for the ``/v1`` of OpenAI's language.
    compatible_path: str = "/v1"
    #: The one to be used comes first; empty if none is needed.
    keys: tuple[Key, ...]
    rules: tuple[Rule, ...]
    #: Headers of an answer with the provider's id of the call, the best one first; empty if none is documented.
    request_ids: tuple[bytes, ...] = ()
    #: What headers that tell of limits begin with; Retry-After is everybody's.
    rate_limits: tuple[bytes, ...] = ()
    errors: ErrorShape = ErrorShape.OPENAI
    #: Whether it documents ``stream_options.include_usage`` for OpenAI's language, and tells no usage without.
    takes_stream_options: bool = False
    source: str


def _rules(prefix: bytes, *rows: tuple[bytes | None, bytes, Endpoint]) -> tuple[Rule, ...]:
    return tuple(Rule(method=method, path=re.compile(prefix + path), endpoint=to) for method, path, to in rows)


#: Any base path: /v1, /openai/v1, /api/v1, /openai/deployments/NAME ...
_ANY_BASE = rb"(?:/[^/]+)*"
#: https://platform.openai.com/docs/api-reference
_OPENAI_ROWS = (
    (b"POST", b"/chat/completions", Endpoint.CHAT),
    (None, rb"/chat/completions/[^/]+", Endpoint.CHAT),
    (b"POST", b"/completions", Endpoint.TEXT),
    (b"POST", b"/embeddings", Endpoint.EMBEDDINGS),
    (b"POST", b"/responses", Endpoint.RESPONSES),
    (b"GET", rb"/responses/[^/]+", Endpoint.RESPONSES),
    (b"POST", rb"/responses/[^/]+/cancel", Endpoint.RESPONSES),
    (b"POST", b"/moderations", Endpoint.MODERATIONS),
    (b"POST", b"/images/(?:generations|edits|variations)", Endpoint.IMAGES),
    (b"POST", b"/audio/speech", Endpoint.SPEECH),
    (b"POST", b"/audio/(?:transcriptions|translations)", Endpoint.TRANSCRIPTION),
    (None, rb"/files(?:/[^/]+(?:/content)?)?", Endpoint.FILES),
    (None, rb"/batches(?:/[^/]+(?:/cancel)?)?", Endpoint.BATCHES),
)
#: https://platform.claude.com/docs/en/api/messages; also of others, below /anthropic or /api.
_MESSAGES = _rules(
    rb"(?:/[a-z]+)?/v1/messages",
    (b"POST", b"", Endpoint.MESSAGES),
    (b"POST", b"/count_tokens", Endpoint.COUNT_TOKENS),
)
_COMPATIBLE = _rules(_ANY_BASE, *_OPENAI_ROWS)
#: https://ai.google.dev/api and https://cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
_GOOGLE = _rules(
    rb".*/(?:models|tunedModels|endpoints)/",
    (b"POST", rb"[^/:]+:(?:g|streamG)enerateContent", Endpoint.GENERATE_CONTENT),
    (b"POST", rb"[^/:]+:countTokens", Endpoint.COUNT_TOKENS),
    (b"POST", b"count-tokens:rawPredict", Endpoint.COUNT_TOKENS),
    (b"POST", rb"claude[^/:]*:(?:r|streamR)awPredict", Endpoint.MESSAGES),
) + _rules(rb".*/open(?:ai|api)", *_OPENAI_ROWS)
#: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
_BEDROCK = _rules(
    rb"/model/[^/]+",
    (b"POST", b"/converse(?:-stream)?", Endpoint.CONVERSE),
    (b"POST", b"/invoke(?:-with-response-stream)?", Endpoint.INVOKE_MODEL),
    (b"POST", b"/count-tokens", Endpoint.COUNT_TOKENS),
)
#: https://docs.mistral.ai/api: answers of both are chat completions.
_MISTRAL = _rules(_ANY_BASE, (b"POST", b"/(?:fim|agents)/completions", Endpoint.CHAT))

#: Longer paths are not kept in memory.
_REMEMBERED_BYTES = 512

_BEARER = Key(header=b"authorization", scheme=b"Bearer ")
_X_RATE_LIMIT = (b"x-ratelimit-",)
_X_REQUEST_ID = (b"x-request-id",)

PROVIDERS = (
    Provider(
        name="openai",
        hosts=("api.openai.com", "*.api.openai.com"),
        base_url="https://api.openai.com/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        request_ids=_X_REQUEST_ID,
        rate_limits=_X_RATE_LIMIT,
        takes_stream_options=True,
        source="https://platform.openai.com/docs/api-reference/debugging-requests",
    ),
    Provider(
        name="azure",
        aliases=("azure-openai", "azure_ai"),
        hosts=("*.openai.azure.com", "*.cognitiveservices.azure.com", "*.services.ai.azure.com"),
        base_url=None,  # https://RESOURCE.openai.azure.com/openai/v1
        compatible_path="/openai/v1",
        keys=(Key(header=b"api-key"), _BEARER, Key(header=b"x-api-key")),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=(b"apim-request-id", b"x-request-id", b"x-ms-client-request-id"),
        rate_limits=_X_RATE_LIMIT,
        source="https://learn.microsoft.com/azure/ai-foundry/openai/reference",
    ),
    Provider(
        name="bedrock",
        aliases=("aws", "aws-bedrock", "amazon-bedrock"),
        hosts=("bedrock-runtime.*.amazonaws.com", "bedrock-runtime-fips.*.amazonaws.com"),
        base_url=None,
        regional_url="https://bedrock-runtime.{region}.amazonaws.com/openai/v1",
        compatible_path="/openai/v1",
        # https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html
        keys=(_BEARER, Key(header=b"authorization", scheme=b"AWS4-HMAC-SHA256 ", is_signature=True)),
        rules=_BEDROCK + _rules(b"/openai/v1", *_OPENAI_ROWS),
        request_ids=(b"x-amzn-requestid",),
        errors=ErrorShape.AWS,
        source="https://docs.aws.amazon.com/bedrock/latest/APIReference/welcome.html",
    ),
    Provider(
        name="anthropic",
        aliases=("claude",),
        hosts=("api.anthropic.com",),
        base_url="https://api.anthropic.com/v1",
        native_url="https://api.anthropic.com",
        keys=(Key(header=b"x-api-key"), _BEARER),
        rules=_MESSAGES + _rules(b"/v1", (b"POST", b"/chat/completions", Endpoint.CHAT)),
        request_ids=(b"request-id",),
        rate_limits=(b"anthropic-ratelimit-", b"anthropic-priority-"),
        errors=ErrorShape.ANTHROPIC,
        takes_stream_options=True,
        source="https://platform.claude.com/docs/en/api/overview and .../rate-limits",
    ),
    Provider(
        name="huggingface",
        aliases=("hf", "hugging-face"),
        hosts=("router.huggingface.co", "api-inference.huggingface.co", "*.endpoints.huggingface.cloud"),
        base_url="https://router.huggingface.co/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        request_ids=_X_REQUEST_ID,
        rate_limits=(b"ratelimit",),
        errors=ErrorShape.TEXT,
        source="https://huggingface.co/docs/inference-providers and https://huggingface.co/docs/hub/rate-limits",
    ),
    Provider(
        name="together",
        aliases=("together_ai", "togetherai", "together-ai"),
        hosts=("api.together.xyz", "api.together.ai"),
        base_url="https://api.together.xyz/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        request_ids=_X_REQUEST_ID,
        rate_limits=(b"x-ratelimit-", b"x-tokenlimit-"),
        source="https://docs.together.ai/docs/rate-limits",
    ),
    Provider(
        name="groq",
        hosts=("api.groq.com",),
        base_url="https://api.groq.com/openai/v1",
        compatible_path="/openai/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        request_ids=_X_REQUEST_ID,
        rate_limits=_X_RATE_LIMIT,
        takes_stream_options=True,
        source="https://console.groq.com/docs/rate-limits",
    ),
    Provider(
        name="google",
        aliases=("gemini", "vertex", "vertex_ai", "google-ai-studio"),
        hosts=("generativelanguage.googleapis.com", "aiplatform.googleapis.com", "*-aiplatform.googleapis.com"),
        base_url="https://generativelanguage.googleapis.com/v1beta/openai",
        native_url="https://generativelanguage.googleapis.com",
        compatible_path="/v1beta/openai",
        keys=(Key(header=b"x-goog-api-key"), _BEARER, Key(parameter=b"key")),
        rules=_GOOGLE,
        errors=ErrorShape.GOOGLE,
        takes_stream_options=True,
        source="https://ai.google.dev/api and https://ai.google.dev/gemini-api/docs/openai",
    ),
    Provider(
        name="openrouter",
        hosts=("openrouter.ai",),
        base_url="https://openrouter.ai/api/v1",
        compatible_path="/api/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=(b"x-generation-id",),
        rate_limits=_X_RATE_LIMIT,
        source="https://openrouter.ai/docs/api-reference/overview and .../limits",
    ),
    Provider(
        name="mistral",
        aliases=("mistralai",),
        hosts=("api.mistral.ai", "codestral.mistral.ai"),
        base_url="https://api.mistral.ai/v1",
        keys=(_BEARER,),
        rules=_MISTRAL + _COMPATIBLE,
        request_ids=(b"mistral-correlation-id",),
        rate_limits=(b"x-ratelimit", b"ratelimitbysize-"),
        errors=ErrorShape.FLAT,
        source="https://docs.mistral.ai/api",
    ),
    Provider(
        name="deepseek",
        hosts=("api.deepseek.com",),
        base_url="https://api.deepseek.com/v1",
        keys=(_BEARER, Key(header=b"x-api-key")),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=(b"x-ds-trace-id",),
        takes_stream_options=True,
        source="https://api-docs.deepseek.com and .../guides/anthropic_api",
    ),
    Provider(
        name="xai",
        aliases=("x-ai", "grok"),
        hosts=("api.x.ai", "*.api.x.ai"),
        base_url="https://api.x.ai/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=_X_REQUEST_ID,
        rate_limits=_X_RATE_LIMIT,
        errors=ErrorShape.TEXT,
        source="https://docs.x.ai/docs/api-reference and https://docs.x.ai/docs/key-information/debugging",
    ),
    Provider(
        name="fireworks",
        aliases=("fireworks-ai", "fireworks_ai"),
        hosts=("api.fireworks.ai",),
        base_url="https://api.fireworks.ai/inference/v1",
        compatible_path="/inference/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=_X_REQUEST_ID,
        rate_limits=_X_RATE_LIMIT,
        source="https://docs.fireworks.ai/guides/quotas_usage/rate-limits",
    ),
    Provider(
        name="cerebras",
        hosts=("api.cerebras.ai",),
        base_url="https://api.cerebras.ai/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        request_ids=_X_REQUEST_ID,
        rate_limits=_X_RATE_LIMIT,
        errors=ErrorShape.FLAT,
        source="https://inference-docs.cerebras.ai/support/rate-limits",
    ),
    Provider(
        name="perplexity",
        hosts=("api.perplexity.ai",),
        base_url="https://api.perplexity.ai",
        compatible_path="",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        source="https://docs.perplexity.ai/api-reference",
    ),
    Provider(
        name="moonshot",
        aliases=("moonshotai", "kimi"),
        hosts=("api.moonshot.ai", "api.moonshot.cn"),
        base_url="https://api.moonshot.ai/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=(b"msh-request-id",),
        takes_stream_options=True,
        source="https://platform.moonshot.ai/docs/api/chat",
    ),
    Provider(
        name="nvidia",
        aliases=("nim",),
        hosts=("integrate.api.nvidia.com",),
        base_url="https://integrate.api.nvidia.com/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE,
        request_ids=(b"nvcf-reqid",),
        errors=ErrorShape.FLAT,
        takes_stream_options=True,
        source="https://docs.api.nvidia.com/nim/reference/llm-apis",
    ),
    Provider(
        name="vllm",
        base_url=None,
        keys=(_BEARER,),
        rules=_COMPATIBLE + _MESSAGES,
        request_ids=_X_REQUEST_ID,
        takes_stream_options=True,
        source="https://docs.vllm.ai/en/latest/serving/openai_compatible_server",
    ),
    Provider(
        name="ollama",
        hosts=("ollama.com",),
        base_url="http://localhost:11434/v1",
        keys=(_BEARER,),
        rules=_COMPATIBLE + _MESSAGES,
        errors=ErrorShape.TEXT,
        takes_stream_options=True,
        source="https://docs.ollama.com/api/openai-compatibility",
    ),
)

_BY_NAME = {name: row for row in PROVIDERS for name in (row.name, *row.aliases)}
_HOSTS = tuple(
    (re.compile(re.escape(host).replace(r"\*", "[a-z0-9.-]+")), row) for row in PROVIDERS for host in row.hosts
)


#: All names and aliases.
PROVIDER_NAMES = frozenset(_BY_NAME)
#: Where nothing is known of whoever answers.
ANYBODY = Provider(name="", base_url=None, keys=(), rules=_MESSAGES + _COMPATIBLE, source="")


def provider_named(name: str) -> Provider | None:
    """The provider that is called so, or by one of its other names; in any case."""
    return _BY_NAME.get(name.lower())


@lru_cache(maxsize=1024)
def provider_of_host(host: str) -> Provider | None:
    """The provider whose host this is, with or without a port; None for any other one."""
    name = host.lower().rstrip(".").partition(":")[0].rstrip(".")
    return next((row for pattern, row in _HOSTS if pattern.fullmatch(name)), None)


def endpoint_at(provider: Provider, method: bytes, path: bytes) -> Endpoint:
    """The API of a provider that stands behind a path on its host (without the query); OTHER for all that is not known.

    The path is matched as it is on the wire, percent-encoding and all.
    """
    return _remembered(provider, method, path) if len(path) <= _REMEMBERED_BYTES else _matched(provider, method, path)


def _matched(provider: Provider, method: bytes, path: bytes) -> Endpoint:
    for rule in provider.rules:
        if rule.method in (None, method) and rule.path.fullmatch(path):
            return rule.endpoint
    return Endpoint.OTHER


_remembered = lru_cache(maxsize=1024)(_matched)
