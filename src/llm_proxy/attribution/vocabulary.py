"""The header names of the field, and what each one tells.

One table. What is read in context.py, what docs/headers.md says, what the proxy obeys (proxy/wishes.py), strips and
records (passage.py) follow from it. Imported by the proxy process: nothing but plain values here, and nothing heavy.
"""

import re
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
    OMIT_CALL = "no record"
    OMIT_BODIES = "no bodies"
    OMIT_REQUEST = "no request body"
    OMIT_RESPONSE = "no response body"
    #: What the call costs, whatever others say; read when it is priced.
    COST = "cost"
    #: Which upstream is called; obeyed by the proxy.
    UPSTREAM = "upstream"
    #: The address to be called instead, where the configuration allows it; obeyed by the proxy.
    TARGET = "address that is called, if it is allowed"
    #: Whether the answer tells where its time went; obeyed by the proxy.
    SERVER_TIMING = "`Server-Timing` in the answer"


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
    #: The span that made the call.
    PARENT_SPAN = "span of W3C Trace Context"
    #: One member of W3C Baggage.
    BAGGAGE = "member of W3C Baggage"
    #: ``true``, ``1``, ``yes`` or ``on``; anything else says nothing.
    IF_TRUE = "if true"
    #: ``false``, ``0``, ``no`` or ``off``; anything else says nothing.
    IF_FALSE = "if false"
    #: ``name/version (...) ...``: the name, unless it is that of a client library or a browser.
    AGENT = "first product"


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
        _as("X-LLM-Server-Timing", Tells.SERVER_TIMING, Form.IF_TRUE),
    ),
    *_rows(
        Level.GATEWAY,
        "Helicone",
        _text("Helicone-Session-Id", Tells.SESSION_ID),
        _text("Helicone-Session-Name", Tells.SESSION_NAME),
        _text("Helicone-User-Id", Tells.USER_ID),
        _meta("Helicone-Property-"),
        _meta("Helicone-Session-Path", "session_path"),
        _meta("Helicone-Request-Id", "request_id"),
        _meta("Helicone-Org-Id", "org_id"),
        _meta("Helicone-Prompt-Id", "prompt_id"),
        _meta("Helicone-Prompt-Name", "prompt_name"),
        _meta("Helicone-Prompt-Version", "prompt_version"),
        _meta("Helicone-Prompt-Mode", "prompt_mode"),
        _meta("Helicone-Prompt-Format", "prompt_format"),
        _meta("Helicone-Node-Id", "node_id"),
        _meta("Helicone-Experiment-Id", "experiment_id"),
        _meta("Helicone-Experiment-Column-Id", "experiment_column_id"),
        _meta("Helicone-Experiment-Row-Index", "experiment_row_index"),
        _as("Helicone-Omit-Request", Tells.OMIT_REQUEST, Form.IF_TRUE),
        _as("Helicone-Omit-Response", Tells.OMIT_RESPONSE, Form.IF_TRUE),
        _text("Helicone-Target-URL", Tells.TARGET),
        _text("Helicone-OpenAI-Api-Base", Tells.TARGET),
        # A name for where that leads: https://docs.helicone.ai/getting-started/integration-method/gateway. It chooses
        # nothing; Helicone tells the provider by the address alone (its worker/src/routers/gatewayRouter.ts).
        _meta("Helicone-Target-Provider", "target_provider"),
        _text("helicone-forced-routing", Tells.UPSTREAM),
    ),
    *_rows(
        Level.GATEWAY,
        "Portkey",
        _text("x-portkey-trace-id", Tells.TRACE_ID),
        _as("x-portkey-metadata", Tells.USER_ID, Form.JSON_MEMBER, "_user"),
        _as("x-portkey-metadata", Tells.METADATA, Form.JSON_OBJECT),
        _meta("x-portkey-span-name", "span_name"),
        _meta("x-portkey-span-id", "span_id"),
        _meta("x-portkey-parent-span-id", "parent_span_id"),
        _as("x-portkey-debug", Tells.OMIT_BODIES, Form.IF_FALSE),
        _text("x-portkey-provider", Tells.UPSTREAM),
        _text("x-portkey-virtual-key", Tells.UPSTREAM),
        # The name of a configuration, which is kept elsewhere, says nothing here.
        _as("x-portkey-config", Tells.UPSTREAM, Form.JSON_MEMBER, "provider"),
        _text("x-portkey-custom-host", Tells.TARGET),
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
        _meta("x-litellm-call-id", "request_id"),
        _as("x-litellm-enable-message-redaction", Tells.OMIT_BODIES, Form.IF_TRUE),
        _as("litellm-enable-message-redaction", Tells.OMIT_BODIES, Form.IF_TRUE),
        # Read where it is a pass-through; without a gateway's name, so it goes on.
        _as("tags", Tells.TAGS, Form.LIST),
    ),
    *_rows(
        Level.GATEWAY,
        "Bifrost",
        _text("x-bf-session-id", Tells.SESSION_ID),
        _text("x-bf-maxim-session-id", Tells.SESSION_ID),
        _text("x-bf-maxim-trace-id", Tells.TRACE_ID),
        _meta("x-bf-maxim-generation-id", "generation_id"),
        _as("x-bf-disable-content-logging", Tells.OMIT_BODIES, Form.IF_TRUE),
        _meta("x-bf-dim-"),
        _meta("x-bf-lh-"),
        _meta("x-bf-prom-"),
        _meta("x-bf-maxim-"),
    ),
    *_rows(
        Level.GATEWAY,
        "Cloudflare AI Gateway",
        _as("cf-aig-metadata", Tells.METADATA, Form.JSON_OBJECT),
        _meta("cf-aig-event-id", "request_id"),
        _as("cf-aig-collect-log", Tells.OMIT_CALL, Form.IF_FALSE),
        _as("cf-aig-collect-log-payload", Tells.OMIT_BODIES, Form.IF_FALSE),
        _as("cf-aig-custom-cost", Tells.COST, Form.JSON_OBJECT),
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
        _text("langfuse_existing_trace_id", Tells.TRACE_ID),
        _as("langfuse_trace_metadata", Tells.METADATA, Form.JSON_OBJECT),
        _meta("langfuse_trace_name", "trace_name"),
        _meta("langfuse_trace_version", "trace_version"),
        _meta("langfuse_trace_release", "trace_release"),
        _meta("langfuse_generation_name", "generation_name"),
        _meta("langfuse_generation_id", "generation_id"),
        _meta("langfuse_parent_observation_id", "parent_span_id"),
        _as("langfuse_mask_input", Tells.OMIT_REQUEST, Form.IF_TRUE),
        _as("langfuse_mask_output", Tells.OMIT_RESPONSE, Form.IF_TRUE),
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
        _as("x-amzn-bedrock-request-metadata", Tells.SESSION_ID, Form.JSON_MEMBER, "sessionId"),
        _as("x-amzn-bedrock-request-metadata", Tells.SESSION_ID, Form.JSON_MEMBER, "threadId"),
        _as("x-amzn-bedrock-request-metadata", Tells.SESSION_ID, Form.JSON_MEMBER, "conversationId"),
        _as("x-amzn-bedrock-request-metadata", Tells.METADATA, Form.JSON_OBJECT),
    ),
    *_rows(
        Level.W3C,
        "W3C Trace Context",
        _as("traceparent", Tells.TRACE_ID, Form.TRACEPARENT),
        _as("traceparent", Tells.METADATA, Form.PARENT_SPAN, "parent_span_id"),
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
        _meta("x-opencode-request", "request_id"),
        _meta("x-opencode-project", "project_id"),
        _meta("x-opencode-client", "app"),
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
    *_rows(
        Level.HARNESS,
        "OpenRouter",
        _meta("X-OpenRouter-Title", "app"),
        _meta("X-Title", "app"),
        _meta("HTTP-Referer", "app_url"),
        _meta("X-OpenRouter-Categories", "app_categories"),
    ),
    *_rows(
        Level.HARNESS,
        "others",
        _text("x-conversation-id", Tells.SESSION_ID),
        _meta("x-request-id", "request_id"),
        _meta("x-client-request-id", "request_id"),
        _as("User-Agent", Tells.METADATA, Form.AGENT, "app"),
    ),
)

#: Any other product's session id, as LiteLLM reads it; not a parent's, and not what lets somebody in.
SESSION_PATTERN = re.compile(
    r"x-(?!(?:.*-)?(?:parent|mcp|auth|login|oauth|sso|user|admin|web|http|php|proxy|secure)-)[a-z0-9-]+-session-id"
)
SESSION_VALUE = re.compile(r"[A-Za-z0-9_-]{8,}")

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
#: Members of a JSON request body that are read, in order of precedence; what ``body.py`` looks into stands beside.
BODY_MEMBERS = {
    "user": Tells.USER_ID,
    "safety_identifier": Tells.USER_ID,
    "session_id": Tells.SESSION_ID,
    "litellm_session_id": Tells.SESSION_ID,
    "tensorzero::episode_id": Tells.SESSION_ID,
    "litellm_trace_id": Tells.TRACE_ID,
}
#: Members that hold an object of metadata: of OpenAI and Anthropic, LiteLLM, Google and Amazon.
BODY_METADATA = ("metadata", "litellm_metadata", "labels", "requestMetadata")
#: What ``X-LLM-Log`` and ``log=`` can say.
LOG_WORDS = ("full", "metadata", "off")
OWN_PREFIX = "x-llm-"
#: Of the headers with that beginning, the one that tells nothing but who sends it; it is never recorded.
OWN_KEY = "x-llm-key"
