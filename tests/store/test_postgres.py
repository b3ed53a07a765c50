"""What is PostgreSQL's own among the promises of a store."""

import asyncio
import random
import re
import signal
from contextlib import aclosing
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy.dialects import postgresql

from llm_proxy.errors import StoreUnavailable
from llm_proxy.model.completion import Bodies, Status
from llm_proxy.model.query import CompletionQuery, Cursor, Page
from llm_proxy.store import sql
from llm_proxy.store.postgres import PostgresStore
from records import NOON, conversation, record

PATIENCE_S = 30.0


@pytest.fixture
async def store(postgres_url):
    store = PostgresStore(postgres_url)
    yield store
    await store.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_a_server_that_comes_back_is_used_again(store, postgres, how):
    first, second = conversation(2)
    await store.put([first])
    assert await store.get(first.id) == first
    postgres.stop(how)

    try:
        for call in (store.put([second]), store.get(first.id), store.find(CompletionQuery()), store.delete(["1"])):
            with pytest.raises(StoreUnavailable, match=r"PostgreSQL at 127\.0\.0\.1"):
                await call
    finally:
        postgres.start()

    assert await store.get(first.id) == first
    await store.put([second])
    assert await store.get(second.id) == second


async def test_who_follows_goes_on_after_the_server_was_away(store, postgres):
    async with aclosing(store.changes(CompletionQuery(), poll_s=0.001)) as changes, asyncio.timeout(PATIENCE_S):
        await store.put([record(id="1")])
        assert (await anext(changes)).id == "1"
        postgres.stop()
        with pytest.raises(StoreUnavailable):
            await anext(changes)
        postgres.start()

    async with aclosing(store.changes(CompletionQuery(), poll_s=0.001)) as changes, asyncio.timeout(PATIENCE_S):
        waiting = asyncio.ensure_future(anext(changes))
        await store.find(CompletionQuery())
        await _put_when_it_answers(store, record(id="2"))
        assert (await waiting).id == "2"


async def _put_when_it_answers(store, completion) -> None:
    """The connection that wrote was cut, which only the next write finds out."""
    try:
        await store.put([completion])
    except StoreUnavailable:
        await store.put([completion])


async def test_a_database_without_tables_reads_as_empty(postgres):
    store = PostgresStore(postgres.url())

    assert await store.find(CompletionQuery()) == Page(completions=())
    assert await store.get("x") is None
    assert await store.schema_step() is None
    await store.close()


async def test_a_schema_of_another_version_is_not_misread(postgres, postgres_database):
    name = postgres.create_database(postgres_database)
    with psycopg.connect(postgres.url(name)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    store = PostgresStore(postgres.url(name))

    with pytest.raises(StoreUnavailable, match="its schema is at step 9999"):
        await store.find(CompletionQuery())

    assert await store.schema_step() == "9999"
    await store.close()
    postgres.drop_database(name)


async def test_no_more_connections_are_opened_than_allowed(postgres_url):
    store = PostgresStore(postgres_url, connections=2)
    await store.put([record()])

    await asyncio.gather(*(store.find(CompletionQuery()) for _ in range(20)))

    with psycopg.connect(postgres_url) as connection:
        (opened,) = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE application_name = 'llm-proxy' AND datname = current_database()"
        ).fetchone()
    assert opened == 2
    await store.close()


async def test_a_write_that_others_hold_up_too_long_is_given_up_and_taken_later(postgres_url):
    store = PostgresStore(postgres_url, statement_timeout_s=0.2)
    await store.put([record(id="0")])

    with psycopg.connect(postgres_url) as other:
        other.execute("LOCK TABLE completions IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(StoreUnavailable, match="statement timeout"):
            await store.put([record(id="1")])

    await store.put([record(id="1")])
    assert len((await store.find(CompletionQuery())).completions) == 2
    await store.close()


async def test_space_comes_back_after_much_was_deleted(store, postgres_url):
    noise = random.Random(1).randbytes
    for start in range(0, 1000, 250):
        ids = range(start, start + 250)
        await store.put([record(id=f"{number:04}", bodies=Bodies(request_body=noise(8000))) for number in ids])

    def size() -> int:
        with psycopg.connect(postgres_url) as connection:
            return connection.execute("SELECT pg_total_relation_size('completion_bodies_default')").fetchone()[0]

    full = size()
    assert full > 8_000_000

    receipt = await store.delete_matching(CompletionQuery())

    assert receipt.rows == receipt.bodies == 1000
    assert size() < full / 4
    assert await store.disk_bytes() == 0


CONDITIONS = [
    {},
    {"tags": ("a",)},
    {"session_id": "s"},
    {"user_id": "u"},
    {"model": "m"},
    {"status": Status.FAILED},
    {"since": NOON, "until": NOON + timedelta(days=1)},
    {"after": Cursor(started_at=NOON, id="x")},
]


@pytest.mark.parametrize("conditions", CONDITIONS, ids=lambda conditions: "-".join(conditions) or "all")
def test_no_list_is_sorted_but_read_in_the_order_of_an_index(postgres_url, conditions):
    compiled = sql.page(CompletionQuery(**conditions), merges=False).compile(
        dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
    )

    with psycopg.connect(postgres_url) as connection:
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")
        connection.execute("SET enable_sort = off")
        plan = [line for (line,) in connection.execute(f"EXPLAIN {compiled}").fetchall()]

    assert not [line for line in plan if re.search(r"(Seq Scan|Sort  )", line)], plan
