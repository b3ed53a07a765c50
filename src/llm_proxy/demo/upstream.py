"""The scripted upstream as a server: as much of HTTP/1.1 as a proxy needs, and answers from a script.

It listens on a socket that it is given and belongs to one event loop. A request that it does not understand ends its
connection, never the server.
"""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

from llm_proxy.demo.answers import Answer, answer

_HEAD_END = b"\r\n\r\n"


class ScriptedUpstream:
    """Answers every request from the script of answers.py."""

    def __init__(self) -> None:
        #: How many requests have arrived.
        self.arrived = 0
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def listening(self, listener: socket.socket) -> AsyncIterator[None]:
        """Serve on ``listener``, which is closed at the end, and with it every connection."""
        server = await asyncio.start_server(self._serve, sock=listener)
        try:
            yield
        finally:
            server.close()
            for connection in self._connections:
                connection.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            # Whoever asks may leave at any time; what is no request is left unanswered.
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ValueError, LookupError, TypeError):
                while await self._answer_one(reader, writer):
                    pass
        except asyncio.CancelledError:  # by the end of the server; nobody waits for this task
            pass
        finally:
            self._connections.discard(connection)
            writer.transport.abort()

    async def _answer_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can be used again."""
        request_line, *lines = (await reader.readuntil(_HEAD_END)).decode("latin-1").splitlines()
        path = request_line.split(" ")[1].partition("?")[0]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.arrived += 1
        said = answer(path, json.loads(body or b"{}"), authorization=headers.get("authorization", ""))
        await _send(said, writer)
        return said.complete


async def _send(said: Answer, writer: asyncio.StreamWriter) -> None:
    is_stream = len(said.pieces) > 1
    framing = "Transfer-Encoding: chunked" if is_stream else f"Content-Length: {len(said.pieces[0][1])}"
    head = (
        f"HTTP/1.1 {said.status} {HTTPStatus(said.status).phrase}",
        f"Content-Type: {said.content_type}",
        framing,
        "",
        "",
    )
    before = "\r\n".join(head).encode()
    for pause_s, piece in said.pieces:
        await asyncio.sleep(pause_s)
        writer.write(before + (b"%x\r\n%b\r\n" % (len(piece), piece) if is_stream else piece))
        await writer.drain()
        before = b""
    if is_stream and said.complete:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
