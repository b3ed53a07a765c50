"""Where a call goes."""

import pytest

from conftest import CHAT
from llm_proxy.model.exchange import Ending, Endpoint
from llm_proxy.proxy.routing import Target, endpoint_of, target_at
from llm_proxy.proxy.upstreams import upstream_at


@pytest.mark.parametrize(
    ("method", "path", "endpoint"),
    [
        (b"POST", b"/chat/completions", Endpoint.CHAT),
        (b"POST", b"/completions", Endpoint.TEXT),
        (b"POST", b"/embeddings", Endpoint.EMBEDDINGS),
        (b"POST", b"/responses", Endpoint.RESPONSES),
        (b"GET", b"/responses", Endpoint.OTHER),
        (b"POST", b"/chat/completions/", Endpoint.OTHER),
        (b"POST", b"/audio/speech", Endpoint.OTHER),
        (b"GET", b"/models", Endpoint.OTHER),
    ],
)
def test_an_endpoint_is_method_and_path(method, path, endpoint):
    assert endpoint_of(method, path) is endpoint


@pytest.mark.parametrize(
    ("base_path", "path", "query", "target"),
    [
        (b"/v1", b"/models", b"", b"/v1/models"),
        (b"/openai/v1", b"/a%2Fb//./c", b"", b"/openai/v1/a%2Fb//./c"),
        (b"", b"/models", b"a=%20&&b", b"/models?a=%20&&b"),
    ],
)
def test_a_target_is_the_base_path_and_the_rest_as_it_came(base_path, path, query, target):
    upstream = upstream_at("u", f"https://api.example{base_path.decode()}", provider=None, key="k")

    assert target_at(upstream, b"GET", path, query) == Target(
        upstream, target, Endpoint.OTHER, (b"Authorization", b"Bearer k")
    )


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
