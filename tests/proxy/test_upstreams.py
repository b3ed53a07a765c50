"""Where calls can be sent to, and with which key."""

import pytest

from llm_proxy.errors import Refused
from llm_proxy.proxy.providers import provider_named
from llm_proxy.proxy.upstreams import Credential, Upstreams, upstream_at


def upstream(name, base_url="https://api.example/v1", provider=None, key=None):
    return upstream_at(name, base_url, provider=provider, key=key)


def test_an_upstream_is_found_by_name_the_default_too():
    default, other = upstream("default"), upstream("other")
    upstreams = Upstreams(default, {"other": other})

    assert upstreams.choose("other") is other
    assert upstreams.choose("default") is upstreams.default is default


def test_a_provider_is_found_by_any_of_its_names_the_configured_one_first():
    mine = upstream("mine", "https://claude.example/v1", provider="anthropic", key="k")
    known = [provider_named("anthropic"), provider_named("groq")]
    upstreams = Upstreams(upstream("default"), {"mine": mine}, known=known)

    assert upstreams.choose("anthropic") is upstreams.choose("claude") is upstreams.of("anthropic") is mine
    assert (upstreams.choose("groq").origin.host, upstreams.choose("groq").credential) == ("api.groq.com", None)
    assert upstreams.of("google") is None


def test_a_known_provider_that_is_not_to_be_called_is_refused_with_what_to_do():
    upstreams = Upstreams(upstream("default"), {})

    with pytest.raises(Refused, match=r"'azure' is to be configured here, as upstreams\.azure"):
        upstreams.choose("azure-openai")


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
    assert (said.provider, said.row.name) == ("mine", "groq")
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


@pytest.mark.parametrize(
    ("settings", "host", "base_path", "native_path"),
    [
        ({"name": "groq"}, b"api.groq.com", b"/openai/v1", b""),
        ({"name": "mine", "provider": "gemini"}, b"generativelanguage.googleapis.com", b"/v1beta/openai", b""),
        ({"name": "bedrock", "region": "us-east-1"}, b"bedrock-runtime.us-east-1.amazonaws.com", b"/openai/v1", b""),
        ({"name": "azure", "base_url": "https://r.openai.azure.com/"}, b"r.openai.azure.com", b"/openai/v1", b""),
        ({"name": "x", "base_url": "http://h:8000/deep/v1"}, b"h:8000", b"/deep/v1", b"/deep"),
        ({"name": "x", "base_url": "http://h:8000/deep"}, b"h:8000", b"/deep", b"/deep"),
        (
            {"name": "x", "base_url": "http://h/a/v1", "native_url": "http://h/b/", "provider": "anthropic"},
            b"h",
            b"/a/v1",
            b"/b",
        ),
    ],
)
def test_where_an_upstream_is_follows_from_what_is_known_and_said(settings, host, base_path, native_path):
    found = upstream_at(**{"base_url": None, "provider": None, "key": None} | settings)

    assert (found.host, found.base_path, found.native_path) == (host, base_path, native_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "x"}, "is required, unless provider names one that is known"),
        ({"name": "bedrock"}, "is required, since that of bedrock depends on region"),
        ({"name": "azure"}, "is required, since that of azure depends on the account"),
        ({"name": "x", "base_url": "http://h/v1", "aws": ("a", "b", None)}, "region is required for a signature"),
        ({"name": "x", "base_url": "http://h/v1", "native_url": "http://other"}, "must be at the host of base_url"),
    ],
)
def test_settings_that_do_not_add_up_are_said_in_a_sentence(settings, message):
    with pytest.raises(ValueError, match=message):
        upstream_at(**{"base_url": None, "provider": None, "key": None} | settings)


def test_a_header_of_ones_own_carries_the_key():
    found = upstream_at("x", "http://h/v1", provider="anthropic", key="k", key_header="x-gateway-key")

    assert found.credential == Credential(compatible=(b"X-Gateway-Key", b"k"), native=(b"X-Gateway-Key", b"k"))


def test_without_a_key_the_client_brings_its_own():
    assert upstream("a", provider="anthropic").credential is None


def test_the_region_of_a_signature_is_told_by_the_host_of_bedrock():
    found = upstream_at(
        "x", "https://bedrock-runtime.us-west-2.amazonaws.com", provider=None, key=None, aws=("id", "secret", None)
    )

    assert (found.signer.region, found.signer.service) == ("us-west-2", "bedrock")
