"""Which paths are calls, and whose."""

import functools

import pytest
from hypothesis import given, strategies

from llm_proxy.proxy.addresses import ROOTS, Address, Addresses
from llm_proxy.proxy.providers import PROVIDER_NAMES

compatible = functools.partial(Address, is_native=False)
native = functools.partial(Address, is_native=True)
ADDRESSES = Addresses({"default", "my-azure", *PROVIDER_NAMES})


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/chat/completions", compatible(None, None, b"/chat/completions")),
        ("/v1/models", compatible(None, None, b"/models")),
        ("/v1/models/gpt-4o", compatible(None, None, b"/models/gpt-4o")),
        ("/v1/models/ft:gpt-4o:acme::1", compatible(None, None, b"/models/ft:gpt-4o:acme::1")),
        ("/v1/a%2Fb//./c", compatible(None, None, b"/a%2Fb//./c")),
        ("/v1/messages", compatible(None, "anthropic", b"/messages")),
        ("/v1/messages/count_tokens", compatible(None, "anthropic", b"/messages/count_tokens")),
        (
            "/v1/messages/batches/b1",
            compatible(None, "anthropic", b"/messages/batches/b1"),
        ),
        ("/v1/messages2", compatible(None, None, b"/messages2")),
        (
            "/v1/models/gemini-2.5-pro:generateContent",
            native(None, "google", b"/v1/models/gemini-2.5-pro:generateContent"),
        ),
        (
            "/v1/projects/p/locations/l/models/g:countTokens",
            Address(None, "google", b"/v1/projects/p/locations/l/models/g:countTokens", is_native=True),
        ),
        ("/v1/projects/proj_1", compatible(None, None, b"/projects/proj_1")),
        (
            "/v1beta/models/g:streamGenerateContent",
            native(None, "google", b"/v1beta/models/g:streamGenerateContent"),
        ),
        ("/v1alpha/models", native(None, "google", b"/v1alpha/models")),
        ("/upload/v1beta/files", native(None, "google", b"/upload/v1beta/files")),
        ("/model/a%3A0/converse", native(None, "bedrock", b"/model/a%3A0/converse")),
        (
            "/openai/deployments/d/chat/completions",
            native(None, "azure", b"/openai/deployments/d/chat/completions"),
        ),
        ("/openai/v1/responses?api-version=preview", native(None, "azure", b"/openai/v1/responses")),
        ("/openai/v1/responses?no-api-version=1", compatible("openai", None, b"/responses")),
        ("/openai/v1/responses", compatible("openai", None, b"/responses")),
        ("/anthropic/v1/messages", native("anthropic", None, b"/v1/messages")),
        ("/claude/v1/messages", native("claude", None, b"/v1/messages")),
        ("/google/v1beta/models", native("google", None, b"/v1beta/models")),
        ("/google/v1/chat/completions", compatible("google", None, b"/chat/completions")),
        ("/groq/chat/completions", compatible("groq", None, b"/chat/completions")),
        ("/my-azure/openai/files", native("my-azure", None, b"/openai/files")),
        ("/default/v1/models", native("default", None, b"/v1/models")),
    ],
)
def test_a_path_tells_whose_it_is_and_what_is_asked_of_it(path, expected):
    path, _, query = path.encode().partition(b"?")

    assert ADDRESSES.find(path, query) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/v1",
        "/v1beta",
        "/model",
        "/anthropic",
        "/api/v1/completions",
        "/Anthropic/v1/messages",
        "//v1/x",
        "v1/x",
        "",
    ],
)
def test_everything_else_is_no_call(path):
    assert ADDRESSES.find(path.encode(), b"") is None


@given(strategies.binary(max_size=100), strategies.sampled_from(sorted(ADDRESSES.roots - {"ws"})))
def test_nothing_of_a_path_is_lost_or_changed(rest, root):
    path = b"/" + root.encode() + b"/" + rest

    address = ADDRESSES.find(path, b"")

    assert path.endswith(address.path)
    assert path[: -len(address.path)] in (b"", b"/v1", b"/" + root.encode(), b"/" + root.encode() + b"/v1")


def test_every_call_begins_with_one_of_the_roots():
    assert ADDRESSES.roots > ROOTS | {"my-azure", "anthropic", "gemini"}
