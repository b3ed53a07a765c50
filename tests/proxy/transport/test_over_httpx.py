"""What only the transport on httpx does: HTTP/2; and its errors as ours."""

import asyncio

import h2.config
import h2.connection
import h2.events
import httpx
import pytest

from llm_proxy.errors import ClientDisconnected, UpstreamBrokeOff, UpstreamTimeout, UpstreamUnreachable
from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from llm_proxy.proxy.transport.over_httpx import _translated
from upstreams import WAIT_FOR_CLIENT_GONE


class Http2Server(asyncio.Protocol):
    """Answers every request with two pieces and an empty last frame."""

    def __init__(self, received):
        self._received = received
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))

    def connection_made(self, transport):
        self._transport = transport
        self._http.initiate_connection()
        self._flush()

    def data_received(self, data):
        for event in self._http.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                self._received.append((event.headers, bytearray()))
            elif isinstance(event, h2.events.DataReceived):
                self._received[-1][1].extend(event.data)
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                self._answer(event.stream_id)
        self._flush()

    def _answer(self, stream):
        self._http.send_headers(stream, [(":status", "201"), ("x-a", "1"), ("x-a", "2"), ("content-length", "8")])
        self._http.send_data(stream, b"one ")
        self._http.send_data(stream, b"two ")
        self._http.send_data(stream, b"", end_stream=True)

    def _flush(self):
        self._transport.write(self._http.data_to_send())


async def test_an_upstream_that_can_is_spoken_to_in_http_2(make_transport, server_tls, client_tls):
    received = []
    server_tls.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(
        lambda: Http2Server(received), "127.0.0.1", 0, ssl=server_tls
    )
    transport = make_transport("httpx", tls=client_tls)
    request = UpstreamRequest(
        origin=Origin("https", "localhost", server.sockets[0].getsockname()[1]),
        method=b"POST",
        target=b"/v1/a%2Fb?x=%41",
        headers=[(b"Host", b"api.example"), (b"X-One", b"1"), (b"Content-Length", b"2")],
        body=b"{}",
    )

    response = await transport.send(request)
    body = b""
    while not response.complete:
        body += await response.read()
    response.close()

    assert (response.status, body) == (201, b"one two ")
    assert response.headers == [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"8")]
    [(headers, sent)] = received
    assert (b":path", b"/v1/a%2Fb?x=%41") in headers
    assert (b":authority", b"api.example") in headers
    assert (b"x-one", b"1") in headers
    assert sent == b"{}"
    await transport.close()
    server.close()


async def test_the_end_of_a_body_of_known_length_comes_with_its_last_byte(upstream, make_transport):
    upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", WAIT_FOR_CLIENT_GONE)
    request = UpstreamRequest(
        origin=Origin("http", upstream.host, upstream.port), method=b"GET", target=b"/", headers=[(b"Host", b"h")]
    )

    response = await make_transport("httpx").send(request)

    assert not response.complete
    assert await response.read() == b"ok"
    assert response.complete
    response.close()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (httpx.ConnectTimeout("x"), UpstreamTimeout),
        (httpx.ReadTimeout("x"), UpstreamTimeout),
        (httpx.WriteTimeout("x"), UpstreamTimeout),
        (httpx.ConnectError("x"), UpstreamUnreachable),
        (httpx.InvalidURL("x"), UpstreamUnreachable),
        (httpx.UnsupportedProtocol("x"), UpstreamUnreachable),
        (httpx.ReadError("x"), UpstreamBrokeOff),
        (httpx.WriteError("x"), UpstreamBrokeOff),
        (httpx.RemoteProtocolError("x"), UpstreamBrokeOff),
        (ClientDisconnected("x"), ClientDisconnected),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
def test_errors_say_what_to_do_about_them(theirs, ours):
    with pytest.raises(ours), _translated():
        raise theirs
