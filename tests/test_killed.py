"""Promise 2 and 4 under fire: processes are killed with SIGKILL at random moments while calls of all kinds run.

What the client saw and what the upstream received are written down here, beside the product, and compared with what is
on record at the end. The seed is printed; RANDOM_SEED repeats a run as far as timing allows.
"""

import asyncio
import contextlib
import os
import random
import re
from collections import Counter
from dataclasses import dataclass, field

import httpx
import pytest

from llm_proxy.metrics import read_all
from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Ending
from running import PATIENCE_S, serve, until
from upstreams import LAST_CHUNK, RESET, SSE_HEAD, chat_answer, chat_chunk, chunk, json_response, streamed_chat

CLIENTS = 8
KINDS = ["plain", "plain", "streamed", "streamed", "slow", "failing", "broken off", "left"]
NAME = re.compile(rb'"(call-[0-9]+ [a-z ]+)"')


@pytest.fixture
def chance():
    seed = int(os.environ.get("RANDOM_SEED") or random.randrange(2**32))
    print(f"RANDOM_SEED={seed}")  # noqa: T201 - shown with a failure
    return random.Random(seed)


@dataclass
class Seen:
    """What the client knows of one call."""

    name: str
    id: str | None = None
    status: int | None = None
    body: bytes = b""
    #: Whether the end of the answer was seen.
    whole: bool = False


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
            seen.whole = True


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


async def check(product, upstream, calls, *, kills):
    """Compare what was recorded with what the client saw and the upstream received; returns the records by name."""
    completions = await product.completions()
    names = [NAME.search(completion.bodies.request_body)[1].decode() for completion in completions]
    recorded = dict(zip(names, completions, strict=True))

    received = Counter(NAME.search(request.body)[1].decode() for request in upstream.received)
    assert {name: count for name, count in received.items() if count > 1} == {}, "sent upstream twice"
    assert {name: count for name, count in Counter(names).items() if count > 1} == {}, "recorded twice"
    assert received.keys() - recorded.keys() == set(), "not recorded"
    assert [name for name, record in recorded.items() if record.status is Status.STARTED] == []
    for seen in calls:
        if seen.id is not None:
            check_call(seen, recorded[seen.name])

    numbers = read_all(product.data_dir / "counters")
    # A process that is killed between writing and counting leaves the count one behind.
    assert abs(numbers["accepted"] - len(recorded)) <= kills
    assert abs(numbers["stored"] - len(recorded)) <= kills
    return recorded


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


def tell(calls, recorded):
    """What the storm was like, so that a quiet one is noticed."""
    endings = Counter(str(record.ending) for record in recorded.values())
    print(f"{len(calls)} calls, {sum(seen.whole for seen in calls)} seen whole, {dict(endings)}")  # noqa: T201
    return endings


async def test_killed_proxies_and_stores_lose_no_call_and_double_none(upstream, tmp_path, chance):
    upstream.choose, calls, kills = answer, [], ["proxy", "store", "proxy", "proxy", "store", "proxy"]

    async with serve(tmp_path, upstream.url) as product:
        async with Load(product.base_url, chance, calls) as load:
            for role in kills:
                await load.random_moment()
                await product.kill(role)
            await load.random_moment()
        await product.stop()
        recorded = await check(product, upstream, calls, kills=len(kills))

    endings = tell(calls, recorded)
    assert endings["aborted"] > 0, "no kill hit a call"
    assert endings["complete"] > 0


async def test_killed_supervisors_lose_no_call_and_double_none(upstream, tmp_path, chance):
    upstream.choose, calls, kills = answer, [], 2

    for _ in range(kills):
        async with serve(tmp_path, upstream.url, env={"LLM_PROXY_TIMEOUTS__DRAIN_S": "0.1"}) as product:
            async with Load(product.base_url, chance, calls) as load:
                await load.random_moment()
                product.process.kill()
                load.stopping = True
            await product.gone()
    async with serve(tmp_path, upstream.url) as product:
        async with Load(product.base_url, chance, calls) as load:
            await load.random_moment()
        await product.stop()
        recorded = await check(product, upstream, calls, kills=kills)

    assert tell(calls, recorded)["complete"] > 0


async def test_killed_all_at_once_they_lose_nothing_either(upstream, tmp_path, chance):
    upstream.choose, calls = answer, []

    async with serve(tmp_path, upstream.url) as product:
        async with Load(product.base_url, chance, calls) as load:
            await load.random_moment()
            load.stopping = True
            for process in product.processes():
                process.kill()
        await product.gone()
    async with serve(tmp_path, upstream.url) as product:
        await product.stop()
        recorded = await check(product, upstream, calls, kills=3)

    assert tell(calls, recorded)["complete"] > 0
