"""How long lists, filters, searches and sums take over many records, alone and while others are written.

Run as ``python bench/scale.py [--records N] [--postgres URL] [--writes N]``. Records are written through the store's
own ``put``, with little text each: how long a page takes depends on how many there are. Their words are common ones, a
few rare ones, and ids that occur once. The database must be empty; SQLite is made in a directory that is removed.
"""

import argparse
import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from llm_proxy.model.completion import Bodies, Completion, Context, Cost, CostSource, JsonObject, Status, Usage
from llm_proxy.model.exchange import Chunks, Ending, Endpoint, new_id
from llm_proxy.model.json_text import encode_json
from llm_proxy.model.query import Attribute, Comparison, CompletionQuery, Condition
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.rows import to_micros
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sql_sums import SumsKeeper
from llm_proxy.store.sqlite import SqliteStore

BATCH = 500
DAYS = 30
ROUNDS = 12
MODELS = ("gpt-5", "gpt-4o", "claude-sonnet-4", "gemini-2.5-pro", "o3")
#: In one of so many records.
RARE_EVERY = 20_000

Action = Callable[[], Awaitable[object]]


class Maker:
    """Makes records, one after the other, over the last days."""

    def __init__(self, count: int) -> None:
        self._chance = random.Random(1)
        self._vocabulary = [f"{a}{b}" for a in SYLLABLES for b in SYLLABLES for _ in range(2)]
        self._end = datetime.now(UTC)
        self._step = timedelta(days=DAYS) / count
        self._count = count

    def make(self, number: int) -> Completion:
        chance = self._chance
        words = chance.choices(self._vocabulary, k=120)
        if number % RARE_EVERY == RARE_EVERY // 2:
            words.append("zyzzyva")
        question, answer = f"ticket-{new_id()} " + " ".join(words[:80]), " ".join(words[80:])
        model, failed = chance.choice(MODELS), chance.random() < 0.03
        request: JsonObject = {"model": model, "messages": [{"role": "user", "content": question}]}
        response: JsonObject = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
        sizes = chance.randint(20, 4000), chance.randint(5, 800)
        return Completion(
            id=new_id(),
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
            started_at=self._end - self._step * (self._count - number),
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


SYLLABLES = [a + b for a in "bcdfglmnprstv" for b in "aeiou"]


async def seed(store: SqlStore, count: int) -> tuple[str, str]:
    """Write the records; the id and the ticket of one in the middle."""
    await store.migrate()
    maker, started_s = Maker(count), time.perf_counter()
    chosen: Completion | None = None
    for first in range(0, count, BATCH):
        batch = [maker.make(number) for number in range(first, min(first + BATCH, count))]
        chosen = batch[0] if first <= count // 2 else chosen
        await store.put(batch)
    assert chosen is not None
    wrote_s = time.perf_counter()
    indexer = SearchIndexer(store)
    while await indexer.step():
        pass
    indexed_s = time.perf_counter()
    sums, now_us = SumsKeeper(store), to_micros(datetime.now(UTC))
    while await sums.step(until_us=now_us):
        pass
    times = wrote_s - started_s, indexed_s - wrote_s, time.perf_counter() - indexed_s
    print(
        "  written at {:,.0f}/s, indexed at {:,.0f}/s, summed up at {:,.0f}/s".format(*(count / one for one in times))
    )
    return chosen.id, (chosen.preview or "").split()[0]


def actions(store: SqlStore, found_id: str, ticket: str) -> Iterator[tuple[str, Action]]:
    """What is asked, by name."""
    end = datetime.now(UTC)
    slow = Condition(of=Attribute.LATENCY, comparison=Comparison.ABOVE, value=20.0)
    finds = {
        "list": CompletionQuery(),
        "model": CompletionQuery(model="gpt-4o"),
        "failed": CompletionQuery(status=Status.FAILED),
        "tag": CompletionQuery(tags=("nightly",)),
        "user": CompletionQuery(user_id="user-7"),
        "session": CompletionQuery(session_id="session-77"),
        "latency over 20 s": CompletionQuery(conditions=(slow,)),
        "a day, a month ago": CompletionQuery(since=end - timedelta(days=28), until=end - timedelta(days=27)),
        "search: id": CompletionQuery(search=found_id),
        "search: common word": CompletionQuery(search="baba"),
        "search: rare word": CompletionQuery(search="zyzzyva"),
        "search: part of one": CompletionQuery(search=ticket[12:30]),
        "search: nothing": CompletionQuery(search="xylophone"),
    }
    for name, query in finds.items():
        yield name, lambda query=query: store.find(query)  # type: ignore[misc]
    yield "one record", lambda: store.get(found_id)
    findings, statistics = SqlFindings(store), SqlSeries(store)
    yield "histogram, 30 days", lambda: findings.histogram(CompletionQuery(), end - timedelta(days=DAYS), end, count=60)
    for days, step in ((1, timedelta(hours=1)), (7, timedelta(hours=6)), (DAYS, timedelta(days=1))):
        query = SeriesQuery(
            calls=CompletionQuery(), since=end - timedelta(days=days), until=end, step=step, by=SeriesBy.MODEL
        )
        yield f"dashboard, {days} days by model", lambda query=query: statistics.series(query)  # type: ignore[misc]


async def measure(store: SqlStore, found_id: str, ticket: str, *, rounds: int) -> dict[str, tuple[float, float]]:
    """The half and 95 of a hundred, in seconds."""
    times: dict[str, tuple[float, float]] = {}
    for name, action in actions(store, found_id, ticket):
        taken = []
        for _ in range(rounds):
            started_s = time.perf_counter()
            await action()
            taken.append(time.perf_counter() - started_s)
            if sum(taken) > 30:
                break
        taken.sort()
        times[name] = taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.95))]
    return times


async def writing(store: SqlStore, rate: int) -> None:
    """Write so many records a second, and index them, until cancelled."""
    maker, number, indexer = Maker(1000), 0, SearchIndexer(store)
    while True:
        started_s = time.perf_counter()
        made = (maker.make(number + place) for place in range(rate // 5))
        await store.put([replace(one, started_at=datetime.now(UTC)) for one in made])
        number = (number + rate // 5) % 1000
        await indexer.step()
        await asyncio.sleep(max(0.0, 0.2 - (time.perf_counter() - started_s)))


async def run(store: SqlStore, name: str, options: argparse.Namespace) -> None:
    """Measure one store, and print its table."""
    print(f"{name}, {options.records:,} records")
    found_id, ticket = await seed(store, options.records)
    print(f"  {await store.disk_bytes() / options.records:,.0f} bytes a record")
    alone = await measure(store, found_id, ticket, rounds=options.rounds)
    task = asyncio.create_task(writing(store, options.writes))
    beside = await measure(store, found_id, ticket, rounds=options.rounds)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await store.close()
    print(f"| {name}, ms | p50 | p95 | p50 at {options.writes} writes/s | p95 |\n|---|---|---|---|---|")
    for what, values in alone.items():
        print(f"| {what} | " + " | ".join(f"{value * 1000:,.0f}" for value in (*values, *beside[what])) + " |")


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        await run(SqliteStore(Path(directory) / "store.sqlite3"), "SQLite", options)
    if options.postgres is not None:
        await run(PostgresStore(options.postgres), "PostgreSQL", options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--postgres", metavar="URL", help="an empty database to measure as well")
    parser.add_argument("--writes", type=int, default=200, help="records a second that are written beside")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asyncio.run(main(parser.parse_args()))
