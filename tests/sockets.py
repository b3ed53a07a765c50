"""Upstreams that speak WebSocket: real ones of the library ``websockets``, and one that is worked by hand."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SEC_KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    b"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: proxy\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + SEC_KEY + b"\r\n\r\n"
)

Talk = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk, **options: Any) -> AsyncIterator[str]:
    """A server that has this talk with everybody who connects; its base URL."""
    async with serve(talk, "127.0.0.1", 0, **options) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"http://127.0.0.1:{port}/v1"


def switching(head: bytes) -> bytes:
    """The 101 that answers a handshake."""
    key = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key")).split(b": ")[1]
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # as RFC 6455 has it
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accept
        + b"\r\n\r\n"
    )


class ByHand:
    """An upstream that grants the switch and then does what a test does with its two ends."""

    def __init__(self) -> None:
        self.url = ""
        self.head = b""
        self.connected = asyncio.Event()
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter
        self.writers: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self.head = await reader.readuntil(b"\r\n\r\n")
        writer.write(switching(self.head))
        self.reader, self.writer = reader, writer
        self.writers.append(writer)
        self.connected.set()


@asynccontextmanager
async def by_hand() -> AsyncIterator[ByHand]:
    """An upstream to be worked by hand."""
    upstream = ByHand()
    server = await asyncio.start_server(upstream.take, "127.0.0.1", 0, limit=2**16)
    upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield upstream
    finally:
        server.close()
        for writer in upstream.writers:
            writer.transport.abort()
        for _ in range(3):  # the loop closes an aborted transport in its next rounds
            await asyncio.sleep(0)
