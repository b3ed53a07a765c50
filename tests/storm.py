"""Calls of all kinds, made by clients that go on whatever happens, with a note of what each of them saw."""

import asyncio
import contextlib
import random
import re
import time
from dataclasses import dataclass, field

import httpx

from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Ending
from running import PATIENCE_S, until
from upstreams import LAST_CHUNK, RESET, SSE_HEAD, chat_answer, chat_chunk, chunk, json_response, streamed_chat

CLIENTS = 8
KINDS = ["plain", "plain", "streamed", "streamed", "slow", "failing", "broken off", "left"]
NAME = re.compile(rb'"(call-[0-9]+ [a-z ]+)"')


@dataclass
class Seen:
    """What the client knows of one call."""

    name: str
    id: str | None = None
    status: int | None = None
    body: bytes = b""
    #: Whether the end of the answer was seen.
    whole: bool = False
    #: On a monotonic clock, in seconds; the end is None while it runs.
    began_s: float = field(default_factory=time.monotonic)
    ended_s: float | None = None


@dataclass
class Load:
    """Clients that call, each one call after the other, until told to stop; failures are theirs to bear."""

    base_url: str
    chance: random.Random
    calls: list[Seen]
    stopping: bool = False
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    async def random_moment(self):
        """Some calls later, in the middle of whatever runs then."""
        enough = len(self.calls) + self.chance.randrange(CLIENTS, 4 * CLIENTS)
        await until(lambda: len(self.calls) >= enough, "further calls")
        await asyncio.sleep(self.chance.uniform(0, 0.1))

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        return self

    async def __aexit__(self, *error):
        self.stopping = True
        await asyncio.gather(*self.tasks)

    async def _client(self):
        async with httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client:
            while not self.stopping:
                kind = self.chance.choice(KINDS)
                seen = Seen(f"call-{len(self.calls)} {kind}")
                self.calls.append(seen)
                with contextlib.suppress(httpx.TransportError):
                    await self._call(client, kind, seen)
                await asyncio.sleep(self.chance.uniform(0, 0.05))

    async def _call(self, client, kind, seen):
        body = {
            "model": "gpt-4o",
            "stream": kind in ("streamed", "broken off", "left"),
            "messages": [{"role": "user", "content": seen.name}],
        }
        async with client.stream("POST", f"{self.base_url}/chat/completions", json=body) as response:
            seen.id, seen.status = response.headers["x-llm-proxy-id"], response.status_code
            async for piece in response.aiter_raw():
                seen.body += piece
                if kind == "left":
                    return
            seen.whole, seen.ended_s = True, time.monotonic()


def answer(request):
    """What the upstream says to a call of each kind."""
    name = NAME.search(request.body)[1].decode()
    match name.partition(" ")[2]:
        case "streamed":
            head, *events, last = streamed_chat(*(f"{word} " for word in name.split()), "and so on")
            return [head, *(step for event in events for step in (event, 0.02)), last]
        case "slow":
            whole = json_response(chat_answer(name))
            return [0.2, whole[:100], 0.2, whole[100:]]
        case "failing":
            return [json_response({"error": {"message": name}}, status="500 Internal Server Error")]
        case "broken off":
            return [SSE_HEAD, chunk(chat_chunk(name)), 0.05, RESET]
        case "left":
            return [SSE_HEAD, chunk(chat_chunk(name)), 0.3, chunk(chat_chunk("more")), LAST_CHUNK]
        case _:
            return [json_response(chat_answer(name))]


def check_call(seen, record):
    """If the client saw a byte, the log has it; if it saw the end, the record is whole and says how it ended."""
    body = record.bodies.response_body
    assert (record.id, record.http_status) == (seen.id, seen.status)
    assert body[: len(seen.body)] == seen.body
    assert not record.truncated
    if seen.whole:
        assert body == seen.body
        assert record.ending is (Ending.COMPLETE if seen.status == 200 else Ending.UPSTREAM_ERROR)
        assert record.status is (Status.FINISHED if seen.status == 200 else Status.FAILED)
    elif record.ending is Ending.ABORTED:
        assert record.status is Status.FAILED
        assert record.failure_reason
