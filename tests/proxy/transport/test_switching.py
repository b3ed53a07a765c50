from llm_proxy.proxy.transport.base import Origin, UpstreamRequest
from llm_proxy.proxy.transport.switching import WithSwitching
from sockets import SEC_KEY, talking


def request_to(url, *, switches):
    port = int(url.rsplit(":", 1)[1].partition("/")[0])
    headers = [(b"Host", b"h")]
    if switches:
        headers += [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")]
        headers += [(b"Sec-WebSocket-Version", b"13"), (b"Sec-WebSocket-Key", SEC_KEY)]
    return UpstreamRequest(
        origin=Origin("http", "127.0.0.1", port), method=b"GET", target=b"/", headers=headers, switches=switches
    )


async def greet(connection):
    await connection.send("hello")


async def test_what_asks_for_another_protocol_gets_it_though_the_first_transport_knows_none(make_transport):
    transport = WithSwitching(make_transport("httpx"), make_transport("http1"))
    async with talking(greet) as url:
        switched = await transport.send(request_to(url, switches=True))
        greeting = await switched.read()
        switched.close()
        other = await transport.send(request_to(url, switches=False))
        other.close()

    assert switched.status == 101
    assert greeting.startswith(b"\x81\x05hello")
    assert other.status == 426
    assert other.switched is None
