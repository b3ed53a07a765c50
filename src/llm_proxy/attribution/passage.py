"""Which headers end here, and which are recorded with their value; all others by their name alone.

Invariants: whatever is read is recorded, since it is read from the record; no header that is made to carry a credential
is recorded; a header that does not bear a gateway's name goes upstream, since it may be meant for the upstream.
Imported by the proxy process: nothing but plain values here, and nothing heavy.
"""

import re

from llm_proxy.attribution.vocabulary import HEADERS, SESSION_PATTERN, Tells

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

#: Where clients send the key of a gateway and, beside it, that of the provider. All of them end here.
GATEWAY_KEYS: frozenset[bytes] = frozenset(
    {
        b"x-llm-key",
        b"helicone-auth",
        b"x-portkey-api-key",
        b"x-litellm-api-key",
        b"cf-aig-authorization",
        b"x-bf-vk",
        b"x-bf-api-key",
        b"x-log10-token",
        b"x-maxim-api-key",
        b"x-bt-api-key",
    }
)

#: What is recorded of a request besides what is read: what the body is, who sent it, which version of an API it wants.
_PLAIN_REQUEST_HEADERS = b"""
    accept accept-encoding accept-language connection content-encoding content-length content-type expect host
    idempotency-key range transfer-encoding upgrade
    anthropic-beta anthropic-version openai-beta openai-organization openai-project
    tracestate
"""
#: What is obeyed and may be, or hold, a secret.
_WITH_KEYS = frozenset({"x-portkey-config", "x-portkey-virtual-key"})
RECORDED_REQUEST_HEADERS: frozenset[bytes] = frozenset(
    [
        *_PLAIN_REQUEST_HEADERS.split(),
        # An address that somebody sends can hold a password, and so can what gateways keep with a key.
        *(
            header.name.lower().encode()
            for header in HEADERS
            if not header.is_prefix and header.tells is not Tells.TARGET and header.name not in _WITH_KEYS
        ),
    ]
)
RECORDED_REQUEST_PREFIXES: tuple[bytes, ...] = (
    b"x-stainless-",
    *(header.name.lower().encode() for header in HEADERS if header.is_prefix),
)

RECORDED_REQUEST_PATTERN = re.compile(SESSION_PATTERN.pattern.encode())

#: What is recorded of an answer: HTTP's own, the providers', those of gateways behind us. Not location and
#: x-litellm-model-api-base: URLs that are known to hold keys.
RECORDED_RESPONSE_HEADERS: frozenset[bytes] = frozenset(
    b"""
    accept-ranges age allow alt-svc cache-control connection content-disposition content-encoding content-language
    content-length content-range content-type date etag keep-alive last-modified retry-after server server-timing
    transfer-encoding vary via
    anthropic-organization-id apim-request-id azureml-model-session cf-cache-status cf-ray request-id retry-after-ms
    mistral-correlation-id msh-request-id nvcf-reqid x-ds-trace-id
    x-amzn-errortype
    x-amzn-requestid x-cache x-envoy-upstream-service-time x-generation-id x-groq-region x-ms-client-request-id
    x-ms-deployment-name x-ms-region x-request-id x-should-retry
    cf-aig-cache-status cf-aig-event-id cf-aig-log-id cf-aig-request-id cf-aig-step
    helicone-cache helicone-fallback-index helicone-id
    x-bt-cached x-bt-span-id x-bt-used-endpoint x-genai-provider-name x-llm-left-out
    x-llm-proxy-id sec-websocket-extensions
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
    b"anthropic-priority-",
    b"anthropic-ratelimit-",
    b"fireworks-",
    b"openai-",
    b"ratelimit",  # Hugging Face, and by size Mistral
    b"x-amzn-bedrock-",
    b"x-bifrost-",
    b"x-ratelimit",
    b"x-tokenlimit-",  # Together
)
