"""Pieces in PostgreSQL are written once, by however many, and go with the last that refers to them."""

import threading

import psycopg
import pytest

from llm_proxy.store.content import chain
from llm_proxy.store.postgres_pieces import add_links, remove_links


@pytest.fixture
def connection(postgres_url):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def cursor(connection):
    return connection.cursor()


def add(cursor, *pieces: bytes) -> bytes:
    links = chain(pieces, "default")
    add_links(cursor, links, lambda piece: piece)
    return links[-1].hash


def count(cursor) -> tuple[int, int]:
    return cursor.execute("SELECT (SELECT count(*) FROM body_links), (SELECT count(*) FROM body_pieces)").fetchone()


def test_what_is_there_is_not_written_again_nor_compressed(cursor):
    add(cursor, b"a", b"b")
    compressed = []

    new = add_links(cursor, chain([b"a", b"b", b"c"], "default"), lambda piece: compressed.append(piece) or piece)
    new += add_links(cursor, [], lambda piece: piece)

    assert (compressed, new) == ([b"c"], [1])
    assert count(cursor) == (3, 3)


def test_thousands_of_links_and_many_megabytes_at_once(cursor):
    tip = add(cursor, *(str(number).encode() for number in range(1000)), b"x" * 20_000_000, b"y" * 20_000_000, b"z")

    assert count(cursor) == (1003, 1003)
    assert len(remove_links(cursor, [tip])) == 1003
    assert count(cursor) == (0, 0)


def test_what_another_link_or_body_refers_to_stays(cursor):
    short, long = add(cursor, b"a", b"b"), add(cursor, b"a", b"b", b"c")
    cursor.execute("INSERT INTO completion_bodies (completion_id, content, tip) VALUES ('1', '', %s)", (short,))

    assert remove_links(cursor, [short]) == []
    assert remove_links(cursor, [long]) == [1]
    assert count(cursor) == (2, 2)
    cursor.execute("DELETE FROM completion_bodies")
    assert remove_links(cursor, [short]) == [1] * 2


def test_the_ends_of_a_tree_go_together_and_the_rest_of_a_shared_one_stays(cursor):
    ends = [add(cursor, b"a", b"b", b"c"), add(cursor, b"a", b"b", b"d")]
    stays = add(cursor, b"a", b"e", b"b")

    assert remove_links(cursor, [*ends, b"never there"]) == [1] * 2
    assert count(cursor) == (3, 3)
    assert remove_links(cursor, [stays]) == [1] * 3


def test_two_that_add_the_same_at_once_add_it_once(connection, cursor, postgres_url):
    with psycopg.connect(postgres_url) as other:
        with connection.transaction():
            add(cursor, b"a", b"b")
            # The other one sees nothing of this, and waits until it knows what becomes of it.
            waiting = threading.Thread(target=lambda: add(other.cursor(), b"b", b"a", b"c"))
            waiting.start()
            _wait_until_blocked(cursor, other)
        waiting.join()

    assert count(cursor) == (5, 3)


def _wait_until_blocked(cursor, other) -> None:
    blocked = "SELECT cardinality(pg_blocking_pids(%s))"
    while cursor.execute(blocked, (other.info.backend_pid,)).fetchone() == (0,):
        pass
