"""The write path of PostgreSQL: many writers at once, and when something is in the way."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from llm_proxy.errors import StoreRejected, StoreUnavailable
from llm_proxy.model.completion import Bodies
from llm_proxy.store import migrations
from llm_proxy.store.postgres_writer import PostgresWriter
from records import bare, conversation, record, tagged

_MIGRATE = (
    "import sys; from llm_proxy.store.postgres_writer import PostgresWriter;"
    "writer = PostgresWriter(sys.argv[1], statement_timeout_s=60);"
    "print(flush=True); sys.stdin.readline(); writer.migrate(); writer.close(); sys.exit('alembic' in sys.modules)"
)


@pytest.fixture
def open_writer(postgres_url):
    opened = []

    def open_() -> PostgresWriter:
        opened.append(PostgresWriter(postgres_url, statement_timeout_s=30))
        return opened[-1]

    yield open_
    for writer in opened:
        writer.close()


@pytest.fixture
def writer(open_writer):
    return open_writer()


@pytest.fixture
def count(postgres_url):
    def count_(*tables: str) -> list[int]:
        with psycopg.connect(postgres_url) as connection:
            return [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    return count_


TABLES = ("completions", "completion_tags", "completion_bodies", "body_links", "body_pieces")


def test_what_is_replaced_leaves_nothing_behind(writer, count):
    (call, _) = conversation(2)
    writer.put([call])
    assert count(*TABLES) == [1, 2, 1, 2, 2]

    writer.put([tagged(id=call.id, bodies=None)])

    assert count(*TABLES) == [1, 0, 0, 0, 0]


def test_a_start_that_comes_too_late_leaves_nothing_behind(writer, count):
    first, second = conversation(2)
    writer.put([record(id=first.id)])

    writer.put([bare(id=first.id, bodies=second.bodies)])

    assert count(*TABLES) == [1, 2, 1, 0, 0]


def test_many_that_write_the_same_at_once_write_it_once(open_writer, count):
    calls = conversation(20)
    writers = [open_writer() for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for batch in (calls, calls[::-1]):
            list(pool.map(lambda writer, batch=batch: writer.put(batch), writers))

    assert count(*TABLES) == [20, 40, 20, 21, 21]


def test_who_deletes_and_who_adds_do_not_take_each_others_pieces(open_writer, postgres_url, count):
    calls = conversation(12)
    one, other, third = open_writer(), open_writer(), open_writer()

    def put(writer) -> None:
        for call in calls * 3:
            writer.put([call])

    def delete() -> None:
        for call in calls * 3:
            third.delete([call.id], bodies_only=False)

    with ThreadPoolExecutor(3) as pool:
        done = [pool.submit(put, one), pool.submit(put, other), pool.submit(delete)]
        for future in done:
            future.result()

    with psycopg.connect(postgres_url) as connection:
        missing = connection.execute(
            "SELECT (SELECT count(*) FROM completion_bodies WHERE tip NOT IN (SELECT hash FROM body_links)),"
            " (SELECT count(*) FROM body_links WHERE parent NOT IN (SELECT hash FROM body_links)),"
            " (SELECT count(*) FROM body_links WHERE piece NOT IN (SELECT hash FROM body_pieces))"
        ).fetchone()
    assert missing == (0, 0, 0)
    third.delete([call.id for call in calls], bodies_only=False)
    assert count(*TABLES) == [0, 0, 0, 0, 0]


def test_numbers_of_changes_are_seen_in_their_order(open_writer, postgres_url):
    """One that counts on having seen all up to a number must not find a smaller one later."""
    writers = [open_writer() for _ in range(3)]
    seen: set[int] = set()
    newest = 0

    with ThreadPoolExecutor(3) as pool, psycopg.connect(postgres_url, autocommit=True) as reader:
        work = [pool.submit(lambda w=w: [w.put([bare(), bare(), bare()]) for _ in range(40)]) for w in writers]
        while True:
            over = all(one.done() for one in work)
            found = {change for (change,) in reader.execute("SELECT change FROM completions").fetchall()}
            assert not [change for change in found - seen if change < newest]
            seen, newest = found, max(found, default=0)
            if over:
                break
        for one in work:
            one.result()

    assert len(seen) == 360


#: Too long for an index, and not to be made shorter.
NOISE = "".join(map(chr, random.Random(1).choices(range(0x4E00, 0x9000), k=5000)))


@pytest.mark.parametrize(
    "bad",
    [record(chunk_count=2**63), record(http_status=2**15), record(model=NOISE), tagged("fine", NOISE)],
    ids=["number", "status", "model", "tag"],
)
def test_what_can_never_be_stored_is_rejected_by_name_and_nothing_of_its_batch_is_written(writer, count, bad):
    with pytest.raises(StoreRejected, match=bad.id):
        writer.put([record(), bad, record()])

    assert count("completions") == [0]
    writer.put([record()])
    assert count("completions") == [1]


@pytest.mark.parametrize("bad", [record(bodies=Bodies(request_body=NOISE.encode())), *conversation(1)])
def test_bodies_beyond_the_limit_of_a_message_are_rejected_by_name(writer, count, monkeypatch, bad):
    # The real limit is 1 GB, which would take its time.
    monkeypatch.setattr("llm_proxy.store.postgres_writer._MAX_BYTES", 500)

    with pytest.raises(StoreRejected, match=f"{bad.id}: its bodies are larger"):
        writer.put([record(bodies=None), bad])

    assert count("completions") == [0]


def test_an_error_that_no_record_of_the_batch_has_alone_blames_none(postgres, postgres_database):
    name = postgres.create_database(postgres_database)
    with psycopg.connect(postgres.url(name)) as connection:
        connection.execute("CREATE UNIQUE INDEX only_one ON completions_default (preview)")
    writer = PostgresWriter(postgres.url(name), statement_timeout_s=30)

    with pytest.raises(StoreUnavailable, match="only_one"):
        writer.put([record(id="x"), record(id="y")])

    writer.close()
    postgres.drop_database(name)


def test_a_store_that_was_not_migrated_is_unavailable(postgres):
    name = postgres.create_database()
    writer = PostgresWriter(postgres.url(name), statement_timeout_s=30)

    with pytest.raises(StoreUnavailable, match="does not exist"):
        writer.put([record()])

    writer.close()
    postgres.drop_database(name)


def test_several_processes_at_once_make_one_schema(postgres):
    name = postgres.create_database()
    command = [sys.executable, "-c", _MIGRATE, postgres.url(name)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for process in processes:
        process.stdout.readline()

    for process in processes:
        process.communicate(b"now\n")

    assert sorted({process.returncode for process in processes}) in ([0, 1], [1])  # 1: walked the steps
    with psycopg.connect(postgres.url(name)) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(migrations.HEAD,)]
    last = subprocess.run(command, input=b"now\n", stdout=subprocess.DEVNULL, check=False)
    assert last.returncode == 0  # without Alembic, which is slow to import
    postgres.drop_database(name)


def test_a_schema_of_a_newer_version_is_left_alone(postgres, postgres_database):
    name = postgres.create_database(postgres_database)
    with psycopg.connect(postgres.url(name)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    writer = PostgresWriter(postgres.url(name), statement_timeout_s=30)

    with pytest.raises(StoreUnavailable, match="newer llm-proxy"):
        writer.migrate()

    writer.close()
    postgres.drop_database(name)


def test_closing_twice_is_closing_once_and_the_next_write_opens_again(writer, count):
    writer.put([record()])
    writer.close()
    writer.close()

    writer.put([record()])

    assert count("completions") == [2]
