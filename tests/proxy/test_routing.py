"""Where a call goes."""

import pytest

from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.routing import Upstream, Upstreams, Wishes, endpoint_of, upstream_target, wishes
from llm_proxy.proxy.transport.base import Origin


def upstream(name, base_path=b"/v1"):
    origin = Origin("https", "api.example", 443)
    return Upstream(name=name, provider=None, origin=origin, host=b"api.example", base_path=base_path)


def test_nobody_named_is_the_default():
    default = upstream("default")

    assert Upstreams(default, {"other": upstream("other")}).choose(None) is default


def test_an_upstream_is_found_by_name_the_default_too():
    default, other = upstream("default"), upstream("other")
    upstreams = Upstreams(default, {"other": other})

    assert upstreams.choose("other") is other
    assert upstreams.choose("default") is default


def test_an_unknown_name_is_refused_with_those_that_exist():
    upstreams = Upstreams(upstream("default"), {"other": upstream("other")})

    with pytest.raises(Refused, match=r"'nobody'.*default, other") as refused:
        upstreams.choose("nobody")

    assert (refused.value.status, refused.value.code) == (400, "unknown_provider")


@pytest.mark.parametrize(
    ("headers", "path_context", "expected"),
    [
        ([], None, Wishes()),
        ([(b"X-LLM-Other", b"x")], None, Wishes()),
        ([(b"X-LLM-Provider", b" Groq ")], None, Wishes("groq", "full")),
        ([(b"x-llm-log", b"OFF")], None, Wishes(None, "off")),
        ([(b"X-LLM-Log", b"metadata")], "log=off", Wishes(None, "metadata")),
        ([], "provider=groq;log=metadata;tags=a", Wishes("groq", "metadata")),
        ([(b"X-LLM-Provider", b"a")], "provider=b;log=off", Wishes("a", "off")),
        ([(b"X-LLM-Log", b"never heard of")], None, Wishes(None, "full")),
        ([(b"X-LLM-Log", b"never heard of")], "log=off", Wishes(None, "off")),
        ([(b"X-LLM-Provider", b"")], "provider=b", Wishes("b", "full")),
        ([(b"X-LLM-Log", b"\xff")], None, Wishes(None, "full")),
        ([], "", Wishes()),
    ],
)
def test_a_header_beats_the_path_and_an_unknown_word_changes_nothing(headers, path_context, expected):
    assert wishes(headers, path_context) == expected


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
    assert upstream_target(upstream("u", base_path), path, query) == target
