"""Records lie in parts by month, wherever their ids come from, and an empty part is no more."""

import threading
from datetime import UTC, datetime

import psycopg
import pytest

from llm_proxy.store.postgres import PostgresStore
from llm_proxy.store.postgres_partitions import drop_empty_parts, make_parts, month_of, months_needed
from records import record

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
#: UUIDv7 of the first and the last millisecond of 2024-02, and of the one after.
FIRST, LAST, AFTER = "018d61f7-1800", "018df74f-83ff", "018df74f-8400"


@pytest.fixture
def database(postgres, postgres_database):
    """One of its own, since parts outlive their records."""
    name = postgres.create_database(postgres_database)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def connection(database):
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def insert(connection, *ids: str) -> None:
    for one in ids:
        connection.execute(
            "INSERT INTO completions (id, organization_id, started_at_us, status, method, path, endpoint, truncated)"
            " VALUES (%s, 'default', 0, 'finished', 'POST', '/', 'other', false)",
            (one,),
        )


def part_of(connection, one: str) -> str:
    return connection.execute("SELECT tableoid::regclass::text FROM completions WHERE id = %s", (one,)).fetchone()[0]


def parts(connection) -> list[str]:
    found = connection.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '_2024_02$'").fetchall()
    return sorted(name for (name,) in found)


@pytest.mark.parametrize(
    ("record_id", "month"),
    [
        (f"{FIRST}-7000-8000-000000000000", (2024, 2)),
        (f"{LAST}-7fff-bfff-ffffffffffff", (2024, 2)),
        (f"{AFTER}-7000-8000-000000000000", (2024, 3)),
        (f"{FIRST}-7000-8000-000000000000\x1a/organisation", (2024, 2)),
        ("00000000-0000-7000-8000-000000000000", None),
        ("ffffffff-ffff-7fff-bfff-ffffffffffff", None),
        ("018D61F7-1800-7000-8000-000000000000", None),
        ("chatcmpl-1", None),
        ("", None),
    ],
)
def test_the_month_of_a_record_follows_from_its_id(record_id, month):
    assert month_of(record_id, NOW) == month


def test_a_clock_that_is_ahead_makes_a_month_but_not_a_year():
    assert month_of("019b5000-0000-7000", NOW) == (2025, 12)
    assert month_of("019b5000-0000-7000", datetime(2025, 11, 30, tzinfo=UTC)) == (2025, 12)
    assert month_of("019b5000-0000-7000", datetime(2025, 10, 30, tzinfo=UTC)) is None


def test_this_month_and_the_next_are_always_needed():
    assert months_needed([], NOW) == {(2026, 11), (2026, 12)}
    assert months_needed([], datetime(2026, 12, 31, tzinfo=UTC)) == {(2026, 12), (2027, 1)}
    assert months_needed([f"{FIRST}-7000", "x"], NOW) == {(2024, 2), (2026, 11), (2026, 12)}


def test_a_record_is_in_the_part_of_its_month_and_others_in_the_one_for_all_others(connection):
    make_parts(connection, [(2024, 2)])

    insert(connection, f"{FIRST}-7", f"{LAST}-7", f"{AFTER}-7", "x", "")

    assert part_of(connection, f"{FIRST}-7") == part_of(connection, f"{LAST}-7") == "completions_2024_02"
    assert {part_of(connection, one) for one in (f"{AFTER}-7", "x", "")} == {"completions_default"}


def test_what_came_before_its_part_moves_into_it(connection):
    insert(connection, f"{FIRST}-7", "x")

    make_parts(connection, [(2024, 2)])
    make_parts(connection, [(2024, 2)])

    assert part_of(connection, f"{FIRST}-7") == "completions_2024_02"
    assert part_of(connection, "x") == "completions_default"


def test_several_may_make_the_same_parts_at_once(database):
    problems = []

    def make() -> None:
        try:
            with psycopg.connect(database, autocommit=True) as own:
                make_parts(own, [(2024, 2), (2024, 3)])
        except psycopg.Error as exc:
            problems.append(exc)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []


def test_an_id_is_unique_over_all_parts(connection):
    make_parts(connection, [(2024, 2)])
    insert(connection, f"{FIRST}-7", "x")

    for one in (f"{FIRST}-7", "x"):
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(connection, one)


def test_parts_of_the_past_that_are_empty_are_dropped(connection):
    make_parts(connection, [(2024, 2), (2024, 3)])
    insert(connection, f"{FIRST}-7")

    dropped = drop_empty_parts(connection, NOW)

    tables = ("completion_bodies", "completion_tags")
    assert [name for name in dropped if name.endswith("_2024_02")] == [f"{table}_2024_02" for table in tables]
    assert parts(connection) == ["completions_2024_02"]
    assert part_of(connection, f"{FIRST}-7") == "completions_2024_02"
    make_parts(connection, [(2024, 2)])
    assert len(parts(connection)) == 3


def test_a_part_that_somebody_reads_is_dropped_another_time(connection, database):
    make_parts(connection, [(2024, 2)])

    with psycopg.connect(database) as reader:
        reader.execute("SELECT count(*) FROM completions_2024_02")
        dropped = drop_empty_parts(connection, NOW)

    assert "completions_2024_02" not in dropped
    assert "completions_2024_02" in drop_empty_parts(connection, NOW)


async def test_a_store_makes_the_parts_that_its_records_need(database, connection):
    old = record(id=f"{FIRST}-7000-8000-000000000000")
    store = PostgresStore(database)
    await store.put([old, record()])
    assert len(parts(connection)) == 3

    await store.delete([old.id])

    assert parts(connection) == []
    await store.put([old])
    assert await store.get(old.id) == old
    await store.close()
