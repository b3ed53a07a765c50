"""Addresses that a client names itself."""

import pytest

from conftest import CHAT
from llm_proxy.errors import Refused, UpstreamUnreachable
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.target_hosts import TargetHosts
from llm_proxy.proxy.upstreams import Upstreams, upstream_at
from upstreams import response

PUBLIC = "93.184.215.14"
UPSTREAMS = Upstreams(upstream_at("default", "https://api.openai.com/v1", provider=None, key="k"), {})
LISTED = ("api.example.com", "*.models.example", "http://plain.example:8000", "10.0.0.5:8443", "[fd00::1]", "localhost")


def hosts(*addresses):
    """The list, with a system that knows these addresses of every name."""

    async def look_up(host, port):
        if not addresses:
            raise OSError("unknown")
        return [host] if host[0].isdigit() or ":" in host else list(addresses)

    return TargetHosts(LISTED, timeout_s=30, look_up=look_up)


@pytest.mark.parametrize(
    ("url", "host", "port", "base_path", "address"),
    [
        ("https://api.example.com", "api.example.com", 443, b"/v1", PUBLIC),
        ("https://API.example.com:443/", "api.example.com", 443, b"/v1", PUBLIC),
        ("https://api.example.com/deep/v2/", "api.example.com", 443, b"/deep/v2", PUBLIC),
        ("https://eu.models.example/v1", "eu.models.example", 443, b"/v1", PUBLIC),
        ("https://a.b.models.example/v1", "a.b.models.example", 443, b"/v1", PUBLIC),
        ("http://plain.example:8000", "plain.example", 8000, b"/v1", PUBLIC),
        ("https://10.0.0.5:8443/v1", "10.0.0.5", 8443, b"/v1", "10.0.0.5"),
        ("https://[fd00::1]/v1", "fd00::1", 443, b"/v1", "fd00::1"),
    ],
)
async def test_a_listed_host_is_called_at_the_address_that_was_found(url, host, port, base_path, address):
    found = await hosts(PUBLIC).upstream(url, UPSTREAMS)

    assert (found.origin.host, found.origin.port, found.base_path) == (host, port, base_path)
    assert found.origin.address == address
    assert found.credential is None


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example",
        "https://api.example.com.evil.example",
        "https://api.example.com:8443",
        "http://api.example.com",
        "https://plain.example:8000",
        "https://models.example",
        "https://evilmodels.example",
        "https://10.0.0.5",
        "https://169.254.169.254/latest",
        "https://api.example.com@evil.example",
        "https://user:password@api.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com#x",
        "https://api.example.com:0",
        "https://api.example.com:99999",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "api.example.com",
        "https://",
        "https://[",
        "https://\xe4pi.example.com",
    ],
)
async def test_everything_else_is_refused(url):
    with pytest.raises(Refused) as refused:
        await hosts(PUBLIC).upstream(url, UPSTREAMS)

    assert (refused.value.status, refused.value.code) == (403, "target_not_allowed")


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.5"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:10.0.0.1"],
        ["224.0.0.1"],
        [PUBLIC, "192.168.0.1"],
    ],
)
async def test_a_listed_name_with_an_address_that_is_not_public_is_refused(addresses):
    with pytest.raises(Refused, match="not public"):
        await hosts(*addresses).upstream("https://api.example.com", UPSTREAMS)


async def test_a_name_without_an_address_is_unreachable():
    with pytest.raises(UpstreamUnreachable, match=r"no host 'api\.example\.com'"):
        await hosts().upstream("https://api.example.com", UPSTREAMS)


async def test_the_host_of_an_upstream_is_that_upstream_and_needs_no_list():
    found = await hosts(PUBLIC).upstream("https://api.openai.com/anything", UPSTREAMS)

    assert found is UPSTREAMS.default


@pytest.mark.parametrize("entry", ["", "http://", "ftp://h", "h/path", "user@h", "h:port"])
def test_an_entry_that_is_no_host_is_an_error(entry):
    with pytest.raises(ValueError, match=r"must be a host|Port could not"):
        TargetHosts((entry,), timeout_s=30)


@pytest.mark.parametrize("name", ["Helicone-Target-URL", "Helicone-OpenAI-Api-Base", "x-portkey-custom-host"])
async def test_a_call_goes_to_the_address_that_its_header_names_with_its_own_key(
    start_proxy, upstream, transport_name, name
):
    listed = f"http://127.0.0.1:{upstream.port}"
    proxy = await start_proxy(
        "http://127.0.0.1:1/v1", transport=transport_name, target_hosts=(listed,), keys={"default": "ours"}
    )
    upstream.script(response(b"moved", status="302 Found", headers=[("Location", "http://127.0.0.1:1/")]))

    answer = await proxy.client.post(
        "/v1/chat/completions", json=CHAT, headers={name: f"{listed}/deep/v1", "Authorization": "Bearer theirs"}
    )

    assert (answer.status_code, answer.content) == (302, b"moved")
    [received] = upstream.received
    assert received.request_line == b"POST /deep/v1/chat/completions HTTP/1.1"
    assert received.header("authorization") == b"Bearer theirs"
    assert received.header("host") == f"127.0.0.1:{upstream.port}".encode()
    [exchange] = await proxy.ended()
    assert exchange.upstream == "127.0.0.1"


async def test_a_call_to_an_address_that_is_not_listed_is_refused_and_on_record(proxy, upstream):
    answer = await proxy.client.post(
        "/v1/chat/completions", json=CHAT, headers={"Helicone-Target-URL": "http://169.254.169.254/"}
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "target_not_allowed")
    assert upstream.received == []
    [exchange] = await proxy.ended()
    assert exchange.ending is Ending.REFUSED
