"""The header names of the field: what each one tells, which end here, and which are recorded with their value.

One table. What is read in context.py, what docs/headers.md says, and what the proxy strips and records follow from it.

Invariants: whatever is read is recorded, since it is read from the record; no header that is made to carry a credential
is recorded; a header that does not bear a gateway's name goes upstream, since it may be meant for the upstream.
Imported by the proxy process: nothing but plain values here, and nothing heavy.
"""

from enum import IntEnum, StrEnum
from typing import NamedTuple


class Tells(StrEnum):
    """What a header is about."""

    TAGS = "tags"
    SESSION_ID = "session id"
    SESSION_NAME = "session name"
    USER_ID = "user id"
    TRACE_ID = "trace id"
    METADATA = "metadata"
    #: How much of the call is recorded; obeyed by the proxy.
    LOG = "what is recorded"
    #: Which upstream is called; obeyed by the proxy.
    UPSTREAM = "upstream"


class Level(IntEnum):
    """Where something was said; the lower number counts more. The path and the body have no headers."""

    OWN = 1
    PATH = 2
    GATEWAY = 3
    W3C = 4
    HARNESS = 5
    BODY = 6


class Form(StrEnum):
    """How a value is written."""

    TEXT = "text"
    LIST = "comma list"
    #: An array of strings, or an object, of which each member is a tag ``key:value``; else a comma list.
    JSON_LIST = "JSON array or object, or comma list"
    JSON_OBJECT = "JSON object"
    #: One member of a JSON object.
    JSON_MEMBER = "member of a JSON object"
    TRACEPARENT = "W3C Trace Context"
    #: One member of W3C Baggage.
    BAGGAGE = "member of W3C Baggage"


class Header(NamedTuple):
    """One row of the table."""

    level: Level
    product: str
    #: As its product spells it; case does not matter. If it ends in a dash it is a prefix, and the rest a metadata key.
    name: str
    tells: Tells
    form: Form = Form.TEXT
    #: The member that is read, or the metadata key that the value is kept under.
    key: str | None = None

    @property
    def is_prefix(self) -> bool:
        """Whether the name stands for all that begin with it."""
        return self.name.endswith("-")


def _rows(level: Level, product: str, *rows: tuple[str, Tells, Form, str | None]) -> tuple[Header, ...]:
    return tuple(Header(level, product, *row) for row in rows)


def _text(name: str, tells: Tells) -> tuple[str, Tells, Form, str | None]:
    return name, tells, Form.TEXT, None


def _meta(name: str, key: str | None = None) -> tuple[str, Tells, Form, str | None]:
    return name, Tells.METADATA, Form.TEXT, key


def _as(name: str, tells: Tells, form: Form, key: str | None = None) -> tuple[str, Tells, Form, str | None]:
    return name, tells, form, key


#: In order of precedence: what a row says counts before what a later one says. Names are from the documentation and the
#: code of the products in 2026; the order of the first harnesses is that of Bifrost's ``HarnessSessionHeaders``.
HEADERS: tuple[Header, ...] = (
    *_rows(
        Level.OWN,
        "llm-proxy",
        _as("X-LLM-Tags", Tells.TAGS, Form.LIST),
        _text("X-LLM-Session-Id", Tells.SESSION_ID),
        _text("X-LLM-Session-Name", Tells.SESSION_NAME),
        _text("X-LLM-User-Id", Tells.USER_ID),
        _text("X-LLM-Trace-Id", Tells.TRACE_ID),
        _meta("X-LLM-Meta-"),
        _as("X-LLM-Metadata", Tells.METADATA, Form.JSON_OBJECT),
        _text("X-LLM-Log", Tells.LOG),
        _text("X-LLM-Provider", Tells.UPSTREAM),
    ),
    *_rows(
        Level.GATEWAY,
        "Helicone",
        _text("Helicone-Session-Id", Tells.SESSION_ID),
        _text("Helicone-Session-Name", Tells.SESSION_NAME),
        _text("Helicone-User-Id", Tells.USER_ID),
        _meta("Helicone-Property-"),
        _meta("Helicone-Session-Path", "session_path"),
        _meta("Helicone-Prompt-Id", "prompt_id"),
    ),
    *_rows(
        Level.GATEWAY,
        "Portkey",
        _text("x-portkey-trace-id", Tells.TRACE_ID),
        _as("x-portkey-metadata", Tells.USER_ID, Form.JSON_MEMBER, "_user"),
        _as("x-portkey-metadata", Tells.METADATA, Form.JSON_OBJECT),
        _meta("x-portkey-span-name", "span_name"),
    ),
    *_rows(
        Level.GATEWAY,
        "LiteLLM",
        _as("x-litellm-tags", Tells.TAGS, Form.LIST),
        _text("x-litellm-session-id", Tells.SESSION_ID),
        _text("x-litellm-trace-id", Tells.TRACE_ID),
        _text("x-litellm-end-user-id", Tells.USER_ID),
        _text("x-litellm-customer-id", Tells.USER_ID),
        _text("x-litellm-user-id", Tells.USER_ID),
        _as("x-litellm-spend-logs-metadata", Tells.METADATA, Form.JSON_OBJECT),
        _meta("x-litellm-team-id", "team_id"),
        _meta("x-litellm-agent-id", "agent_id"),
    ),
    *_rows(
        Level.GATEWAY,
        "Bifrost",
        _text("x-bf-session-id", Tells.SESSION_ID),
        _text("x-bf-maxim-session-id", Tells.SESSION_ID),
        _text("x-bf-maxim-trace-id", Tells.TRACE_ID),
        _meta("x-bf-dim-"),
        _meta("x-bf-lh-"),
        _meta("x-bf-prom-"),
        _meta("x-bf-maxim-"),
    ),
    *_rows(
        Level.GATEWAY,
        "Cloudflare AI Gateway",
        _as("cf-aig-metadata", Tells.METADATA, Form.JSON_OBJECT),
    ),
    *_rows(
        Level.GATEWAY,
        "Maxim",
        _as("x-maxim-trace-tags", Tells.TAGS, Form.JSON_LIST),
        _as("x-maxim-generation-tags", Tells.TAGS, Form.JSON_LIST),
        _text("x-maxim-session-id", Tells.SESSION_ID),
        _text("x-maxim-trace-id", Tells.TRACE_ID),
        _meta("x-maxim-generation-name", "generation_name"),
    ),
    *_rows(
        Level.GATEWAY,
        "Langfuse",
        _as("langfuse_tags", Tells.TAGS, Form.JSON_LIST),
        _text("langfuse_session_id", Tells.SESSION_ID),
        _text("langfuse_trace_user_id", Tells.USER_ID),
        _text("langfuse_trace_id", Tells.TRACE_ID),
        _meta("langfuse_trace_name", "trace_name"),
        _meta("langfuse_generation_name", "generation_name"),
    ),
    *_rows(
        Level.GATEWAY,
        "Log10",
        _meta("x-log10-completion-id", "log10_completion_id"),
    ),
    *_rows(
        Level.GATEWAY,
        "Braintrust",
        _meta("x-bt-org-name", "org_name"),
        _meta("x-bt-project-id", "project_id"),
    ),
    *_rows(
        Level.GATEWAY,
        "TensorZero",
        _meta("tensorzero-otlp-traces-extra-attribute-"),
    ),
    *_rows(
        Level.GATEWAY,
        "Amazon Bedrock",
        _as("x-amzn-bedrock-request-metadata", Tells.METADATA, Form.JSON_OBJECT),
    ),
    *_rows(
        Level.W3C,
        "W3C Trace Context",
        _as("traceparent", Tells.TRACE_ID, Form.TRACEPARENT),
    ),
    *_rows(
        Level.W3C,
        "W3C Baggage",
        _as("baggage", Tells.SESSION_ID, Form.BAGGAGE, "session.id"),
        _as("baggage", Tells.SESSION_ID, Form.BAGGAGE, "session-id"),
        _as("baggage", Tells.SESSION_ID, Form.BAGGAGE, "langfuse_session_id"),
        _as("baggage", Tells.USER_ID, Form.BAGGAGE, "user.id"),
        _as("baggage", Tells.USER_ID, Form.BAGGAGE, "enduser.id"),
        _as("baggage", Tells.USER_ID, Form.BAGGAGE, "langfuse_user_id"),
    ),
    *_rows(
        Level.HARNESS,
        "Claude Code",
        _text("x-claude-code-session-id", Tells.SESSION_ID),
        _meta("x-claude-code-agent-id", "agent_id"),
    ),
    *_rows(
        Level.HARNESS,
        "OpenCode",
        _text("x-session-affinity", Tells.SESSION_ID),
        _text("x-session-id", Tells.SESSION_ID),
        _text("x-opencode-session", Tells.SESSION_ID),
        # Never the session: sub-agents would fall together with the one that called them.
        _meta("x-parent-session-id", "parent_session_id"),
    ),
    *_rows(
        Level.HARNESS,
        "Codex",
        _text("session-id", Tells.SESSION_ID),
        _text("session_id", Tells.SESSION_ID),
        _text("thread-id", Tells.SESSION_ID),
        _text("conversation_id", Tells.SESSION_ID),
    ),
    *_rows(Level.HARNESS, "Envoy AI Gateway", _text("agent-session-id", Tells.SESSION_ID)),
    *_rows(Level.HARNESS, "Amp", _text("x-amp-thread-id", Tells.SESSION_ID)),
    *_rows(Level.HARNESS, "Grok", _text("x-grok-conv-id", Tells.SESSION_ID)),
    *_rows(Level.HARNESS, "DeepSeek", _text("x-deepseek-harness-session-id", Tells.SESSION_ID)),
    *_rows(Level.HARNESS, "Hermes", _text("X-Hermes-Session-Id", Tells.SESSION_ID)),
    *_rows(Level.HARNESS, "GProxy", _text("x-gproxy-session-id", Tells.SESSION_ID)),
    *_rows(
        Level.HARNESS,
        "Open WebUI",
        _text("X-OpenWebUI-Chat-Id", Tells.SESSION_ID),
        _text("X-OpenWebUI-User-Id", Tells.USER_ID),
    ),
    *_rows(Level.HARNESS, "others", _text("x-conversation-id", Tells.SESSION_ID)),
    *_rows(
        Level.HARNESS,
        "OpenRouter",
        _meta("X-OpenRouter-Title", "app"),
        _meta("X-Title", "app"),
    ),
)

#: What can stand in the path behind ``/~``; ``meta.<key>`` besides.
PATH_KEYS = {
    "tags": Tells.TAGS,
    "session": Tells.SESSION_ID,
    "name": Tells.SESSION_NAME,
    "user": Tells.USER_ID,
    "trace": Tells.TRACE_ID,
    "log": Tells.LOG,
    "provider": Tells.UPSTREAM,
}
PATH_META_PREFIX = "meta."
#: Members of a JSON request body that are read, in order of precedence; ``metadata`` besides.
BODY_MEMBERS = {
    "user": Tells.USER_ID,
    "safety_identifier": Tells.USER_ID,
    "session_id": Tells.SESSION_ID,
}
#: What ``X-LLM-Log`` and ``log=`` can say.
LOG_WORDS = ("full", "metadata", "off")
OWN_PREFIX = "x-llm-"

#: Headers of gateways: meant for what stands in our place, many of them with a key of it, and for nobody behind.
STRIPPED_PREFIXES: tuple[bytes, ...] = (
    b"x-llm-",
    b"helicone-",
    b"x-portkey-",
    b"x-litellm-",
    b"litellm-",
    b"x-pass-",  # LiteLLM
    b"x-bf-",  # Bifrost
    b"x-bifrost-",
    b"cf-aig-",  # Cloudflare
    b"x-maxim-",
    b"langfuse_",
    b"x-log10-",
    b"x-bt-",  # Braintrust
    b"tensorzero-",
    b"x-traceloop-",
    b"x-ai-eg-",  # Envoy AI Gateway
)
STRIPPED_REQUEST_HEADERS: frozenset[bytes] = frozenset(
    {
        b"cf-cache-ttl",  # Cloudflare, the old names
        b"cf-skip-cache",
        b"x-gateway-destination-endpoint",  # Envoy AI Gateway
    }
)

#: What is recorded of a request besides what is read: what the body is, who sent it, which version of an API it wants.
_PLAIN_REQUEST_HEADERS = b"""
    accept accept-encoding accept-language connection content-encoding content-length content-type expect host
    idempotency-key range transfer-encoding upgrade user-agent
    anthropic-beta anthropic-version openai-beta openai-organization openai-project
    x-client-request-id x-request-id tracestate
    cf-aig-event-id helicone-request-id x-litellm-call-id x-portkey-parent-span-id x-portkey-span-id
    http-referer x-openrouter-categories x-opencode-client x-opencode-project x-opencode-request
"""
RECORDED_REQUEST_HEADERS: frozenset[bytes] = frozenset(
    [*_PLAIN_REQUEST_HEADERS.split(), *(header.name.lower().encode() for header in HEADERS if not header.is_prefix)]
)
RECORDED_REQUEST_PREFIXES: tuple[bytes, ...] = (
    b"x-stainless-",
    *(header.name.lower().encode() for header in HEADERS if header.is_prefix),
)

#: What is recorded of an answer: HTTP's own, the providers', those of gateways behind us. Not location and
#: x-litellm-model-api-base: URLs that are known to hold keys.
RECORDED_RESPONSE_HEADERS: frozenset[bytes] = frozenset(
    b"""
    accept-ranges age allow alt-svc cache-control connection content-disposition content-encoding content-language
    content-length content-range content-type date etag keep-alive last-modified retry-after server server-timing
    transfer-encoding vary via
    anthropic-organization-id apim-request-id azureml-model-session cf-cache-status cf-ray request-id retry-after-ms
    x-amzn-requestid x-cache x-envoy-upstream-service-time x-generation-id x-groq-region x-ms-client-request-id
    x-ms-deployment-name x-ms-region x-request-id x-should-retry
    cf-aig-cache-status cf-aig-event-id cf-aig-log-id cf-aig-request-id cf-aig-step
    helicone-cache helicone-fallback-index helicone-id
    x-bt-cached x-bt-span-id x-bt-used-endpoint x-genai-provider-name x-llm-proxy-id
    x-kong-llm-model x-kong-proxy-latency x-kong-request-id x-kong-response-latency x-kong-upstream-latency
    x-kong-upstream-status
    x-litellm-attempted-fallbacks x-litellm-attempted-retries x-litellm-call-id x-litellm-model-group
    x-litellm-model-id x-litellm-overhead-duration-ms x-litellm-response-cost x-litellm-response-duration-ms
    x-litellm-version
    x-portkey-cache-status x-portkey-last-used-option-index x-portkey-provider x-portkey-retry-attempt-count
    x-portkey-trace-id
    """.split()
)
RECORDED_RESPONSE_PREFIXES: tuple[bytes, ...] = (
    b"anthropic-ratelimit-",
    b"fireworks-",
    b"openai-",
    b"x-amzn-bedrock-",
    b"x-bifrost-",
    b"x-ratelimit-",
)
