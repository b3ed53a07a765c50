"""Pieces in SQLite are written once, and go with the last that refers to them."""

import pytest

from empty_stores import empty_store
from llm_proxy.store.content import chain
from llm_proxy.store.sqlite_pieces import add_links, remove_links
from llm_proxy.store.sqlite_writer import SqliteWriter


@pytest.fixture
def connection(tmp_path):
    writer = SqliteWriter(empty_store(tmp_path / "store.sqlite3"))
    yield writer._connection()
    writer.close()


def add(connection, *pieces: bytes) -> bytes:
    links = chain(pieces, "default")
    add_links(connection, links, lambda piece: piece)
    return links[-1].hash


def count(connection) -> tuple[int, int]:
    (links,) = connection.execute("SELECT count(*) FROM body_links").fetchone()
    (pieces,) = connection.execute("SELECT count(*) FROM body_pieces").fetchone()
    return links, pieces


def test_what_is_there_is_not_written_again_nor_compressed(connection):
    add(connection, b"a", b"b")
    compressed = []

    new = add_links(connection, chain([b"a", b"b", b"c"], "default"), lambda piece: compressed.append(piece) or piece)

    assert (compressed, new) == ([b"c"], [1])
    assert count(connection) == (3, 3)


def test_a_piece_in_two_places_is_one_piece_and_two_links(connection):
    add(connection, b"a", b"x", b"b", b"x")
    add(connection, b"x")

    assert count(connection) == (5, 3)


def test_thousands_of_links_at_once(connection):
    tip = add(connection, *(str(number).encode() for number in range(3000)))

    assert count(connection) == (3000, 3000)
    assert sorted(remove_links(connection, [tip])) == sorted(len(str(number)) for number in range(3000))
    assert count(connection) == (0, 0)


def test_what_another_link_or_body_refers_to_stays(connection):
    short, long = add(connection, b"a", b"b"), add(connection, b"a", b"b", b"c")
    connection.execute(
        "INSERT INTO completions (id, organization_id, started_at_us, status, method, path, endpoint, truncated)"
        " VALUES ('1', 'default', 0, 'started', 'POST', '/', 'other', 0)"
    )
    connection.execute("INSERT INTO completion_bodies (completion_id, content, tip) VALUES ('1', x'00', ?)", (short,))

    assert remove_links(connection, [short]) == []
    assert remove_links(connection, [long]) == [1]
    assert count(connection) == (2, 2)
    connection.execute("DELETE FROM completion_bodies")
    assert remove_links(connection, [short]) == [1] * 2


def test_two_ends_of_one_tree_go_together(connection):
    ends = [add(connection, b"a", b"b", b"c"), add(connection, b"a", b"b", b"d"), add(connection, b"a")]

    assert remove_links(connection, ends) == [1] * 4
    assert count(connection) == (0, 0)


def test_the_rest_of_a_shared_tree_stays(connection):
    gone, stays = add(connection, b"a", b"b", b"c"), add(connection, b"a", b"d")

    assert remove_links(connection, [gone, b"never there"]) == [1] * 2
    assert count(connection) == (2, 2)
    assert remove_links(connection, [stays]) == [1] * 2
