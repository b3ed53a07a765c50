"""A scripted upstream: a real server on a free port that says exactly the bytes that a test wants, when it wants.

A test gives a script per request, a sequence of steps; what the server received is kept for the test to look at.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

#: A step that ends the connection with a FIN, at once.
CLOSE = "close"
#: A step that ends the connection with a reset (RST).
RESET = "reset"
#: A step that waits until the client is gone.
WAIT_FOR_CLIENT_GONE = "wait until the client is gone"

Step = bytes | float | asyncio.Event | str


@dataclass
class Received:
    """One request as it came in."""

    head: bytes
    body: bytes = b""
    #: Set when the connection ended before the script did.
    client_gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def request_line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]

    def header(self, name: str) -> bytes | None:
        return next((value for key, value in self.headers if key.lower() == name.lower().encode()), None)


def response(body: bytes = b"", *, status: str = "200 OK", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A whole response with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def json_response(value: object, *, status: str = "200 OK", headers: Sequence[tuple[str, str]] = ()) -> bytes:
    """A whole response of JSON."""
    return response(json.dumps(value).encode(), status=status, headers=[("Content-Type", "application/json"), *headers])


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked encoding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"
SSE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chat_chunk(text: str | None = None, *, finish: str | None = None, model: str = "gpt-4o-2024-08-06") -> bytes:
    """One server-sent event of a streamed chat completion."""
    delta = {} if text is None else {"role": "assistant", "content": text}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    event = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def chat_answer(text: str = "Hello!", *, model: str = "gpt-4o-2024-08-06") -> dict[str, object]:
    """A chat completion that is not streamed."""
    message = {"role": "assistant", "content": text, "refusal": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }


def streamed_chat(*texts: str) -> list[bytes]:
    """The steps of a whole streamed chat completion."""
    events = [*(chat_chunk(text) for text in texts), chat_chunk(finish="stop"), b"data: [DONE]\n\n"]
    return [SSE_HEAD, *(chunk(event) for event in events), LAST_CHUNK]


class Upstream:
    """The server. Requests take the scripts in their order; without one the default script is used."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.connections = 0
        self.default: list[Step] = [json_response(chat_answer())]
        #: The body of the last request on a connection is left unread.
        self.answers_before_the_body = False
        self.choose: Callable[[Received], Iterable[Step]] | None = None
        self._scripts: list[list[Step]] = []
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.host = "127.0.0.1"

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def script(self, *steps: Step) -> None:
        """Say this to the next request that has no script yet."""
        self._scripts.append(list(steps))

    async def start(self, *, socket_path: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port, or on a Unix socket."""
        if socket_path is not None:
            self._server = await asyncio.start_unix_server(self._serve, socket_path, limit=2**20)
            return
        self._server = await asyncio.start_server(self._serve, self.host, self.port, limit=2**20, ssl=tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close everything: from now on connections are refused."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait_for_requests(self, count: int) -> None:
        """Until so many requests have arrived."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.received) >= count)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._serve_one(reader, writer):
                    pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        request = Received(head)
        if not self.answers_before_the_body:
            request.body = await self._read_body(reader, request)
        async with self._arrived:
            self.received.append(request)
            self._arrived.notify_all()
        if self.choose is not None:
            steps = self.choose(request)
        else:
            steps = self._scripts.pop(0) if self._scripts else list(self.default)
        for step in steps:
            if not await self._do(step, request, reader, writer):
                return False
        return True

    async def _read_body(self, reader: asyncio.StreamReader, request: Received) -> bytes:
        if length := request.header("content-length"):
            return await reader.readexactly(int(length))
        body = b""
        if request.header("transfer-encoding") == b"chunked":
            while size := int(await reader.readline(), 16):
                body += await reader.readexactly(size)
                await reader.readexactly(2)
            await reader.readexactly(2)
        return body

    async def _do(
        self, step: Step, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case float() | int():
                await asyncio.sleep(step)
            case asyncio.Event():
                await step.wait()
            case "close":
                writer.close()
                return False
            case "reset":
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                return False
            case _:
                with contextlib.suppress(ConnectionError):
                    await reader.read(1)
                request.client_gone.set()
                return False
        return True
