"""HTTP goes on behind a request that offers another protocol, and says whether it has a body."""

import pytest

from llm_proxy.proxy.wire_heads import leaves_http, same_framing

H2C = b"Host: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + H2C


async def test_an_unknown_upgrade_is_ignored(upstream, proxy):
    answer = await proxy.raw(b"GET /v1/models HTTP/1.1\r\n" + H2C + b"\r\nGET /v1/last HTTP/1.1\r\nHost: h\r\n"
                             b"Connection: close\r\n\r\n")  # fmt: skip

    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert [name for name, _ in upstream.received[0].headers] == [b"Host"]
    assert upstream.received[1].request_line == b"GET /v1/last HTTP/1.1"


@pytest.mark.parametrize(
    "body", [b"Content-Length: 2\r\n\r\n{}", b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"]
)
async def test_the_body_behind_an_unknown_upgrade_is_relayed_and_so_is_what_comes_then(upstream, proxy, body):
    last = POST.replace(b"Upgrade,", b"Upgrade, close,") + body
    reader, writer = await proxy.connect()

    writer.write(POST)  # each part by itself, as from a client that waits
    await writer.drain()
    for part in (body[:-1], body[-1:] + POST + body + last):
        writer.write(part)
        await writer.drain()
    answers = await reader.read()

    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert [request.body for request in upstream.received] == [b"{}"] * 3
    assert [call.request_body for call in await proxy.ended(3)] == [b"{}"] * 3
    writer.close()


@pytest.mark.parametrize(
    ("method", "offered", "leaves"),
    [
        (b"GET", b"websocket", True),
        (b"GET", b" WebSocket", True),
        (b"GET", b"h2c", False),
        (b"PUT", b"websocket", False),
    ],
)
def test_a_get_for_a_websocket_alone_leaves_http(method, offered, leaves):
    assert leaves_http(method, [(b"Host", b"h"), (b"upgrade", offered)]) is leaves


def test_the_second_head_has_what_frames_the_body_and_nothing_else():
    headers = [(b"Host", b"h"), (b"Upgrade", b"h2c"), (b"content-length", b"2"), (b"Connection", b"Upgrade, close")]

    assert same_framing("1.1", headers, keep_alive=False) == (
        b"POST / HTTP/1.1\r\ncontent-length: 2\r\nConnection: close\r\n\r\n"
    )
