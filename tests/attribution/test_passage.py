import pytest

from llm_proxy.attribution.passage import (
    RECORDED_REQUEST_HEADERS,
    RECORDED_REQUEST_PATTERN,
    RECORDED_REQUEST_PREFIXES,
    RECORDED_RESPONSE_HEADERS,
    RECORDED_RESPONSE_PREFIXES,
    STRIPPED_PREFIXES,
    STRIPPED_REQUEST_HEADERS,
)
from llm_proxy.attribution.vocabulary import HEADERS, Level, Tells
from llm_proxy.proxy.providers import PROVIDERS

CREDENTIALS = b"""
    authorization proxy-authorization x-llm-api-key x-api-key api-key apikey x-apikey x-goog-api-key
    ocp-apim-subscription-key
    cookie set-cookie x-csrf-token x-xsrf-token x-auth-token x-access-token x-api-token x-amz-security-token
    x-goog-iam-authorization-token x-vault-token x-log10-token x-log10-organization-token x-functions-key
    x-forwarded-access-token x-amz-signature cf-access-client-secret cf-access-jwt-assertion x-goog-iap-jwt-assertion
    helicone-auth helicone-jwt helicone-manual-access-key helicone-posthog-key helicone-lytix-key helicone-fallbacks
    helicone-webhook-enabled helicone-webhook-secret helicone-target-url helicone-openai-api-base
    x-portkey-api-key x-portkey-virtual-key x-portkey-config x-portkey-aws-secret-access-key
    x-portkey-aws-access-key-id x-portkey-aws-session-token x-portkey-vertex-service-account-json
    x-portkey-azure-ad-token x-portkey-azure-entra-client-secret x-portkey-custom-host x-portkey-forward-headers
    x-litellm-api-key x-pass-authorization x-mcp-auth x-bf-vk x-bf-api-key x-bf-api-key-id x-bf-direct-key
    x-bf-eh-authorization x-bf-mcp-session-id x-maxim-api-key cf-aig-authorization x-bt-parent
    langfuse_secret_key langfuse_public_key tensorzero-otlp-traces-extra-header-authorization
    x-traceloop-api-key x-proxy-session-id
    x-auth-session-id x-my-login-session-id sec-websocket-protocol www-authenticate proxy-authenticate
""".split()
GATEWAY_HEADERS = b"""
    helicone-auth x-portkey-api-key x-portkey-metadata x-litellm-api-key x-litellm-tags
    litellm-enable-message-redaction cf-aig-authorization cf-aig-metadata cf-skip-cache x-bf-vk x-bf-dim-team
    x-maxim-api-key x-maxim-trace-id x-log10-token x-log10-organization-id x-bt-use-cache langfuse_session_id
    tensorzero-otlp-traces-extra-header-authorization x-traceloop-pipeline
""".split()
FORWARDED_HEADERS = b"""
    traceparent tracestate baggage x-claude-code-session-id x-session-affinity x-session-id session-id session_id
    thread-id conversation_id x-parent-session-id x-stainless-lang openai-organization x-title
    x-amzn-bedrock-request-metadata authorization idempotency-key user-agent content-type
""".split()
STANDARD_RECORDED = b"""
    content-type content-encoding content-length accept accept-encoding user-agent openai-organization
    openai-project openai-beta x-stainless-retry-count idempotency-key host traceparent tracestate baggage
    x-llm-tags x-llm-meta-team helicone-property-app
""".split()


def is_recorded_request(name: bytes) -> bool:
    by_pattern = RECORDED_REQUEST_PATTERN.fullmatch(name) is not None
    return name in RECORDED_REQUEST_HEADERS or name.startswith(RECORDED_REQUEST_PREFIXES) or by_pattern


def is_recorded_response(name: bytes) -> bool:
    return name in RECORDED_RESPONSE_HEADERS or name.startswith(RECORDED_RESPONSE_PREFIXES)


def is_stripped(name: bytes) -> bool:
    return name in STRIPPED_REQUEST_HEADERS or name.startswith(STRIPPED_PREFIXES)


def lower_name(header) -> bytes:
    return header.name.lower().encode()


@pytest.mark.parametrize("name", CREDENTIALS)
def test_no_header_that_carries_a_credential_is_recorded(name):
    assert not is_recorded_request(name)
    assert not is_recorded_response(name)


@pytest.mark.parametrize(
    "name",
    sorted(
        {*RECORDED_REQUEST_HEADERS, *RECORDED_REQUEST_PREFIXES, *RECORDED_RESPONSE_HEADERS, *RECORDED_RESPONSE_PREFIXES}
    ),
)
def test_no_recorded_name_has_a_word_for_a_credential_in_it(name):
    words = name.replace(b"_", b"-").strip(b"-").split(b"-")

    named_after_a_credential = {b"auth", b"authorization", b"token", b"secret", b"password", b"cookie", b"jwt", b"vk"}
    assert not named_after_a_credential & {*words}
    assert b"key" not in words or name == b"idempotency-key"


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: f"{header.name}-{header.key}")
def test_whatever_is_read_is_recorded_but_what_may_hold_a_password(header):
    recorded = is_recorded_request(lower_name(header) + (b"x" if header.is_prefix else b""))

    may_hold_a_key = header.tells is Tells.TARGET or header.name in ("x-portkey-config", "x-portkey-virtual-key")
    assert recorded == (not may_hold_a_key)


@pytest.mark.parametrize("name", STANDARD_RECORDED)
def test_what_a_reader_needs_is_recorded(name):
    assert is_recorded_request(name)


@pytest.mark.parametrize(
    "name",
    b"""content-type content-encoding content-length date server retry-after x-request-id request-id openai-version
    x-ratelimit-limit-requests anthropic-ratelimit-tokens-reset x-envoy-upstream-service-time cf-ray via""".split(),
)
def test_what_a_reader_needs_of_an_answer_is_recorded(name):
    assert is_recorded_response(name)


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_what_a_provider_tells_of_limits_and_its_id_of_a_call_is_recorded(row):
    assert all(is_recorded_response(prefix + b"x") for prefix in row.rate_limits)
    assert all(map(is_recorded_response, row.request_ids))


@pytest.mark.parametrize("name", GATEWAY_HEADERS)
def test_gateway_headers_do_not_go_upstream(name):
    assert is_stripped(name)


@pytest.mark.parametrize("name", FORWARDED_HEADERS)
def test_headers_that_the_upstream_may_use_go_upstream(name):
    assert not is_stripped(name)


@pytest.mark.parametrize("header", [header for header in HEADERS if header.level is Level.OWN], ids=lambda h: h.name)
def test_our_own_headers_do_not_go_upstream(header):
    assert is_stripped(lower_name(header))


def test_every_name_for_the_proxy_is_lower_case():
    names = [*STRIPPED_REQUEST_HEADERS, *STRIPPED_PREFIXES, *RECORDED_REQUEST_HEADERS, *RECORDED_RESPONSE_HEADERS]

    assert [name for name in names if name != name.lower()] == []
