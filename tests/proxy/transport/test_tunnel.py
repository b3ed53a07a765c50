"""The way through an HTTP proxy of one's own network."""

import asyncio
import base64
import contextlib
import socket

import pytest

from conftest import PATIENCE_S
from llm_proxy.errors import UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from llm_proxy.proxy.transport.tunnel import (
    OutgoingProxy,
    as_environment_says,
    directly,
    open_tunnel,
    through,
)
from upstreams import Upstream

PROVIDER = Origin("https", "api.example.com", 443)
HERE = [Origin("http", "127.0.0.1", 80), Origin("https", "localhost", 443), Origin("http", "::1", 80)]
ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


class TunnelProxy:
    """An HTTP proxy that can do CONNECT, and keeps what it was asked."""

    def __init__(self):
        self.heads = []
        self._writers = []

    async def start(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        host, _, port = head.split(b" ")[1].decode().rpartition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        self._writers += [writer, far_writer]
        writer.write(ESTABLISHED)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))


async def pump(reader, writer):
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
    writer.close()


@pytest.fixture
async def tunnel_proxy():
    made = TunnelProxy()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def tls_upstream(server_tls):
    made = Upstream()
    await made.start(tls=server_tls)
    yield made
    await made.stop()


async def test_a_call_goes_through_the_tunnel_with_tls_to_the_upstream_itself(
    make_transport, transport_name, tunnel_proxy, tls_upstream, client_tls
):
    proxy = OutgoingProxy("127.0.0.1", tunnel_proxy.port, b"Basic dTpw")
    transport = make_transport(transport_name, tls=client_tls, outgoing=lambda origin: proxy)
    headers = [(b"Host", b"x"), (b"Content-Length", b"2")]
    request = UpstreamRequest(
        origin=Origin("https", "localhost", tls_upstream.port),
        method=b"POST",
        target=b"/v1/x",
        headers=headers,
        body=b"{}",
    )

    answer = await transport.send(request)

    assert answer.status == 200
    assert [received.body for received in tls_upstream.received] == [b"{}"]
    assert b"proxy-authorization" not in {name.lower() for name, _ in tls_upstream.received[0].headers}
    (head,) = tunnel_proxy.heads
    assert head.startswith(b"CONNECT localhost:%d HTTP/1.1\r\n" % tls_upstream.port)
    assert b"\r\nproxy-authorization: basic dtpw\r\n" in head.lower()
    assert request.sending.tcp_s > 0
    assert request.sending.tls_s > 0
    answer.close()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n", "407 Proxy Authentication"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "403 Forbidden"),
        (b"220 mail.example.com ESMTP\r\n\r\n", "opens no tunnel"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", "more than was asked"),
        (b"HTTP/1.1 200 OK\r\n", "closed the connection"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 20_000, "closed the connection"),
    ],
)
async def test_what_is_no_tunnel_is_an_unreachable_upstream_and_says_why(answer, message):
    near, far = socket.socketpair()
    near.setblocking(False)
    far.sendall(answer)
    far.shutdown(socket.SHUT_WR)

    with near, far, pytest.raises(UpstreamUnreachable, match=message):
        async with asyncio.timeout(PATIENCE_S):
            await open_tunnel(near, OutgoingProxy("proxy.example", 3128), PROVIDER)


async def test_a_host_that_is_an_address_of_ipv6_stands_in_brackets():
    near, far = socket.socketpair()
    near.setblocking(False)
    far.sendall(ESTABLISHED)

    with near, far:
        await open_tunnel(near, OutgoingProxy("proxy.example", 3128), Origin("https", "2001:db8::1", 443))
        head = far.recv(1000)

    assert head == b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n"


def test_a_url_says_where_the_proxy_is_and_who_asks():
    assert through("http://us%40er:p%3Aw@proxy.example:3128")(PROVIDER) == OutgoingProxy(
        "proxy.example", 3128, b"Basic " + base64.b64encode(b"us@er:p:w")
    )
    assert through("http://proxy.example/")(PROVIDER) == OutgoingProxy("proxy.example", 80)


@pytest.mark.parametrize("here", [*HERE, Origin("http", "store", 80, "/run/store.sock")], ids=str)
def test_this_machine_is_reached_directly(here):
    assert directly(here) is None
    assert through("http://proxy.example")(here) is None
    assert as_environment_says({"http": "http://proxy.example", "https": "http://proxy.example"})(here) is None


def test_the_environment_names_a_proxy_for_each_scheme_and_what_goes_without():
    choose = as_environment_says(
        {"https": "http://secure.example:1", "all": "other.example:2", "no": "internal.example,10.0.0.1:8000"}
    )

    assert choose(PROVIDER) == OutgoingProxy("secure.example", 1)
    assert choose(Origin("http", "api.example.com", 80)) == OutgoingProxy("other.example", 2)
    assert choose(Origin("https", "llm.internal.example", 443)) is None
    assert choose(Origin("http", "10.0.0.1", 8000)) is None
    assert choose(Origin("http", "10.0.0.1", 8001)) == OutgoingProxy("other.example", 2)


def test_an_environment_without_proxies_changes_nothing(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    assert as_environment_says() is directly

    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    assert as_environment_says()(PROVIDER) == OutgoingProxy("proxy.example", 3128)


def test_a_proxy_that_is_not_reached_by_plain_http_is_refused():
    with pytest.raises(ValueError, match="begins with http://"):
        as_environment_says({"https": "socks5://proxy.example:1080"})
