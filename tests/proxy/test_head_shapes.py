"""What the names alone tell is what a look at each header tells, whatever the values are."""

from itertools import permutations

import pytest

from llm_proxy.proxy.credentials import Fingerprints
from llm_proxy.proxy.head_shapes import Fate, request_shape, response_shape
from llm_proxy.proxy.headers import HeaderPolicy, HeaderRules

POLICY = HeaderPolicy(
    HeaderRules(
        stripped=frozenset({b"helicone-auth"}),
        stripped_prefixes=(b"x-llm-",),
        recorded_request=frozenset({b"content-type", b"host"}),
        recorded_response=frozenset({b"content-type"}),
        proxy_key_mark=b"llmp_",
        gateway_keys=frozenset({b"helicone-auth"}),
    ),
    Fingerprints(b"secret"),
)
HEADS = [
    [(b"Host", b"h"), (b"Authorization", b"Bearer sk-client-0123456789"), (b"Content-Length", b"7")],
    [(b"Host", b"h"), (b"Authorization", b"Bearer llmp_0123456789abcdef"), (b"Content-Length", b"8")],
    [(b"Host", b"h"), (b"Connection", b"keep-alive"), (b"X-A", b"1"), (b"X-A", b"2")],
    [(b"Host", b"h"), (b"Connection", b"x-a, close"), (b"X-A", b"1"), (b"X-A", b"2")],
    [(b"x-api-key", b"sk-1"), (b"Authorization", b"Bearer sk-2"), (b"X-LLM-Tags", b"a"), (b"Content-Type", b"a/b")],
    [(b"X-Amz-Security-Token", b"t"), (b"Authorization", b"Bearer sk-2"), (b"Transfer-Encoding", b"chunked")],
    [(b"Helicone-Auth", b"Bearer sk-h"), (b"Host", b"h"), (b"X-B", b"1")],
    [(b"Sec-WebSocket-Protocol", b"realtime, openai-insecure-api-key.sk-1"), (b"Host", b"h"), (b"X-B", b"1")],
    [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Host", b"h"), (b"X-B", b"1")],
    [(b"Host", b"h")],
    [],
]


@pytest.mark.parametrize("head", HEADS)
def test_a_request_is_judged_as_header_by_header_in_any_order(head):
    for headers in permutations(head):
        by_shape = [POLICY.request(list(headers)) for _ in range(2)]

        assert by_shape == [POLICY._judged(list(headers))] * 2


@pytest.mark.parametrize("head", HEADS)
def test_an_answer_is_judged_as_header_by_header_in_any_order(head):
    for headers in permutations(head):
        assert POLICY.response(list(headers)) == POLICY._judged_response(list(headers))


def test_heads_of_which_a_value_may_decide_have_no_shape():
    names = (b"Host", b"X-B", b"Upgrade")
    plain = [(Fate.HOST, True), (Fate.FORWARD, False)]

    assert request_shape(names[:2], plain) is not None
    for fate in (Fate.UPGRADE, Fate.PROTOCOLS, Fate.GATEWAY_KEY):
        assert request_shape(names, [*plain, (fate, False)]) is None
    assert response_shape((b"A",), [(True, True)]) is None
