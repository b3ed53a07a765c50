import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.credentials import CREDENTIAL_HEADERS, blank_secrets
from llm_proxy.proxy.providers import PROVIDERS, endpoint_at, provider_named, provider_of_host
from llm_proxy.proxy.upstreams import credential_of

MAXIM = {"openai", "azure", "bedrock", "anthropic", "huggingface", "together", "groq", "google"}


def test_the_eight_providers_of_maxim_and_others_are_known():
    names = [row.name for row in PROVIDERS]

    assert set(names) > MAXIM
    assert len(set(names)) == len(names)


def test_no_two_providers_share_a_name_or_a_host():
    names = [name for row in PROVIDERS for name in (row.name, *row.aliases)]
    hosts = [host for row in PROVIDERS for host in row.hosts]

    assert len(set(names)) == len(names)
    assert len(set(hosts)) == len(hosts)
    assert all(text == text.lower() for text in names + hosts)


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_a_row_names_its_source_and_its_address_is_one_of_its_hosts(row):
    assert row.source.startswith("https://")
    for url in filter(None, [row.base_url, row.native_url]):
        host = urlsplit(url).hostname
        assert host == "localhost" or provider_of_host(host) is row
        assert not url.endswith("/")


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_every_way_to_carry_a_key_is_one_whose_value_is_never_recorded(row):
    for key in row.keys:
        assert (key.header is None) != (key.parameter is None)
        if key.header is not None:
            assert key.header in CREDENTIAL_HEADERS
        else:
            assert blank_secrets(key.parameter + b"=AIzaSecret") == key.parameter + b"=***"


@pytest.mark.parametrize("row", PROVIDERS, ids=lambda row: row.name)
def test_headers_are_in_lower_case(row):
    names = [*row.request_ids, *row.rate_limits, *(key.header for key in row.keys if key.header)]

    assert all(name == name.lower() for name in names)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("api.openai.com", "openai"),
        ("API.OpenAI.com:443", "openai"),
        ("api.openai.com.", "openai"),
        ("eu.api.openai.com", "openai"),
        ("my-resource.openai.azure.com", "azure"),
        ("my-resource.privatelink.openai.azure.com", "azure"),
        ("my-resource.services.ai.azure.com", "azure"),
        ("bedrock-runtime.eu-central-1.amazonaws.com", "bedrock"),
        ("bedrock-runtime-fips.us-gov-west-1.amazonaws.com", "bedrock"),
        ("api.anthropic.com", "anthropic"),
        ("router.huggingface.co", "huggingface"),
        ("abc123.us-east-1.aws.endpoints.huggingface.cloud", "huggingface"),
        ("api.together.xyz", "together"),
        ("api.groq.com", "groq"),
        ("generativelanguage.googleapis.com", "google"),
        ("europe-west1-aiplatform.googleapis.com", "google"),
        ("openrouter.ai", "openrouter"),
        ("api.x.ai", "xai"),
    ],
)
def test_a_host_tells_its_provider(host, name):
    assert provider_of_host(host).name == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost",
        "127.0.0.1:8000",
        "api.openai.com.evil.example",
        "evil-api.openai.com",
        "xapi.openai.com",
        ".api.openai.com",
        "openai.azure.com",
        "apiXopenai.com",
        "evil.example/.api.openai.com",
        "storage.googleapis.com",
        "bedrock.us-east-1.amazonaws.com",
    ],
)
def test_a_host_that_only_resembles_one_is_nobodys(host):
    assert provider_of_host(host) is None


@pytest.mark.parametrize(("called", "name"), [("OpenAI", "openai"), ("gemini", "google"), ("together_ai", "together")])
def test_a_provider_is_found_by_each_of_its_names(called, name):
    assert provider_named(called).name == name


def test_a_name_that_nobody_has_is_nobodys():
    assert provider_named("openai2") is None


@pytest.mark.parametrize(
    ("provider", "call", "endpoint"),
    [
        ("openai", "POST /v1/chat/completions", Endpoint.CHAT),
        ("openai", "GET /v1/chat/completions", Endpoint.OTHER),
        ("openai", "GET /v1/chat/completions/chatcmpl-1", Endpoint.CHAT),
        ("openai", "POST /v1/completions", Endpoint.TEXT),
        ("openai", "POST /v1/embeddings", Endpoint.EMBEDDINGS),
        ("openai", "POST /v1/responses", Endpoint.RESPONSES),
        ("openai", "GET /v1/responses/resp_1", Endpoint.RESPONSES),
        ("openai", "POST /v1/responses/resp_1/cancel", Endpoint.RESPONSES),
        ("openai", "GET /v1/responses/resp_1/input_items", Endpoint.OTHER),
        ("openai", "POST /v1/moderations", Endpoint.MODERATIONS),
        ("openai", "POST /v1/images/generations", Endpoint.IMAGES),
        ("openai", "POST /v1/images/edits", Endpoint.IMAGES),
        ("openai", "POST /v1/audio/speech", Endpoint.SPEECH),
        ("openai", "POST /v1/audio/transcriptions", Endpoint.TRANSCRIPTION),
        ("openai", "POST /v1/audio/translations", Endpoint.TRANSCRIPTION),
        ("openai", "POST /v1/files", Endpoint.FILES),
        ("openai", "GET /v1/files/file-1/content", Endpoint.FILES),
        ("openai", "DELETE /v1/files/file-1", Endpoint.FILES),
        ("openai", "POST /v1/batches", Endpoint.BATCHES),
        ("openai", "POST /v1/batches/batch_1/cancel", Endpoint.BATCHES),
        ("openai", "GET /v1/models", Endpoint.OTHER),
        ("openai", "POST /v1/threads/thread_1/messages", Endpoint.OTHER),
        ("openai", "POST /v1/chat/completions/", Endpoint.OTHER),
        ("azure", "POST /openai/deployments/my-gpt/chat/completions", Endpoint.CHAT),
        ("azure", "POST /openai/v1/responses", Endpoint.RESPONSES),
        ("azure", "POST /openai/deployments/whisper/audio/transcriptions", Endpoint.TRANSCRIPTION),
        ("azure", "POST /anthropic/v1/messages", Endpoint.MESSAGES),
        ("bedrock", "POST /model/amazon.nova-lite-v1:0/converse", Endpoint.CONVERSE),
        ("bedrock", "POST /model/amazon.nova-lite-v1%3A0/converse-stream", Endpoint.CONVERSE),
        ("bedrock", "POST /model/arn%3Aaws%3Abedrock%3A1%2Fx/invoke", Endpoint.INVOKE_MODEL),
        ("bedrock", "POST /model/x/invoke-with-response-stream", Endpoint.INVOKE_MODEL),
        ("bedrock", "POST /model/x/count-tokens", Endpoint.COUNT_TOKENS),
        ("bedrock", "POST /model/x/invoke-with-bidirectional-stream", Endpoint.OTHER),
        ("bedrock", "POST /openai/v1/chat/completions", Endpoint.CHAT),
        ("anthropic", "POST /v1/messages", Endpoint.MESSAGES),
        ("anthropic", "POST /v1/messages/count_tokens", Endpoint.COUNT_TOKENS),
        ("anthropic", "POST /v1/messages/batches", Endpoint.OTHER),
        ("anthropic", "POST /v1/chat/completions", Endpoint.CHAT),
        ("huggingface", "POST /v1/chat/completions", Endpoint.CHAT),
        ("together", "POST /v1/images/generations", Endpoint.IMAGES),
        ("groq", "POST /openai/v1/audio/transcriptions", Endpoint.TRANSCRIPTION),
        ("google", "POST /v1beta/models/gemini-2.5-pro:generateContent", Endpoint.GENERATE_CONTENT),
        ("google", "POST /v1beta/models/gemini-2.5-pro:streamGenerateContent", Endpoint.GENERATE_CONTENT),
        ("google", "POST /v1beta/models/gemini-2.5-pro:countTokens", Endpoint.COUNT_TOKENS),
        ("google", "POST /v1beta/models/gemini-embedding-001:embedContent", Endpoint.OTHER),
        (
            "google",
            "POST /v1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:streamGenerateContent",
            Endpoint.GENERATE_CONTENT,
        ),
        (
            "google",
            "POST /v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict",
            Endpoint.MESSAGES,
        ),
        (
            "google",
            "POST /v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
            Endpoint.COUNT_TOKENS,
        ),
        ("google", "POST /v1beta/openai/chat/completions", Endpoint.CHAT),
        ("google", "POST /v1/projects/p/locations/l/endpoints/openapi/chat/completions", Endpoint.CHAT),
        ("google", "POST /v1beta/files", Endpoint.OTHER),
        ("openrouter", "POST /api/v1/chat/completions", Endpoint.CHAT),
        ("openrouter", "POST /api/v1/messages", Endpoint.MESSAGES),
        ("mistral", "POST /v1/fim/completions", Endpoint.CHAT),
        ("deepseek", "POST /chat/completions", Endpoint.CHAT),
        ("deepseek", "POST /anthropic/v1/messages", Endpoint.MESSAGES),
        ("fireworks", "POST /inference/v1/chat/completions", Endpoint.CHAT),
        ("vllm", "POST /v1/messages", Endpoint.MESSAGES),
        ("ollama", "POST /api/chat", Endpoint.OTHER),
    ],
)
def test_a_path_tells_the_api(provider, call, endpoint):
    method, path = call.encode().split(b" ")

    assert endpoint_at(provider_named(provider), method, path) is endpoint


@pytest.mark.parametrize("path", [b"/" * 16384, b"/a" * 8192, b"/models/" * 2048, b"/v1/files" * 2048])
def test_no_path_takes_long(path):
    started = time.perf_counter()

    for row in PROVIDERS:
        endpoint_at(row, b"POST", path)

    assert time.perf_counter() - started < 10


def test_the_documentation_has_a_row_of_each_provider_with_names_addresses_and_key():
    page = (Path(__file__).parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")

    for row in PROVIDERS:
        [line] = [line for line in page.splitlines() if line.startswith(f"| `{row.name}` |")]
        told = re.findall("`([^`]+)`", line)
        address = row.base_url or (row.regional_url and row.regional_url.format(region="REGION"))
        name, value = credential_of(row, "KEY").native
        expected = [row.name, *row.aliases, address or "base_url", row.native_url, (name + b": " + value).decode()]
        assert told == [text for text in expected if text]


def test_what_stands_for_the_root_of_openais_language_is_the_end_of_the_base_url():
    for row in PROVIDERS:
        address = row.base_url or row.regional_url
        assert address is None or address.endswith(row.compatible_path)
