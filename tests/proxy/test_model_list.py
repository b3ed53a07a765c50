"""One list of the models of all upstreams."""

import pytest

from llm_proxy.errors import UpstreamUnreachable
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.model_list import Asked, model_list, plain
from llm_proxy.proxy.routes import Place, Route, Routes
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from upstreams import Upstream, json_response, response

GPT = {"id": "gpt-4o", "object": "model", "created": 1715367049, "owned_by": "system"}
CLAUDE = {"type": "model", "id": "claude-sonnet-4-5", "display_name": "Claude", "n": 1.0}


@pytest.fixture
async def other():
    server = Upstream()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def proxy(start_proxy, upstream, other, transport_name):
    """A proxy before two upstreams, of which the second has a key, and a third that is not there."""
    return await start_proxy(
        upstream.url,
        transport=transport_name,
        named={"claude": other.url, "away": "http://127.0.0.1:1/v1"},
        providers={"claude": "anthropic"},
        keys={"claude": "sk-ours"},
        model_prefix=True,
    )


async def test_models_of_all_are_listed_as_they_are_asked_for_and_who_is_missing(upstream, other, proxy):
    upstream.script(json_response({"object": "list", "data": [GPT]}))
    other.script(json_response({"data": [CLAUDE, {"no": "id"}], "has_more": False}))

    answer = await proxy.client.get("/v1/models", headers={"Authorization": "Bearer theirs", "Accept-Encoding": "br"})

    assert answer.json() == {"object": "list", "data": [GPT, CLAUDE | {"id": "claude/claude-sonnet-4-5"}]}
    assert answer.headers["x-llm-left-out"] == "away: no connection"
    assert upstream.received[0].header("authorization") == b"Bearer theirs"
    assert other.received[0].request_line == b"GET /v1/models?limit=1000 HTTP/1.1"
    assert other.received[0].header("x-api-key") == b"sk-ours"
    assert other.received[0].header("anthropic-version") == b"2023-06-01"
    assert b"theirs" not in other.received[0].head
    assert b"accept-encoding" not in other.received[0].head.lower()
    [exchange] = await proxy.ended()
    assert (exchange.ending, exchange.http_status) == (Ending.COMPLETE, 200)


async def test_a_clients_key_goes_to_the_default_upstream_alone(start_proxy, upstream, other):
    proxy = await start_proxy(upstream.url, named={"other": other.url}, model_prefix=True)

    await proxy.client.get("/v1/models", headers={"Authorization": "Bearer theirs", "X-Api-Key": "theirs"})

    assert b"theirs" in upstream.received[0].head
    assert b"theirs" not in other.received[0].head
    assert other.received[0].header("host") == f"127.0.0.1:{other.port}".encode()


@pytest.mark.parametrize("path", ["/v1/models/claude/m/1", "/v1/models/claude%2Fm%2F1"])
async def test_one_model_is_asked_of_whom_it_is_of(other, proxy, path):
    await proxy.raw(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())

    there = path[len("/v1/models/claude/") if "%" not in path else len("/v1/models/claude%2F") :]
    assert other.received[0].request_line == f"GET /v1/models/{there} HTTP/1.1".encode()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/v1/models/gpt-4o", {}),
        ("GET", "/default/v1/models", {}),
        ("GET", "/v1/models", {"X-LLM-Provider": "default"}),
        ("POST", "/v1/models", {}),
    ],
)
async def test_every_other_call_is_relayed(upstream, other, proxy, method, path, headers):
    upstream.script(response(b"as it is"))

    answer = await proxy.client.request(method, path, headers=headers)

    assert answer.content == b"as it is"
    assert other.received == []


async def test_without_prefixes_the_list_is_the_default_upstreams_as_it_is(start_proxy, upstream, other):
    proxy = await start_proxy(upstream.url, named={"other": other.url})
    upstream.script(response(b'{ "data" :[]}'))

    answer = await proxy.client.get("/v1/models")

    assert answer.content == b'{ "data" :[]}'
    assert other.received == []


def along(*routes):
    return lambda upstreams: Routes(
        [
            Route(name=str(at), models=models, places=tuple(Place(upstreams.find(name), as_) for name, as_ in places))
            for at, (models, places) in enumerate(routes)
        ]
    )


async def test_along_routes_models_of_others_are_listed_that_come_there(start_proxy, upstream, other):
    routes = along((("claude-*",), [("other", None)]), (("fast",), [("other", "claude-haiku"), ("default", None)]))
    named = {"other": other.url, "unused": "http://127.0.0.1:1/v1"}
    proxy = await start_proxy(upstream.url, named=named, keys={"other": "sk-o", "unused": "sk-u"}, routes=routes)
    upstream.script(json_response({"object": "list", "data": [GPT, GPT]}))
    other.script(json_response({"data": [CLAUDE, GPT | {"id": "claude"}, GPT]}))

    answer = await proxy.client.get("/v1/models")

    fast = {"id": "fast", "object": "model", "owned_by": "other"}
    assert answer.json() == {"object": "list", "data": [GPT, CLAUDE, fast]}
    assert "x-llm-left-out" not in answer.headers


async def test_with_routes_that_lead_nowhere_else_the_list_is_as_it_is(start_proxy, upstream, other):
    proxy = await start_proxy(upstream.url, named={"other": other.url}, routes=along(((), [("default", None)])))
    upstream.script(response(b'{ "data" :[]}'))

    answer = await proxy.client.get("/v1/models")

    assert answer.content == b'{ "data" :[]}'
    assert other.received == []


async def test_nobody_who_answers_is_an_error(upstream, other, proxy):
    upstream.script(response(b"no", status="401 Unauthorized"))
    other.script(response(b"[1]"))

    answer = await proxy.client.get("/v1/models")

    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
    told = answer.json()["error"]["message"]
    assert "default: status 401; claude: no list of models; away: no connection" in told


async def test_a_list_that_is_too_long_is_left_out(upstream, make_transport, transport_name):
    upstream.script(response(b"[" + b" " * (9 * 2**20)))
    request = UpstreamRequest(
        origin=Origin("http", upstream.host, upstream.port), method=b"GET", target=b"/", headers=[(b"Host", b"h")]
    )

    with pytest.raises(UpstreamUnreachable, match="x: no list of models"):
        await model_list(make_transport(transport_name), [Asked("x", str, request)])


def test_a_version_that_the_client_names_is_kept():
    told = [(b"Anthropic-Version", b"2024-01-01")]

    assert plain(told, "anthropic") == told
    assert plain([], "openai") == []
