"""Sessions that nobody named, in PostgreSQL; see threads.py.

Who infers holds the lock on the numbers of changes, so that of two that write at the same time one sees the other.
"""

from collections.abc import Sequence

from llm_proxy.store.postgres_pieces import Cursor
from llm_proxy.store.rows import Rows
from llm_proxy.store.threads import At, Who, hashes_of, infer

_KNOWN = "SELECT hash, said, completion_id, session_id FROM conversation_turns WHERE hash = ANY(%s)"
_PLACE = """
    INSERT INTO conversation_turns (hash, said, completion_id, session_id)
    SELECT * FROM unnest(%s::bytea[], %s::bool[], %s::text[], %s::text[])
    ON CONFLICT (hash, said) DO UPDATE SET completion_id = EXCLUDED.completion_id, session_id = EXCLUDED.session_id
"""
_JOIN = """
    UPDATE completions SET session_id = joined.session_id, session_inferred = TRUE
    FROM unnest(%s::text[], %s::text[]) AS joined (id, session_id)
    WHERE completions.id = joined.id AND completions.session_id IS NULL
    RETURNING completions.id, completions.session_id
"""


def threaded(cursor: Cursor, batch: Sequence[Rows]) -> tuple[Sequence[Rows], dict[str, str]]:
    """The batch with its sessions; and the sessions that stored calls have joined, by their ids in the tables."""
    hashes = hashes_of(batch)
    if not hashes:
        return batch, {}
    rows = cursor.execute(_KNOWN, (hashes,)).fetchall()
    threads = infer(batch, {At(hash_, said): Who(row_id, session_id) for hash_, said, row_id, session_id in rows})
    if threads.places:
        whole = [(*at, *who) for at, who in sorted(threads.places.items())]
        cursor.execute(_PLACE, [list(column) for column in zip(*whole, strict=True)])
    joined: dict[str, str] = {}
    if threads.joined:
        joined.update(cursor.execute(_JOIN, (list(threads.joined), list(threads.joined.values()))).fetchall())
    return threads.batch, joined


def forget(cursor: Cursor, row_ids: Sequence[str]) -> None:
    """Nothing is said any more of where these calls stand."""
    cursor.execute("DELETE FROM conversation_turns WHERE completion_id = ANY(%s)", (list(row_ids),))
