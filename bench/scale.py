"""How long lists, filters, searches and sums take over many records, alone and while others are written.

Run as ``python -m bench.scale [--records N] [--sqlite PATH] [--postgres URL] [--writes N]``. What is read is what
seeding.py writes. A store that has that many records already is measured as it is, so that a file that is given, or a
database, need be filled only once; without a path, SQLite is made in a directory that is removed.
"""

import argparse
import asyncio
import contextlib
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from bench.seeding import DAYS, Maker, OpenStore, seeded
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Status
from llm_proxy.model.exchange import new_id
from llm_proxy.model.filter_words import GROUP_WORDS
from llm_proxy.model.filters import parse
from llm_proxy.model.query import Attribute, Comparison, CompletionQuery, Condition, Grouping, GroupQuery
from llm_proxy.model.series import SeriesBy, SeriesQuery
from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.rows import to_micros
from llm_proxy.store.search_indexer import SearchIndexer
from llm_proxy.store.sql_findings import SqlFindings
from llm_proxy.store.sql_overviews import SqlOverviews
from llm_proxy.store.sql_series import SqlSeries
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.store.sums_keeper import SumsKeeper
from llm_proxy.ui.histogram import span

ROUNDS = 12

Action = Callable[[], Awaitable[object]]


def is_(of: Attribute, comparison: str, value: str | float) -> CompletionQuery:
    return CompletionQuery(conditions=(Condition(of=of, comparison=Comparison(comparison), value=value),))


def lists(found_id: str, ticket: str) -> dict[str, CompletionQuery]:
    """What pages are asked for, by name."""
    end = datetime.now(UTC)
    return {
        "list": CompletionQuery(),
        "model": CompletionQuery(model="gpt-4o"),
        "failed": CompletionQuery(status=Status.FAILED),
        "tag": CompletionQuery(tags=("nightly",)),
        "user": CompletionQuery(user_id="user-7"),
        "session": CompletionQuery(session_id="session-77"),
        "a day, a month ago": CompletionQuery(since=end - timedelta(days=28), until=end - timedelta(days=27)),
        "latency, 1 in 1,000": is_(Attribute.LATENCY, ">", 20.0),
        "latency, none": is_(Attribute.LATENCY, ">", 1000.0),
        "cost, 1 in 10,000": is_(Attribute.COST, ">", 0.0071),
        "tokens, none": is_(Attribute.TOKENS, ">", 5000),
        "provider, none": is_(Attribute.PROVIDER, "=", "nobody"),
        "status, not finished": is_(Attribute.STATUS, "!=", "finished"),
        "key": is_(Attribute.KEY, "=", "0007…beef"),
        "search: id": CompletionQuery(search=found_id),
        "search: common word": CompletionQuery(search="baba"),
        "search: rare word": CompletionQuery(search="zyzzyva"),
        "search: part of one": CompletionQuery(search=ticket[12:30]),
        "search: nothing": CompletionQuery(search="xylophone"),
    }


#: How long a page of sessions looks for what its filter says, in seconds, as the page itself does.
GROUPS_PATIENCE_S = 1.0
#: What is asked of sessions and users, as it is written above their lists.
GROUPS = {
    "": "",
    " with a failed call": "status:failed",
    " with a call of a model": "model:gpt-4o",
    " with a slow call, 1 in 50": "latency:>20s",
    " with a call slower than any": "latency:>1000s",
    " without a failed call": "-status:failed",
    " by their cost, about half": "cost:>0.07",
    " by their cost, none": "cost:>1000",
    " by a common word": "text:baba",
    " by a rare word": "text:zyzzyva",
}


def groups(by: Grouping) -> dict[str, GroupQuery]:
    """What lists of sessions or users are asked for, by name."""
    now = datetime.now(UTC)
    asked = {what: parse(words, now=now, words=GROUP_WORDS) for what, words in GROUPS.items()}
    return {
        f"{by}s{what}": replace(
            found.group_query(by, DEFAULT_ORGANIZATION, project_id=None, now=now, after=None),
            patience_s=GROUPS_PATIENCE_S if found.words else None,
        )
        for what, found in asked.items()
    }


def sums() -> dict[str, SeriesQuery]:
    """What dashboards ask for, by name."""
    end = datetime.now(UTC)
    month = SeriesQuery(
        calls=CompletionQuery(),
        since=end - timedelta(days=DAYS),
        until=end,
        step=timedelta(days=1),
        by=SeriesBy.MODEL,
    )
    return {
        "1 hour": replace(month, since=end - timedelta(hours=1), step=timedelta(minutes=1)),
        "1 day": replace(month, since=end - timedelta(days=1), step=timedelta(hours=1)),
        "7 days": replace(month, since=end - timedelta(days=7), step=timedelta(hours=6)),
        "30 days": month,
        "30 days by user": replace(month, by=SeriesBy.USER),
        "1 day in steps of 10 minutes": replace(month, since=end - timedelta(days=1), step=timedelta(minutes=10)),
        "30 days of a model": replace(month, calls=CompletionQuery(model="gpt-4o")),
        "30 days of a user": replace(month, calls=CompletionQuery(user_id="user-7")),
        "30 days of slow calls": replace(month, calls=is_(Attribute.LATENCY, ">", 20.0)),
    }


def actions(store: SqlStore, found_id: str, ticket: str) -> Iterator[tuple[str, Action]]:
    """What is asked, by name."""
    for name, query in lists(found_id, ticket).items():
        yield name, partial(store.find, query)
    yield "one record", partial(store.get, found_id)
    overviews = SqlOverviews(store)
    for name, wanted in {**groups(Grouping.SESSION), **groups(Grouping.USER)}.items():
        yield name, partial(overviews.groups, wanted)
    findings, statistics, now = SqlFindings(store), SqlSeries(store), datetime.now(UTC)
    start, end, count = span(now - timedelta(days=DAYS), now)  # as the page does
    for what, query in {"": CompletionQuery(), " of slow calls": is_(Attribute.LATENCY, ">", 20.0)}.items():
        yield f"histogram, 30 days{what}", partial(findings.histogram, query, start, end, count=count)
    for name, series in sums().items():
        yield f"dashboard, {name}", partial(statistics.series, series)


async def measure(action: Action, *, rounds: int) -> tuple[float, float]:
    """The half and 95 of a hundred, in seconds."""
    taken: list[float] = []
    while len(taken) < rounds and sum(taken) < 30:
        started_s = time.perf_counter()
        await action()
        taken.append(time.perf_counter() - started_s)
    taken.sort()
    return taken[len(taken) // 2], taken[min(len(taken) - 1, int(len(taken) * 0.95))]


async def writing(store: SqlStore, rate: int) -> None:
    """Write so many records a second, index them and sum them up, as the product does, until cancelled."""
    maker, number, indexer, keeper = Maker(1000, start=2), 0, SearchIndexer(store), SumsKeeper(store)
    sum_at_s = 0.0
    while True:
        started_s = time.perf_counter()
        made = (maker.make(number + place) for place in range(rate // 5))
        await store.put([msgspec.structs.replace(one, id=new_id(), started_at=datetime.now(UTC)) for one in made])
        number = (number + rate // 5) % 1000
        await indexer.step()
        if started_s > sum_at_s:
            await keeper.step(until_us=to_micros(datetime.now(UTC)))
            sum_at_s = started_s + 60
        await asyncio.sleep(max(0.0, 0.2 - (time.perf_counter() - started_s)))


async def run(open_store: OpenStore, name: str, options: argparse.Namespace) -> None:
    """Measure one store, and print its table."""
    print(f"{name}, {options.records:,} records", flush=True)
    middle = await seeded(open_store, options.records)
    opened_s = time.perf_counter()
    store = open_store()
    await store.migrate()
    print(f"  opened in {time.perf_counter() - opened_s:.2f} s")
    print(f"  {await store.disk_bytes() / options.records:,.0f} bytes a record", flush=True)
    asked = dict(actions(store, middle.id, (middle.preview or "").split()[0]))
    print(f"| {name}, ms | p50 | p95 |\n|---|---|---|")
    task = asyncio.create_task(writing(store, options.writes)) if options.writes else None
    for what, action in asked.items():
        if options.only in what:
            half, most = await measure(action, rounds=options.rounds)
            print(f"| {what} | {half * 1000:,.0f} | {most * 1000:,.0f} |", flush=True)
    if task is not None:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    await store.close()


async def main(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = options.sqlite or Path(directory) / "store.sqlite3"
        if options.postgres is None or options.sqlite is not None:
            await run(partial(SqliteStore, path), "SQLite", options)
    if options.postgres is not None:
        await run(partial(PostgresStore, options.postgres), "PostgreSQL", options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--sqlite", metavar="PATH", type=Path, help="a file to make, or one that has the records")
    parser.add_argument("--postgres", metavar="URL", help="measure this database; it is empty, or has the records")
    parser.add_argument("--writes", type=int, default=200, help="records a second that are written beside; 0 for none")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="", metavar="TEXT", help="measure that of which the name holds this")
    asyncio.run(main(parser.parse_args()))
