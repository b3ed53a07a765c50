"""Sessions that nobody named, in SQLite; see threads.py. All of it runs in a transaction that has begun to write."""

import sqlite3
from collections.abc import Sequence

from llm_proxy.store.rows import Rows
from llm_proxy.store.threads import At, Who, hashes_of, infer

#: Below what any SQLite takes in one statement.
_AT_ONCE = 900
_KNOWN = "SELECT hash, said, completion_id, session_id FROM conversation_turns WHERE hash IN ({})"
_PLACE = "INSERT OR REPLACE INTO conversation_turns (hash, said, completion_id, session_id) VALUES (?, ?, ?, ?)"
_JOIN = (
    "UPDATE completions SET session_id = ?, session_inferred = TRUE WHERE id = ? AND session_id IS NULL RETURNING id"
)


def threaded(connection: sqlite3.Connection, batch: Sequence[Rows]) -> tuple[Sequence[Rows], dict[str, str]]:
    """The batch with its sessions; and the sessions that stored calls have joined, by their ids in the tables."""
    hashes = hashes_of(batch)
    if not hashes:
        return batch, {}
    known: dict[At, Who] = {}
    for start in range(0, len(hashes), _AT_ONCE):
        some = hashes[start : start + _AT_ONCE]
        for hash_, said, row_id, session_id in connection.execute(_KNOWN.format(", ".join("?" * len(some))), some):
            known[At(hash_, bool(said))] = Who(row_id, session_id)
    threads = infer(batch, known)
    connection.executemany(_PLACE, [(*at, *who) for at, who in threads.places.items()])
    joined = {
        row_id: session_id
        for row_id, session_id in threads.joined.items()
        if connection.execute(_JOIN, (session_id, row_id)).fetchall()
    }
    return threads.batch, joined


def forget(connection: sqlite3.Connection, row_ids: Sequence[str]) -> None:
    """Nothing is said any more of where these calls stand."""
    connection.executemany("DELETE FROM conversation_turns WHERE completion_id = ?", [(one,) for one in row_ids])
