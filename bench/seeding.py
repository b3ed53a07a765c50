"""Fills a store with many records, through the store's own ``put``, indexed and summed up as a store at rest is.

They have little text each: how long a page takes depends on how many there are. Their words are common ones, a few rare
ones, and ids that occur once. Ids begin with the time of their call, as those of the proxy do. Indexing goes on in a
process of its own beside the writing.
"""

import asyncio
import multiprocessing
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing.synchronize import Event
from uuid import UUID

from llm_proxy.model.completion import Bodies, Completion, Context, Cost, CostSource, JsonObject, Status, Usage
from llm_proxy.model.exchange import Chunks, Ending, Endpoint
from llm_proxy.model.json_text import encode_json
from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.rows import to_micros
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sums_keeper import SumsKeeper

BATCH = 500
DAYS = 30
MODELS = ("gpt-5", "gpt-4o", "claude-sonnet-4", "gemini-2.5-pro", "o3")
#: In one of so many records.
RARE_EVERY = 20_000

OpenStore = Callable[[], SqlStore]


class Maker:
    """Makes records, one after the other, over the last days; of another ``start``, others."""

    def __init__(self, count: int, *, start: int = 1) -> None:
        self._chance = random.Random(start)
        self._vocabulary = [f"{a}{b}" for a in SYLLABLES for b in SYLLABLES for _ in range(2)]
        self._end = datetime.now(UTC)
        self._step = timedelta(days=DAYS) / max(1, count)
        self._count = count

    def make(self, number: int) -> Completion:
        chance = self._chance
        words = chance.choices(self._vocabulary, k=120)
        if number % RARE_EVERY == RARE_EVERY // 2:
            words.append("zyzzyva")
        at = self._end - self._step * (self._count - number)
        question, answer = f"ticket-{self._id(at)} " + " ".join(words[:80]), " ".join(words[80:])
        model, failed = chance.choice(MODELS), chance.random() < 0.03
        request: JsonObject = {"model": model, "messages": [{"role": "user", "content": question}]}
        response: JsonObject = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        sizes = chance.randint(20, 4000), chance.randint(5, 800)
        return Completion(
            id=self._id(at),
            status=Status.FAILED if failed else Status.FINISHED,
            ending=Ending.UPSTREAM_ERROR if failed else Ending.COMPLETE,
            http_status=500 if failed else 200,
            provider=f"provider-{MODELS.index(model)}",
            upstream="default",
            method="POST",
            path="/v1/chat/completions",
            endpoint=Endpoint.CHAT,
            kind="chat",
            model=model,
            response_model=model,
            context=Context(
                tags=(f"team-{chance.randrange(8)}", *(("nightly",) if number % 100 == 0 else ())),
                session_id=f"session-{number // 20}",
                user_id=f"user-{chance.randrange(500)}",
            ),
            key_fingerprint=f"{chance.randrange(20):04x}…beef",
            started_at=at,
            duration_s=chance.lognormvariate(0.5, 0.8),
            ttft_s=chance.lognormvariate(-1, 0.5),
            usage=Usage(input_tokens=sizes[0], output_tokens=sizes[1], total_tokens=sum(sizes)),
            cost=Cost(usd=Decimal(sizes[0] + 4 * sizes[1]) / 1_000_000, source=CostSource.LIST),
            preview=question[:200],
            bodies=Bodies(
                request_body=encode_json(request),
                response_body=encode_json(response),
                request=request,
                response=response,
                chunks=Chunks(),
            ),
        )

    def _id(self, at: datetime) -> str:
        """A UUIDv7 of that time (RFC 9562 section 5.7)."""
        chance = self._chance
        time_ms = int(at.timestamp() * 1000)
        number = time_ms << 80 | 7 << 76 | chance.getrandbits(12) << 64 | 2 << 62 | chance.getrandbits(62)
        return str(UUID(int=number))


SYLLABLES = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]


async def seeded(open_store: OpenStore, count: int) -> Completion:
    """Fill an empty store, index and sum up what is in it, and tell one of its records, near the middle."""
    store = open_store()
    try:
        await store.migrate()
        is_empty = not (await store.find(CompletionQuery(limit=1))).completions
        await _fill(store, open_store, count if is_empty else 0)
        middle = CompletionQuery(until=datetime.now(UTC) - timedelta(days=DAYS) / 2, limit=1)
        return (await store.find(middle)).completions[0]
    finally:
        await store.close()


async def _fill(store: SqlStore, open_store: OpenStore, count: int) -> None:
    started_s = time.perf_counter()
    spawning = multiprocessing.get_context("spawn")  # a process that is forked would lack the threads of this one
    written = spawning.Event()
    indexing = spawning.Process(target=_index, args=(open_store, written))
    indexing.start()
    maker = Maker(count)
    for first in range(0, count, BATCH):
        await store.put([maker.make(number) for number in range(first, min(first + BATCH, count))])
    wrote_s = time.perf_counter()
    written.set()
    await asyncio.to_thread(indexing.join)
    assert indexing.exitcode == 0
    indexed_s = time.perf_counter()
    sums, now_us = SumsKeeper(store), to_micros(datetime.now(UTC))
    while await sums.step(until_us=now_us):
        pass
    times = wrote_s - started_s, indexed_s - wrote_s, time.perf_counter() - indexed_s
    print("  {:,.0f} s of writing, {:,.0f} more of indexing, {:,.0f} of summing up".format(*times), flush=True)


def _index(open_store: OpenStore, written: Event) -> None:
    """Index until all that was written is."""

    async def run() -> None:
        store, left = open_store(), 1
        indexer = SearchIndexer(store)
        while left or not written.is_set():
            left = await indexer.step()
            if not left:
                await asyncio.sleep(0.1)
        await store.close()

    asyncio.run(run())
