"""What a call takes on the disk, and how fast records are written and read.

Run as ``python bench/storage.py [--postgres URL]``. Text comes from the standard library's own sources, of which no
part is used twice within a run, so that nothing is repeated but what an agent itself repeats; compressing it is neither
easier nor harder than other code and prose.
"""

import argparse
import asyncio
import json
import random
import sysconfig
import tempfile
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llm_proxy.model.completion import Bodies, Completion, Context, JsonObject, Status, Usage
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, new_id
from llm_proxy.store.base import Store
from llm_proxy.store.bodies import Packer
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.sqlite import SqliteStore

SESSIONS, TURNS, TOOLS = 12, 50, 12
SMALL_RECORDS = 6000
BATCH = 200
START = datetime(2026, 11, 24, tzinfo=UTC)


class Corpus:
    """Text that is never given out twice."""

    def __init__(self, seed: int) -> None:
        files = sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py"))
        random.Random(seed).shuffle(files)
        self._files = iter(files)
        self._text = ""

    def take(self, characters: int) -> str:
        while len(self._text) < characters:
            self._text += next(self._files).read_text(errors="replace")
        taken, self._text = self._text[:characters], self._text[characters:]
        return taken


@dataclass
class Agent:
    """One conversation that re-sends its history with every call."""

    corpus: Corpus
    tools: list[JsonObject]
    system: str
    streamed: bool
    chance: random.Random

    def calls(self) -> Iterator[Completion]:
        session_id = new_id()
        messages: list[JsonObject] = [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.corpus.take(self.chance.randint(200, 1200))},
        ]
        for turn in range(TURNS):
            request: JsonObject = {
                "model": "gpt-5",
                "messages": list(messages),
                "tools": list(self.tools),
                "stream": self.streamed,
                "temperature": 0.2,
            }
            message = self._answer(turn)
            yield call(request, answer(message), streamed=self.streamed, session_id=session_id, turn=turn)
            messages += [message, self._result(turn)]

    def _answer(self, turn: int) -> JsonObject:
        arguments = json.dumps({"command": self.corpus.take(self.chance.randint(40, 300))})
        function: JsonObject = {"name": f"tool_{turn % TOOLS}", "arguments": arguments}
        said = self.corpus.take(self.chance.randint(60, 400))
        tool_call: JsonObject = {"id": f"call_{turn}", "type": "function", "function": function}
        return {"role": "assistant", "content": said, "tool_calls": [tool_call]}

    def _result(self, turn: int) -> JsonObject:
        found = self.corpus.take(self.chance.choice([200, 600, 1500, 4000]))
        return {"role": "tool", "tool_call_id": f"call_{turn}", "content": found}


def tool(corpus: Corpus, number: int) -> JsonObject:
    properties: JsonObject = {
        f"argument_{index}": {"type": "string", "description": corpus.take(120)} for index in range(4)
    }
    parameters: JsonObject = {"type": "object", "properties": properties, "required": ["argument_0"]}
    function: JsonObject = {"name": f"tool_{number}", "description": corpus.take(300), "parameters": parameters}
    return {"type": "function", "function": function}


def answer(message: JsonObject) -> JsonObject:
    return {
        "id": f"chatcmpl-{new_id()}",
        "object": "chat.completion",
        "created": 1_795_521_600,
        "model": "gpt-5-2025-08-07",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 14_000, "completion_tokens": 120, "total_tokens": 14_120},
        "system_fingerprint": "fp_44709d6fcb",
    }


def call(request: JsonObject, response: JsonObject, *, streamed: bool, session_id: str, turn: int) -> Completion:
    """A finished record, as the worker makes one."""
    request_body = compact(request)
    response_body = sse(response) if streamed else compact(response)
    pieces = response_body.count(b"\n\n") or 1
    times_us = array("Q", [400_000 + 20_011 * index for index in range(pieces)])
    bodies = Bodies(
        request_headers=(("Content-Type", "application/json"), ("User-Agent", "OpenAI/Python 3.54.0"), *SDK_HEADERS),
        response_headers=(("content-type", "application/json"), ("x-request-id", new_id()), *PROVIDER_HEADERS),
        request_body=request_body,
        response_body=response_body,
        request=request,
        response=response,
        chunks=Chunks(times_us=times_us, sizes=array("Q", [len(response_body) // pieces] * pieces)),
    )
    return Completion(
        id=new_id(),
        status=Status.FINISHED,
        ending=Ending.COMPLETE,
        http_status=200,
        provider="openai",
        upstream="default",
        method="POST",
        path="/v1/chat/completions",
        endpoint=Endpoint.CHAT,
        kind="chat",
        model="gpt-5",
        response_model="gpt-5-2025-08-07",
        stream=streamed,
        context=Context(tags=("bench",), session_id=session_id, user_id="somebody"),
        client="127.0.0.1",
        key_fingerprint="5f1c…cdef",
        started_at=START + timedelta(seconds=turn),
        duration_s=1.25,
        ttfb_s=0.4,
        ttft_s=0.41,
        chunk_count=pieces,
        usage=Usage(input_tokens=14_000, output_tokens=120, total_tokens=14_120, raw={"prompt_tokens": 14_000}),
        finish_reasons=("tool_calls",),
        preview=str(request["messages"])[-200:],
        request_bytes=len(request_body),
        response_bytes=len(response_body),
        bodies=bodies,
    )


SDK_HEADERS = (
    ("X-Stainless-Lang", "python"), ("X-Stainless-Package-Version", "3.54.0"), ("X-Stainless-OS", "Linux"),
    ("X-Stainless-Arch", "x64"), ("X-Stainless-Runtime", "CPython"), ("X-Stainless-Runtime-Version", "3.12.4"),
    ("Authorization", None),
)  # fmt: skip
PROVIDER_HEADERS = (
    ("openai-processing-ms", "812"), ("openai-version", "2020-10-01"), ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-remaining-requests", "9999"), ("x-ratelimit-remaining-tokens", "1999000"),
)  # fmt: skip


def compact(value: JsonObject) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def sse(response: JsonObject) -> bytes:
    """The answer as a stream, four characters of its text in each event."""
    choice = response["choices"][0]
    head = {key: response[key] for key in ("id", "created", "model", "system_fingerprint")}
    text = choice["message"]["content"]
    deltas = [{"content": text[start : start + 4]} for start in range(0, len(text), 4)]
    deltas.append({"tool_calls": [{"index": 0} | choice["message"]["tool_calls"][0]]})
    events = [head | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    return b"".join(b"data: " + compact(event) + b"\n\n" for event in events) + b"data: [DONE]\n\n"


def agents(*, streamed: bool) -> list[Completion]:
    """The calls of several conversations at once, as a team's agents make them."""
    corpus, chance = Corpus(1), random.Random(1)
    prompts = [corpus.take(6000) for _ in range(3)]
    toolboxes = [[tool(corpus, number) for number in range(TOOLS)] for _ in range(3)]
    sessions = [Agent(corpus, toolboxes[n % 3], prompts[n % 3], streamed, chance).calls() for n in range(SESSIONS)]
    return [completion for turn in zip(*sessions, strict=True) for completion in turn]


def chats(count: int) -> list[Completion]:
    """Calls of about 6 KB, all different, behind one instruction."""
    corpus, chance = Corpus(2), random.Random(2)
    system: JsonObject = {"role": "system", "content": corpus.take(1500)}
    made = []
    for number in range(count):
        question: JsonObject = {"role": "user", "content": corpus.take(chance.randint(2000, 3600))}
        message: JsonObject = {"role": "assistant", "content": corpus.take(1000)}
        request: JsonObject = {"model": "gpt-5", "messages": [system, question]}
        made.append(call(request, answer(message), streamed=False, session_id=new_id(), turn=number))
    return made


def bodies_of(completions: list[Completion]) -> Iterator[bytes]:
    for completion in completions:
        assert completion.bodies is not None
        yield (completion.bodies.request_body or b"") + (completion.bodies.response_body or b"")


async def put(store: Store, completions: list[Completion]) -> tuple[float, float]:
    """Write all; wall seconds, and processor seconds of this process."""
    started, started_cpu = time.perf_counter(), time.process_time()
    for start in range(0, len(completions), BATCH):
        await store.put(completions[start : start + BATCH])
    return time.perf_counter() - started, time.process_time() - started_cpu


async def sizes(directory: Path, completions: list[Completion], name: str) -> None:
    path = directory / f"{name}.sqlite3"
    store = SqliteStore(path)
    await store.migrate()
    wall_s, _ = await put(store, completions)
    await store.close()
    count, raw = len(completions), sum(map(len, bodies_of(completions)))
    compress = Packer().compress
    zstd = sum(len(compress(body)) for body in bodies_of(completions))
    disk = path.stat().st_size
    print(f"{name}: {count} calls, {count / wall_s:,.0f} calls/s written")
    for what, total in {"raw JSON": raw, "zstd per row, bodies alone": zstd, "the file, all of it": disk}.items():
        print(f"  {what:28} {total / count:10,.0f} B/call   {total / disk:5.1f}x the file")


async def speed(store: Store, completions: list[Completion], name: str) -> None:
    await store.migrate()
    raw = sum(map(len, bodies_of(completions))) / len(completions)
    wall_s, cpu_s = await put(store, completions)
    count = len(completions)
    print(f"{name}: {count} calls of {raw:,.0f} B, {count / wall_s:,.0f}/s, {count / cpu_s:,.0f}/s per core of ours")
    chosen = random.Random(3).choices(completions, k=300)
    taken = []
    for completion in chosen:
        started = time.perf_counter()
        assert await store.get(completion.id) == completion
        taken.append(time.perf_counter() - started)
    taken.sort()
    print(f"  one record read: p50 {taken[150] * 1e3:.2f} ms, p99 {taken[297] * 1e3:.2f} ms")


async def main(postgres_url: str | None) -> None:
    with tempfile.TemporaryDirectory() as made:
        directory = Path(made)
        plain = agents(streamed=False)
        await sizes(directory, plain, "50-turn agents")
        await sizes(directory, agents(streamed=True), "50-turn agents, streamed")
        await speed(SqliteStore(directory / "chats.sqlite3"), chats(SMALL_RECORDS), "SQLite, chats")
        await speed(SqliteStore(directory / "agents.sqlite3"), plain, "SQLite, 50-turn agents")
    if postgres_url is not None:
        await speed(PostgresStore(postgres_url), chats(SMALL_RECORDS), "PostgreSQL, chats")
        await speed(PostgresStore(postgres_url), plain, "PostgreSQL, 50-turn agents")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="What a call takes on the disk, and how fast records are written.")
    options.add_argument("--postgres", metavar="URL", help="an empty database, to be written to as well")
    asyncio.run(main(options.parse_args().postgres))
