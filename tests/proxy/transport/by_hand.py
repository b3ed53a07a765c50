"""An upstream that the test works by hand, so that it decides what the kernel has done when."""

import asyncio
import select
import socket

from llm_proxy.proxy.transport.base import Origin, UpstreamRequest

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class HandServer:
    """A listening socket."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.origin = Origin("http", "127.0.0.1", self.listener.getsockname()[1])

    async def accept(self):
        connection, _ = await asyncio.get_running_loop().sock_accept(self.listener)
        connection.setblocking(False)
        return connection

    def request(self, body=b"{}"):
        chunked = not isinstance(body, bytes)
        headers = [(b"Host", b"h")] if chunked else [(b"Host", b"h"), (b"Content-Length", b"%d" % len(body))]
        return UpstreamRequest(
            origin=self.origin, method=b"POST", target=b"/v1/x", headers=headers, body=body, chunked=chunked
        )


async def receive(connection):
    return await asyncio.get_running_loop().sock_recv(connection, 65536)


def readable(connection):
    return bool(select.select([connection], [], [], 0)[0])


async def answered_once(transport, server):
    """A connection in the pool, and the server's end of it."""
    sending = asyncio.create_task(transport.send(server.request()))
    connection = await server.accept()
    await receive(connection)
    connection.send(OK)
    response = await sending
    assert await response.read() == b"ok"
    response.close()
    return connection
