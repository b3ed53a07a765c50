"""One verdict a header: on, away, changed; and recorded with its value or without."""

import pytest

from llm_proxy.proxy.credentials import Fingerprints
from llm_proxy.proxy.headers import HOP_BY_HOP, HeaderPolicy, HeaderRules

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


def request(policy, *headers, authorization=None):
    return policy.request(list(headers), host=b"api.example", authorization=authorization)


def test_what_nobody_has_a_rule_for_goes_on_in_order_case_and_number(policy):
    headers = [(b"X-A", b"1"), (b"x-b", b"2"), (b"X-A", b"3"), (b"Content-Length", b"7")]

    assert request(policy, *headers).forward == headers


def test_host_names_the_upstream_in_its_old_place(policy):
    head = request(policy, (b"A", b"1"), (b"hOsT", b"127.0.0.1:8080"), (b"B", b"2"))

    assert head.forward == [(b"A", b"1"), (b"hOsT", b"api.example"), (b"B", b"2")]


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_headers_end_here_both_ways_in_any_case(policy, name):
    assert request(policy, (name.title(), b"x")).forward == []
    assert policy.response([(name.upper(), b"x")])[0] == []


def test_what_connection_lists_ends_here_too(policy):
    headers = [(b"X-A", b"1"), (b"x-b", b"2"), (b"Connection", b"close, X-B ,x-A")]

    assert request(policy, *headers).forward == []
    assert policy.response([*headers, (b"X-C", b"3")])[0] == [(b"X-C", b"3")]


def test_connection_cannot_take_host_framing_or_key_away(policy):
    headers = [(b"Host", b"h"), (b"Content-Length", b"2"), (b"Authorization", b"Bearer k")]

    head = request(policy, (b"Connection", b"host, content-length, authorization"), *headers)

    assert [name for name, _ in head.forward] == [b"Host", b"Content-Length", b"Authorization"]


def test_gateway_headers_are_not_for_the_upstream(policy):
    head = request(policy, (b"X-LLM-Tags", b"a"), (b"Helicone-Auth", b"Bearer x"), (b"X", b"y"))

    assert head.forward == [(b"X", b"y")]
    assert head.recorded == [(b"X-LLM-Tags", b"a"), (b"Helicone-Auth", None), (b"X", None)]


@pytest.mark.parametrize("name", [b"Authorization", b"X-API-Key", b"api-key", b"x-goog-api-key"])
def test_a_key_goes_on_and_is_recorded_as_a_fingerprint(policy, name):
    head = request(policy, (name, b"Bearer sk-0123456789abcdef"))

    assert head.forward == [(name, b"Bearer sk-0123456789abcdef")]
    assert head.recorded == [(name, None)]
    assert head.key_fingerprint is not None
    assert head.key_fingerprint.endswith("…cdef")


def test_a_configured_key_takes_the_place_of_every_key_of_the_client(policy):
    theirs = [(b"Authorization", b"Bearer theirs"), (b"X-Api-Key", b"theirs")]

    head = request(policy, *theirs, (b"X", b"y"), authorization=b"Bearer ours")

    assert head.forward == [(b"X", b"y"), (b"Authorization", b"Bearer ours")]
    assert head.key_fingerprint == Fingerprints(b"secret").of(b"Bearer theirs")


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
