"""Where calls can be sent to, and with which key."""

import pytest

from llm_proxy.errors import Refused
from llm_proxy.proxy.upstreams import Credential, Upstreams, upstream_at


def upstream(name, base_url="https://api.example/v1", provider=None, key=None):
    return upstream_at(name, base_url, provider=provider, key=key)


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


def test_a_known_host_tells_its_provider_unless_the_settings_do():
    known, said, unknown = (
        upstream("a", "https://api.groq.com/openai/v1"),
        upstream("a", "https://api.groq.com/openai/v1", provider="mine"),
        upstream("a"),
    )

    assert (known.provider, known.row.name) == ("groq", "groq")
    assert (said.provider, said.row) == ("mine", None)
    assert (unknown.provider, unknown.row) == (None, None)


@pytest.mark.parametrize(
    ("provider", "compatible", "native"),
    [
        (None, (b"Authorization", b"Bearer k"), (b"Authorization", b"Bearer k")),
        ("groq", (b"Authorization", b"Bearer k"), (b"Authorization", b"Bearer k")),
        ("bedrock", (b"Authorization", b"Bearer k"), (b"Authorization", b"Bearer k")),
        ("azure", (b"Api-Key", b"k"), (b"Api-Key", b"k")),
        ("anthropic", (b"Authorization", b"Bearer k"), (b"X-Api-Key", b"k")),
        ("gemini", (b"Authorization", b"Bearer k"), (b"X-Goog-Api-Key", b"k")),
    ],
)
def test_a_key_is_carried_as_its_provider_takes_it(provider, compatible, native):
    found = upstream("a", provider=provider, key="k")

    assert found.credential == Credential(compatible=compatible, native=native)


def test_without_a_key_the_client_brings_its_own():
    assert upstream("a", provider="anthropic").credential is None
