"""One verdict a header: on, away, changed; and recorded with its value or without."""

import re
from pathlib import Path

import pytest

from conftest import CHAT
from llm_proxy.proxy.credentials import CREDENTIAL_HEADERS, Fingerprints
from llm_proxy.proxy.headers import HOP_BY_HOP, HeaderPolicy, HeaderRules
from upstreams import response

RULES = HeaderRules(
    stripped=frozenset({b"helicone-auth"}),
    stripped_prefixes=(b"x-llm-",),
    recorded_request=frozenset({b"content-type"}),
    recorded_request_prefixes=(b"x-llm-", b"openai-"),
    recorded_response=frozenset({b"content-type"}),
    recorded_response_prefixes=(b"openai-",),
)


@pytest.fixture
def policy():
    return HeaderPolicy(RULES, Fingerprints(b"secret"))


def request(policy, *headers):
    return policy.request(list(headers))


def forwarded(policy, *headers, credential=None):
    """What goes on of headers that are sent with a Host before them."""
    host, *left = policy.request([(b"Host", b"h"), *headers]).forward(b"api.example", credential)
    assert host == (b"Host", b"api.example")
    return left


def test_what_nobody_has_a_rule_for_goes_on_in_order_case_and_number(policy):
    headers = [(b"X-A", b"1"), (b"x-b", b"2"), (b"X-A", b"3"), (b"Content-Length", b"7")]

    assert forwarded(policy, *headers) == headers


def test_host_names_the_upstream_in_its_old_place(policy):
    head = policy.request([(b"A", b"1"), (b"hOsT", b"127.0.0.1:8080"), (b"B", b"2")])

    assert head.forward(b"api.example", None) == [(b"A", b"1"), (b"hOsT", b"api.example"), (b"B", b"2")]


def test_the_upstream_gets_a_host_where_http_1_0_sent_none(policy):
    head = policy.request([(b"A", b"1")])

    assert head.forward(b"api.example", None) == [(b"Host", b"api.example"), (b"A", b"1")]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_headers_end_here_both_ways_in_any_case(policy, name):
    assert forwarded(policy, (name.title(), b"x")) == []
    assert policy.response([(name.upper(), b"x")])[0] == []


def test_what_connection_lists_ends_here_too(policy):
    headers = [(b"X-A", b"1"), (b"x-b", b"2"), (b"Connection", b"close, X-B ,x-A")]

    assert forwarded(policy, *headers) == []
    assert policy.response([*headers, (b"X-C", b"3")])[0] == [(b"X-C", b"3")]


def test_connection_cannot_take_host_framing_or_key_away(policy):
    headers = [(b"Content-Length", b"2"), (b"Authorization", b"Bearer k")]

    left = forwarded(policy, (b"Connection", b"host, content-length, authorization"), *headers)

    assert [name for name, _ in left] == [b"Content-Length", b"Authorization"]


def test_gateway_headers_are_not_for_the_upstream(policy):
    head = request(policy, (b"X-LLM-Tags", b"a"), (b"Helicone-Auth", b"Bearer x"), (b"X", b"y"))

    assert head.passed == [(b"X", b"y")]
    assert head.recorded == [(b"X-LLM-Tags", b"a"), (b"Helicone-Auth", None), (b"X", None)]


@pytest.mark.parametrize("name", [b"Authorization", b"X-API-Key", b"api-key", b"x-goog-api-key"])
def test_a_key_goes_on_and_is_recorded_as_a_fingerprint(policy, name):
    head = request(policy, (name, b"Bearer sk-0123456789abcdef"))

    assert head.passed == [(name, b"Bearer sk-0123456789abcdef")]
    assert head.recorded == [(name, None)]
    assert head.key_fingerprint is not None
    assert head.key_fingerprint.endswith("…cdef")


def test_a_configured_key_takes_the_place_of_every_key_of_the_client(policy):
    theirs = [(b"Authorization", b"Bearer theirs"), (b"X-Api-Key", b"theirs")]

    head = request(policy, *theirs, (b"X", b"y"))

    assert head.forward(b"h", (b"X-Api-Key", b"ours"))[1:] == [(b"X", b"y"), (b"X-Api-Key", b"ours")]
    assert head.key_fingerprint == Fingerprints(b"secret").of(b"Bearer theirs")


def test_the_token_that_comes_with_a_signature_tells_nothing_of_the_signer(policy):
    head = request(policy, (b"X-Amz-Security-Token", b"secret"), (b"Authorization", b"Bearer sk-0123456789abcdef"))

    assert head.recorded[0] == (b"X-Amz-Security-Token", None)
    assert head.key_fingerprint.endswith("…cdef")
    assert head.forward(b"h", (b"A", b"b"))[1:] == [(b"A", b"b")]


def test_a_key_among_the_protocols_of_a_websocket_is_known_by_its_fingerprint_and_not_recorded(policy):
    value = b"realtime, openai-insecure-api-key.sk-0123456789abcdef, openai-beta.realtime-v1"

    head = request(policy, (b"Sec-WebSocket-Protocol", value))

    assert head.key_fingerprint == Fingerprints(b"secret").of(b"sk-0123456789abcdef")
    assert head.recorded == [(b"Sec-WebSocket-Protocol", None)]
    assert head.passed == [(b"Sec-WebSocket-Protocol", value)]
    assert request(policy, (b"Sec-WebSocket-Protocol", b"realtime")).key_fingerprint is None


def test_a_head_without_keys_has_all_else_in_its_place(policy):
    theirs = [(b"X-Api-Key", b"k"), (b"Host", b"h"), (b"Authorization", b"Bearer k"), (b"X", b"y")]

    head = request(policy, *theirs).without_keys()

    assert head.forward(b"there", None) == [(b"Host", b"there"), (b"X", b"y")]


def test_what_goes_to_one_upstream_changes_nothing_of_what_goes_to_the_next(policy):
    theirs = [(b"Host", b"h"), (b"Authorization", b"Bearer theirs"), (b"X-Mine", b"1"), (b"X", b"y")]
    head = request(policy, *theirs, (b"Connection", b"x-mine"))

    first, second = head.forward(b"one", (b"Api-Key", b"ours")), head.forward(b"two", None)

    assert first == [(b"Host", b"one"), (b"X", b"y"), (b"Api-Key", b"ours")]
    assert second == [(b"Host", b"two"), (b"Authorization", b"Bearer theirs"), (b"X", b"y")]


def test_a_key_is_never_recorded_even_if_a_rule_says_so():
    rules = HeaderRules(recorded_request=frozenset({b"authorization"}), recorded_request_prefixes=(b"x-api",))
    policy = HeaderPolicy(rules, Fingerprints(b"secret"))

    head = request(policy, (b"Authorization", b"Bearer k"), (b"X-Api-Key", b"k"))

    assert [value for _, value in head.recorded] == [None, None]


def test_framing_and_upgrade_are_read_off(policy):
    assert request(policy, (b"Content-Length", b"12")).content_length == 12
    assert request(policy, (b"Content-Length", b"12")).chunked is False
    assert request(policy, (b"Transfer-Encoding", b"chunked")).chunked is True
    assert request(policy).content_length is None
    assert request(policy, (b"Upgrade", b"WebSocket")).wants_websocket is True
    assert request(policy, (b"Upgrade", b"h2c")).wants_websocket is False


def test_an_answer_is_recorded_by_allow_list(policy):
    headers = [(b"Content-Type", b"text/plain"), (b"Set-Cookie", b"secret"), (b"OpenAI-Version", b"1")]

    forward, recorded = policy.response(headers)

    assert forward == headers
    assert recorded == [(b"Content-Type", b"text/plain"), (b"Set-Cookie", None), (b"OpenAI-Version", b"1")]


def test_made_up_names_are_not_remembered_for_ever(policy):
    for number in range(10_000):
        request(policy, (b"X-%d" % number, b""))
        policy.response([(b"X-%d" % number, b"")])

    assert len(policy._request) <= 4096
    assert len(policy._response) <= 4096


@pytest.fixture
async def proxy(start_proxy, upstream, transport_name):
    return await start_proxy(upstream.url, transport=transport_name)


async def test_request_headers_keep_order_case_and_duplicates(upstream, proxy):
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: example\r\nX-One: 1\r\nx-TWO: 2\r\nX-One: 3\r\n"
        b"authorization: Bearer sk-test\r\nAccept-Encoding: br;q=0.1, zstd\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n{}"
    )

    await proxy.raw(request)

    assert upstream.received[0].headers == [
        (b"host", f"127.0.0.1:{upstream.port}".encode()),
        (b"X-One", b"1"),
        (b"x-TWO", b"2"),
        (b"X-One", b"3"),
        (b"authorization", b"Bearer sk-test"),
        (b"Accept-Encoding", b"br;q=0.1, zstd"),
        (b"Content-Length", b"2"),
    ]
    assert upstream.received[0].body == b"{}"


async def test_nothing_is_added_to_a_request(upstream, proxy):
    await proxy.raw(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    assert [name for name, _ in upstream.received[0].headers] == [b"Host"]


async def test_response_headers_keep_order_case_and_duplicates(upstream, proxy):
    upstream.script(response(b"ok", headers=[("X-One", "1"), ("x-two", "2"), ("X-One", "3"), ("Set-Cookie", "a=b")]))

    answer = await proxy.raw(b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")

    lines = answer.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[:6] == [
        b"HTTP/1.1 200 OK",
        b"X-One: 1",
        b"x-two: 2",
        b"X-One: 3",
        b"Set-Cookie: a=b",
        b"Content-Length: 2",
    ]
    assert [line.split(b":")[0].lower() for line in lines[6:]] == [b"x-llm-proxy-id", b"connection"]


async def test_hop_by_hop_headers_end_here_both_ways(upstream, proxy):
    upstream.script(
        response(
            b"ok", headers=[("Connection", "x-private"), ("X-Private", "1"), ("Keep-Alive", "timeout=5"), ("X", "y")]
        )
    )
    request = (
        b"GET /v1/models HTTP/1.1\r\nHost: h\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 1\r\n"
        b"TE: trailers\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTrailer: T\r\n"
        b"Expect: 100-continue\r\nX: y\r\n\r\n"
    )

    answer = await proxy.raw(request)

    assert [name for name, _ in upstream.received[0].headers] == [b"Host", b"X"]
    head = answer.lower()
    assert b"x-private" not in head
    assert b"keep-alive" not in head
    assert b"\r\nx: y\r\n" in head


async def test_gateway_headers_do_not_go_upstream(upstream, proxy):
    headers = {"X-LLM-Tags": "a", "Helicone-Auth": "Bearer secret", "traceparent": "00-abc"}

    await proxy.client.post("/v1/chat/completions", json=CHAT, headers=headers)

    request = upstream.received[0]
    assert request.header("x-llm-tags") is None
    assert request.header("helicone-auth") is None
    assert request.header("traceparent") == b"00-abc"
    [exchange] = await proxy.ended()
    recorded = {name.lower(): value for name, value in exchange.request_headers}
    assert recorded["x-llm-tags"] == "a"
    assert recorded["helicone-auth"] is None


async def test_a_configured_key_takes_the_place_of_the_clients(start_proxy, upstream, transport_name):
    proxy = await start_proxy(upstream.url, transport=transport_name, credential=(b"Authorization", b"Bearer sk-ours"))

    await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"Authorization": "Bearer sk-theirs-1234567890"})

    values = [value for name, value in upstream.received[0].headers if name.lower() == b"authorization"]
    assert values == [b"Bearer sk-ours"]
    [exchange] = await proxy.ended()
    assert exchange.key_fingerprint.endswith("…7890")
    assert dict(exchange.request_headers)["Authorization"] is None


def test_the_documentation_lists_the_hop_by_hop_headers_and_keys():
    page = (Path(__file__).parents[2] / "docs" / "relay.md").read_text(encoding="utf-8")

    def names_in(row):
        [line] = [line for line in page.splitlines() if line.startswith(f"| {row}")]
        return {name.lower().encode() for name in re.findall("`([^`]+)`", line.split("|")[1])}

    assert names_in("Hop-by-hop headers") == HOP_BY_HOP
    assert names_in("The client's key") == CREDENTIAL_HEADERS
