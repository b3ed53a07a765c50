"""Where a call goes."""

import json

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from conftest import CHAT
from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.providers import PROVIDER_NAMES, PROVIDERS
from llm_proxy.proxy.routing import choose, target_at
from llm_proxy.proxy.upstreams import Upstreams, upstream_at
from upstreams import response

ANY_BYTES = strategies.binary(max_size=3000)
PUBLIC = [row for row in PROVIDERS if row.base_url is not None]


ADDRESSES = Addresses(PROVIDER_NAMES | {"default", "mine"})


def upstream_of(name, base_url=None, **settings):
    return upstream_at(name, base_url, provider=settings.pop("provider", None), key="k", **settings)


def where(upstreams, call, name=None):
    """The upstream, path and API of a call, as ``upstream path api``, and the header with the key."""
    method, target = call.encode().split(b" ")
    path, _, query = target.partition(b"?")
    address = ADDRESSES.find(path, query)
    target = target_at(choose(upstreams, address, name), address, method, query)
    return f"{target.upstream.name} {target.target.decode()} {target.endpoint}", target.credential


AT_OPENAI = Upstreams(upstream_of("default", "https://api.openai.com/v1"), {}, known=PUBLIC)


@pytest.mark.parametrize(
    ("call", "name", "expected"),
    [
        ("POST /v1/chat/completions", None, "default /v1/chat/completions chat.completions"),
        ("POST /v1/audio/speech?a=%20&&b", None, "default /v1/audio/speech?a=%20&&b audio.speech"),
        ("GET /v1/models", None, "default /v1/models other"),
        ("POST /openai/v1/responses", None, "default /v1/responses responses"),
        ("POST /v1/messages", None, "anthropic /v1/messages messages"),
        (
            "POST /v1/messages/count_tokens?beta=true",
            None,
            "anthropic /v1/messages/count_tokens?beta=true messages.count_tokens",
        ),
        ("POST /v1/messages", "openrouter", "openrouter /api/v1/messages messages"),
        ("POST /anthropic/v1/messages", None, "anthropic /v1/messages messages"),
        ("POST /anthropic/v1/chat/completions", None, "anthropic /v1/chat/completions chat.completions"),
        ("GET /anthropic/v1/models?limit=1", None, "anthropic /v1/models?limit=1 other"),
        ("POST /v1beta/models/g:generateContent", None, "google /v1beta/models/g:generateContent generate_content"),
        ("POST /v1/models/g:generateContent", None, "google /v1/models/g:generateContent generate_content"),
        ("POST /gemini/v1beta/models/g:countTokens", None, "google /v1beta/models/g:countTokens messages.count_tokens"),
        ("POST /v1/chat/completions", "gemini", "google /v1beta/openai/chat/completions chat.completions"),
        ("GET /v1/models", "google", "google /v1beta/openai/models other"),
        ("POST /google/v1beta/openai/embeddings", None, "google /v1beta/openai/embeddings embeddings"),
        ("POST /upload/v1beta/files", None, "google /upload/v1beta/files other"),
        ("POST /v1/chat/completions", "groq", "groq /openai/v1/chat/completions chat.completions"),
        ("POST /groq/openai/v1/chat/completions", None, "groq /openai/v1/chat/completions chat.completions"),
        ("POST /groq/v1/chat/completions", None, "groq /openai/v1/chat/completions chat.completions"),
        ("POST /groq/chat/completions", None, "groq /openai/v1/chat/completions chat.completions"),
        ("GET /groq/v1/models", None, "groq /openai/v1/models other"),
        ("POST /deepseek/anthropic/v1/messages", None, "deepseek /anthropic/v1/messages messages"),
        ("POST /perplexity/chat/completions", None, "perplexity /chat/completions chat.completions"),
    ],
)
def test_a_known_provider_is_reached_by_its_paths_and_names(call, name, expected):
    assert where(AT_OPENAI, call, name)[0] == expected


ALL = Upstreams(
    upstream_of("default", "http://gateway.test/llm/v1"),
    {
        "azure": upstream_of("azure", "https://r.openai.azure.com", api_version="2024-10-21"),
        "bedrock": upstream_of("bedrock", region="eu-central-1"),
        "mine": upstream_of("mine", "https://corp.test/claude/v1", provider="anthropic"),
        "google": upstream_of("google", "https://corp.test/g/v1beta/openai"),
    },
)
BEARER = (b"Authorization", b"Bearer k")


@pytest.mark.parametrize(
    ("call", "name", "expected", "credential"),
    [
        ("POST /v1/chat/completions", None, "default /llm/v1/chat/completions chat.completions", BEARER),
        ("GET /default/status", None, "default /llm/status other", BEARER),
        (
            "POST /openai/deployments/d/chat/completions?api-version=1",
            None,
            "azure /openai/deployments/d/chat/completions?api-version=1 chat.completions",
            (b"Api-Key", b"k"),
        ),
        (
            "POST /azure/openai/deployments/d/embeddings",
            None,
            "azure /openai/deployments/d/embeddings?api-version=2024-10-21 embeddings",
            (b"Api-Key", b"k"),
        ),
        (
            "POST /v1/responses?a=b",
            "azure",
            "azure /openai/v1/responses?a=b&api-version=2024-10-21 responses",
            (b"Api-Key", b"k"),
        ),
        (
            "POST /openai/v1/chat/completions",
            None,
            "azure /openai/v1/chat/completions?api-version=2024-10-21 chat.completions",
            (b"Api-Key", b"k"),
        ),
        (
            "GET /openai/v1/files",
            None,
            "azure /openai/v1/files?api-version=2024-10-21 files",
            (b"Api-Key", b"k"),
        ),
        ("POST /model/a%2Fb/converse", None, "bedrock /model/a%2Fb/converse converse", BEARER),
        ("POST /bedrock/v1/chat/completions", None, "bedrock /openai/v1/chat/completions chat.completions", BEARER),
        ("POST /v1/messages", None, "mine /claude/v1/messages messages", (b"X-Api-Key", b"k")),
        ("POST /mine/v1/messages", None, "mine /claude/v1/messages messages", (b"X-Api-Key", b"k")),
        ("POST /anthropic/v1/messages", None, "mine /claude/v1/messages messages", (b"X-Api-Key", b"k")),
        ("GET /v1/models", "mine", "mine /claude/v1/models other", (b"X-Api-Key", b"k")),
        ("POST /v1/chat/completions", "mine", "mine /claude/v1/chat/completions chat.completions", BEARER),
        ("POST /v1/messages", "default", "default /llm/v1/messages messages", BEARER),
        (
            "POST /v1beta/models/g:generateContent",
            None,
            "google /g/v1beta/models/g:generateContent generate_content",
            (b"X-Goog-Api-Key", b"k"),
        ),
        ("GET /v1/models", "google", "google /g/v1beta/openai/models other", BEARER),
    ],
)
def test_a_configured_upstream_is_reached_by_its_paths_and_names_with_its_key(call, name, expected, credential):
    assert where(ALL, call, name) == (expected, credential)


@pytest.mark.parametrize("default", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1"])
def test_openai_has_its_path_also_beside_azure(default):
    azure = upstream_of("azure", "https://r.openai.azure.com")

    both = Upstreams(upstream_of("default", default), {"azure": azure})

    assert where(both, "POST /openai/v1/embeddings")[0] == "default /v1/embeddings embeddings"


def test_a_default_of_which_nothing_is_known_gets_the_messages_that_it_may_understand():
    unknown = Upstreams(upstream_of("default", "http://gateway.test/v1"), {}, known=PUBLIC)
    vllm = Upstreams(upstream_of("default", "http://gateway.test/v1", provider="vllm"), {}, known=PUBLIC)

    assert [where(upstreams, "POST /v1/messages")[0] for upstreams in (unknown, vllm)] == [
        "default /v1/messages messages"
    ] * 2


@pytest.mark.parametrize(
    ("call", "name", "message"),
    [
        ("POST /v1/chat/completions", "nobody", "no upstream is called 'nobody'; configured: default"),
        ("POST /groq/v1/chat/completions", None, "the provider 'groq' is to be configured here"),
        ("POST /v1beta/models/g:generateContent", None, "such paths are of google"),
        ("POST /openai/deployments/d/chat/completions", None, "such paths are of azure"),
        ("POST /model/m/converse", None, "such paths are of bedrock"),
        ("POST /v1/messages", None, "such paths are of anthropic"),
        ("POST /elsewhere", None, "only paths below /v1"),
    ],
)
def test_what_is_neither_configured_nor_to_be_called_without_is_refused(call, name, message):
    nothing_else = Upstreams(upstream_of("default", "https://api.openai.com/v1"), {})

    with pytest.raises(Refused, match=message):
        where(nothing_else, call, name)


@pytest.fixture
async def proxy(start_proxy, upstream, transport_name):
    return await start_proxy(upstream.url, transport=transport_name)


async def test_path_and_query_are_not_touched(upstream, proxy):
    target = b"/v1/files/a%2Fb%20c//./d?x=%41&y=1+2&&z"

    await proxy.raw(b"GET " + target + b" HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert upstream.received[0].request_line == b"GET " + target + b" HTTP/1.1"


async def test_a_named_upstream_is_chosen_by_header_or_path(start_proxy, upstream, transport_name):
    proxy = await start_proxy("http://127.0.0.1:1/v1", transport=transport_name, named={"other": upstream.url})

    by_header = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Provider": "other"})
    by_path = await proxy.client.post("/~provider=other;tags=a/v1/chat/completions", json=CHAT)
    unknown = await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"X-LLM-Provider": "nobody"})

    assert (by_header.status_code, by_path.status_code, unknown.status_code) == (200, 200, 400)
    assert upstream.received[1].request_line == b"POST /v1/chat/completions HTTP/1.1"
    assert "other" in unknown.json()["error"]["message"]
    exchanges = await proxy.ended(3)
    assert [exchange.upstream for exchange in exchanges[:2]] == ["other", "other"]
    assert exchanges[1].path_context == "provider=other;tags=a"
    assert exchanges[2].ending is Ending.REFUSED


#: Where a call goes that names its API by nothing but its path, and what it is there.
NATIVE = [
    ("/v1/messages", "anthropic", "/v1/messages", Endpoint.MESSAGES),
    ("/anthropic/v1/messages/count_tokens", "anthropic", "/v1/messages/count_tokens", Endpoint.COUNT_TOKENS),
    ("/~session=s/claude/v1/messages", "anthropic", "/v1/messages", Endpoint.MESSAGES),
    ("/v1beta/models/g:generateContent", "google", "/v1beta/models/g:generateContent", Endpoint.GENERATE_CONTENT),
    (
        "/~tags=a/google/v1beta/models/g%3A1:streamGenerateContent?alt=sse",
        "google",
        "/v1beta/models/g%3A1:streamGenerateContent?alt=sse",
        Endpoint.GENERATE_CONTENT,
    ),
    (
        "/openai/deployments/d/embeddings?api-version=1",
        "azure",
        "/openai/deployments/d/embeddings?api-version=1",
        Endpoint.EMBEDDINGS,
    ),
    ("/model/a%3A0/converse-stream", "bedrock", "/model/a%3A0/converse-stream", Endpoint.CONVERSE),
    ("/bedrock/model/a/invoke", "bedrock", "/model/a/invoke", Endpoint.INVOKE_MODEL),
    ("/groq/openai/v1/embeddings", "groq", "/v1/openai/v1/embeddings", Endpoint.EMBEDDINGS),
]


@pytest.fixture
async def everybody(start_proxy, upstream, transport_name):
    """A proxy before an upstream that is all providers; the default is somewhere else."""
    names = ["anthropic", "google", "azure", "bedrock", "groq"]
    return await start_proxy(
        "http://127.0.0.1:1/v1",
        transport=transport_name,
        named=dict.fromkeys(names, upstream.url) | {"groq": f"{upstream.url}/openai/v1"},
        providers={name: name for name in names},
    )


@pytest.mark.parametrize(("path", "name", "there", "endpoint"), NATIVE)
async def test_a_native_path_reaches_its_provider_and_is_on_record_as_its_api(
    upstream, everybody, path, name, there, endpoint
):
    answer = await everybody.client.post(path, content=b" {\xff} ")

    assert answer.status_code == 200
    [received] = upstream.received
    assert received.request_line == f"POST {there} HTTP/1.1".encode()
    assert received.body == b" {\xff} "
    [exchange] = await everybody.ended()
    assert (exchange.upstream, exchange.provider, exchange.endpoint) == (name, name, endpoint)
    assert exchange.request_body == b" {\xff} "


@given(body=ANY_BYTES, answer=ANY_BYTES, row=strategies.sampled_from(NATIVE))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_bytes_in_are_bytes_out_on_every_native_path(upstream, everybody, body, answer, row):
    upstream.script(response(answer))

    got = await everybody.client.post(row[0], content=body)

    assert got.content == answer
    assert upstream.received[-1].body == body
    exchange = (await everybody.ended(len(upstream.received)))[-1]
    assert (exchange.request_body or b"", exchange.response_body or b"") == (body, answer)


async def test_of_a_file_only_the_beginning_is_kept(start_proxy, upstream):
    proxy = await start_proxy(upstream.url)

    answer = await proxy.client.post("/v1/files", content=b"x" * 200_000)

    assert answer.status_code == 200
    assert len(upstream.received[0].body) == 200_000
    [exchange] = await proxy.ended()
    assert (len(exchange.request_body), exchange.request_bytes, exchange.truncated) == (65536, 200_000, True)


async def test_a_name_before_the_model_chooses_the_upstream_and_is_cut_off_in_place(
    start_proxy, upstream, transport_name
):
    proxy = await start_proxy(
        "http://127.0.0.1:1/v1", transport=transport_name, named={"mine": upstream.url}, model_prefix=True
    )
    body = b'{ "model":"mine/org/m", "messages": [ {"model":"mine/x"} ] ,"n":1.0}'

    await proxy.client.post("/v1/chat/completions", content=body)

    [received] = upstream.received
    assert received.body == body.replace(b"mine/org/m", b"org/m")
    [exchange] = await proxy.ended()
    assert (exchange.upstream, exchange.request_body) == ("mine", body)


async def pieces(*all_pieces):
    for piece in all_pieces:
        yield piece


async def test_in_a_body_of_unknown_length_the_model_chooses_too_unless_it_is_long(
    start_proxy, upstream, transport_name
):
    proxy = await start_proxy(
        upstream.url,
        transport=transport_name,
        named={"mine": upstream.url},
        model_prefix=True,
        buffered_body_bytes=1000,
    )
    short, long = b'{"model":"mine/m"}', b'{"model":"mine/m","n":"' + b"x" * 5000 + b'"}'

    await proxy.client.post("/v1/chat/completions", content=pieces(short[:7], short[7:]))
    await proxy.client.post("/v1/chat/completions", content=pieces(long[:7], long[7:]))

    assert [one.body for one in upstream.received] == [short.replace(b"mine/", b""), long]
    assert [one.header("transfer-encoding") for one in upstream.received] == [b"chunked"] * 2
    first, second = await proxy.ended(2)
    assert (first.upstream, first.request_body, first.request_bytes) == ("mine", short, len(short))
    assert (second.upstream, second.request_body) == ("default", long)


@pytest.mark.parametrize(
    ("model", "path", "headers"),
    [
        ("nobody/m", "/v1/chat/completions", {}),
        ("mine/", "/v1/chat/completions", {}),
        ("mine", "/v1/chat/completions", {}),
        ("mine/m", "/default/v1/chat/completions", {}),
        ("mine/m", "/v1/chat/completions", {"X-LLM-Provider": "default"}),
    ],
)
async def test_what_stands_before_a_slash_is_left_alone_if_it_is_no_upstream_or_something_else_was_said(
    start_proxy, upstream, model, path, headers
):
    proxy = await start_proxy(upstream.url, named={"mine": "http://127.0.0.1:1/v1"}, model_prefix=True)

    await proxy.client.post(path, json={"model": model}, headers=headers)

    assert upstream.received[0].body == json.dumps({"model": model}, separators=(",", ":")).encode()


async def test_the_model_is_not_looked_at_unless_it_is_asked_for(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, named={"mine": "http://127.0.0.1:1/v1"})

    answer = await proxy.client.post("/v1/chat/completions", content=b'{"model": "mine/m"}')

    assert answer.status_code == 200
    assert upstream.received[0].body == b'{"model": "mine/m"}'
