"""Every question is answered from an index, in its order."""

import re
import sqlite3
from itertools import product

import pytest
from sqlalchemy.dialects import postgresql, sqlite

from empty_stores import empty_store
from llm_proxy.model.completion import Status
from llm_proxy.model.query import Attribute, Comparison, CompletionQuery, Condition, Cursor
from llm_proxy.store import sql
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.store.sqlite_connection import open_reader
from records import NOON

CONDITIONS = {
    "tags": ("a", "b"),
    "session_id": "s",
    "user_id": "u",
    "trace_id": "t",
    "model": "m",
    "status": Status.FAILED,
    "since": NOON,
    "until": NOON,
    "search": "text",
    "after": Cursor(started_at=NOON, id="x"),
}


@pytest.fixture
async def connection(tmp_path):
    store = SqliteStore(empty_store(tmp_path / "store.sqlite3"))
    reader = open_reader(tmp_path / "store.sqlite3")
    yield reader
    reader.close()
    await store.close()


def plan(connection: sqlite3.Connection, statement: sql.Statement) -> list[str]:
    """What SQLite is going to do, a line a step."""
    compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"render_postcompile": True})
    values = [compiled.params[name] for name in compiled.positiontup or ()]
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {compiled}", values)]


def combinations():
    """Every set of up to three conditions."""
    names = list(CONDITIONS)
    chosen = {frozenset(choice) for choice in product(names, repeat=3)} | {frozenset()}
    return sorted(sorted(choice) for choice in chosen)


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("with_bodies", [False, True])
def test_no_list_is_sorted_or_read_from_end_to_end(connection, with_bodies, oldest_first):
    for names in combinations():
        conditions = {name: CONDITIONS[name] for name in names}
        query = CompletionQuery(**conditions, with_bodies=with_bodies, oldest_first=oldest_first)

        steps = plan(connection, sql.page(query))

        assert not [step for step in steps if re.search("TEMP B-TREE|SCAN|AUTOMATIC", step)], (names, steps)


@pytest.mark.parametrize(
    ("names", "index"),
    [
        ([], "completions_by_time (organization_id=?)"),
        (["since", "until"], "completions_by_time (organization_id=? AND started_at_us>? AND started_at_us<?)"),
        (["after"], "completions_by_time (organization_id=? AND (started_at_us,id)<(?,?))"),
        (["status"], "completions_by_status (organization_id=? AND status=?)"),
        (["session_id"], "completions_by_session_id (organization_id=? AND session_id=?)"),
        (["user_id"], "completions_by_user_id (organization_id=? AND user_id=?)"),
        (["trace_id"], "completions_by_trace_id (organization_id=? AND trace_id=?)"),
        (["session_id", "tags"], "completions_by_session_id (organization_id=? AND session_id=?)"),
        (["model"], "completions_by_model (organization_id=? AND model=?)"),
        (["model"], "completions_by_response_model (organization_id=? AND response_model=?)"),
        (["tags"], "completion_tags_by_tag (organization_id=? AND tag=?)"),
        (["tags", "status", "model"], "completion_tags_by_tag (organization_id=? AND tag=?)"),
    ],
)
def test_the_narrowest_index_leads(connection, names, index):
    steps = plan(connection, sql.page(CompletionQuery(**{name: CONDITIONS[name] for name in names})))

    assert [step for step in steps if index in step], steps


def test_what_is_asked_of_facts_beside_the_time_is_told_by_the_index_alone(connection):
    slow = Condition(of=Attribute.LATENCY, comparison=Comparison.ABOVE, value=1000)
    dear = Condition(of=Attribute.COST, comparison=Comparison.ABOVE, value=1)

    steps = plan(connection, sql.page(CompletionQuery(conditions=(slow, dear))))

    assert [step for step in steps if "USING COVERING INDEX completions_by_time (organization_id=?)" in step], steps


def test_changes_are_read_by_their_number_whatever_else_is_asked(connection):
    for names in combinations():
        query = CompletionQuery(**{name: CONDITIONS[name] for name in names})

        steps = plan(connection, sql.changed(query, after=5, until=9))

        assert steps[0] == "SEARCH completions USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)", (names, steps)
        assert not [step for step in steps if "TEMP B-TREE" in step], (names, steps)


def test_the_newest_change_and_one_record_are_found_at_once(connection):
    assert plan(connection, sql.last_change()) == ["SEARCH completions"]
    assert "sqlite_autoindex_completions_1 (id=?)" in plan(connection, sql.one("x", "default"))[0]


@pytest.mark.parametrize("with_bodies", [False, True])
def test_what_is_to_be_deleted_is_found_by_an_index(connection, with_bodies):
    for names in combinations():
        query = CompletionQuery(**{name: CONDITIONS[name] for name in names})

        steps = plan(connection, sql.ids(query, with_bodies=with_bodies, limit=500))

        assert not [step for step in steps if re.search("SCAN|AUTOMATIC", step)], (names, steps)
    oldest = plan(connection, sql.oldest(with_bodies=with_bodies, limit=500))
    assert not [step for step in oldest if re.search("TEMP B-TREE|AUTOMATIC", step)]


def test_links_and_pieces_are_found_by_their_hashes(connection):
    walked = plan(connection, sql.links([b"1", b"2"]))
    assert [step for step in walked if step.startswith("SEARCH body_links USING PRIMARY KEY (hash=?)")]
    assert not [step for step in walked if "SCAN body_links" in step]
    (found,) = plan(connection, sql.pieces([b"1", b"2"]))
    assert "sqlite_autoindex_body_pieces_1 (hash=?)" in found


@pytest.mark.parametrize("refers", ["completion_bodies WHERE tip", "body_links WHERE parent", "body_links WHERE piece"])
def test_who_refers_to_a_link_or_a_piece_is_found_by_an_index(connection, refers):
    (step,) = connection.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {refers} = ?", [b"x"])

    table, column = refers.split(" WHERE ")
    assert f"{table}_by_{column}" in step[3]


def test_postgresql_can_be_asked_the_same():
    query = CompletionQuery(**CONDITIONS, with_bodies=True)

    assert str(sql.page(query).compile(dialect=postgresql.dialect()))
