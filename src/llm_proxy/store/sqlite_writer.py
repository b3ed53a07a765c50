"""The hot write path: one connection, one transaction per batch, no layer between.

A batch is written or it is not. A record that can never be written is named, so that it does not stop the others.
All of this belongs to one thread.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, Engine, NullPool, StaticPool, Table, create_engine, event

from llm_proxy.errors import StoreRejected, StoreUnavailable
from llm_proxy.model.completion import Completion, Status
from llm_proxy.model.json_text import encode_json
from llm_proxy.store.bodies import Packer
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.edited_tags import EDITED_IN_SQLITE, with_edited_tags
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.rows import Rows, latest, to_rows
from llm_proxy.store.sql import completion_bodies, completion_tags, completions
from llm_proxy.store.sql_hours import NEWEST, HourChanges
from llm_proxy.store.sql_sizes import (
    PIECE_BYTES,
    SIZES_OF_RECORDS,
    Growth,
    add_sizes,
    gone_by_owner,
    growth_of,
    links_by_owner,
)
from llm_proxy.store.sqlite_connection import INCREMENTAL, errors_of, open_writer, schema_step
from llm_proxy.store.sqlite_pieces import add_links, remove_links
from llm_proxy.store.sqlite_threads import forget, threaded


def _insert(table: Table) -> str:
    columns = [column.name for column in table.columns if column is not completions.c.change]
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


_INSERT_COMPLETION = _insert(completions)
_INSERT_TAG = _insert(completion_tags)
_INSERT_BODIES = _insert(completion_bodies)
#: Takes the tags and the bodies with it.
_DELETE = "DELETE FROM completions WHERE id = ?"
#: Of some ids, a JSON list, those whose record has ended.
_ENDED = "SELECT id FROM completions WHERE status <> 'started' AND id IN (SELECT value FROM json_each(?))"
#: Of some ids, their bodies.
_BODIES = """
    SELECT completion_id, length(content), tip FROM completion_bodies
    WHERE completion_id IN (SELECT value FROM json_each(?))
"""
#: Of some ids, the blocks of the index for search that hold them; what else these held is indexed again.
_UNINDEX = """
    DELETE FROM search_blocks WHERE last_change IN (
        SELECT (SELECT min(last_change) FROM search_blocks WHERE last_change >= change)
        FROM completions WHERE id IN (SELECT value FROM json_each(?))
    )
"""
_REMOVE_BODY = "DELETE FROM completion_bodies WHERE completion_id = ? RETURNING completion_id, length(content), tip"
_SIZES = SIZES_OF_RECORDS.format("id IN (SELECT value FROM json_each(?))")
_ADD_SIZES = add_sizes("?")
#: Pages that are given back in one transaction, during which others cannot write.
_PAGES_AT_ONCE = 2000
#: What SQLite and its driver say of what they will never take: too big, of no known type, against a constraint.
_NEVER = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError, OverflowError)

_Result = TypeVar("_Result")


class SqliteWriter:
    """Writes to the file ``path``, which is made when it is needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._packer = Packer()
        self._opened: sqlite3.Connection | None = None
        #: Over the same connection.
        self._engine: Engine | None = None

    def migrate(self) -> None:
        """See ``Store.migrate``."""
        with errors_of(self._path):
            if schema_step(self._connection()) != HEAD:
                self._upgrade()

    def put(self, records: Sequence[Completion]) -> None:
        """See ``Store.put``."""
        batch = latest(to_rows(record, self._packer) for record in records)
        with errors_of(self._path):
            try:
                self._write(batch)
            except _NEVER as exc:
                culprit = next((rows.id for rows in batch if not self._can_be_written(rows)), None)
                if culprit is None:
                    raise StoreUnavailable(f"{self._path}: {exc}") from exc
                raise StoreRejected(f"{culprit}: {exc}") from exc

    def delete(self, row_ids: Sequence[str], *, bodies_only: bool) -> Receipt:
        """See ``Writer.delete``."""
        with errors_of(self._path), _transaction(self._connection()) as connection:
            growth, changes, rows = Growth(), HourChanges(), 0
            connection.execute(_UNINDEX, (encode_json(list(row_ids)).decode(),))
            bodies = [body for one in row_ids for body in connection.execute(_REMOVE_BODY, (one,)).fetchall()]
            if not bodies_only:
                forget(connection, row_ids)
                gone = connection.execute(_SIZES, (encode_json(list(row_ids)).decode(),)).fetchall()
                growth.remove(gone)
                changes.remove(gone)
                rows = sum(connection.execute(_DELETE, (one,)).rowcount for one in row_ids)
            pieces = _remove_bodies(connection, bodies, growth)
            _note(connection, changes)
            connection.executemany(_ADD_SIZES, growth.rows())
            total_bytes = sum(pieces) + sum(length for _, length, _ in bodies)
            return Receipt(rows=rows, bodies=len(bodies), pieces=len(pieces), bytes=total_bytes)

    def alone(self, row_id: str) -> AbstractContextManager[None]:
        """See ``Writer.alone``; with a lock of the whole file, which is held for milliseconds."""
        return _locked(self._path.with_name(f"{self._path.name}.amend"))

    def run(self, action: Callable[[Connection], _Result]) -> _Result:
        """See ``Writer.run``."""
        if self._engine is None:
            self._engine = create_engine("sqlite://", creator=self._connection, poolclass=StaticPool)
            event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        with errors_of(self._path), self._engine.begin() as connection:
            return action(connection)

    def reclaim(self, removed: Receipt) -> None:
        """See ``Writer.reclaim``.

        A file that was made before deletion was possible is rewritten once, which takes its size again on the disk.
        """
        with errors_of(self._path):
            connection = self._connection()
            if _pragma(connection, "auto_vacuum") != INCREMENTAL:
                connection.execute("VACUUM")
            free = None
            while (left := _pragma(connection, "freelist_count")) and left != free:
                free = left
                # Every page is a row of the result, and what is not read is not done.
                connection.execute(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
            # The file is cut when the log is taken in. If a reader is in the way, that happens later: nobody waits.
            patience_ms = _pragma(connection, "busy_timeout")
            connection.execute("PRAGMA busy_timeout = 0")
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.execute(f"PRAGMA busy_timeout = {patience_ms}")

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        if self._opened is not None:
            self._opened.close()
            self._opened = self._engine = None

    def _connection(self) -> sqlite3.Connection:
        if self._opened is None:
            self._opened = open_writer(self._path)
        return self._opened

    def _upgrade(self) -> None:
        # Here, since Alembic is large and slow to import, and a store that is up to date does without it.
        from llm_proxy.store.migrations.upgrade import upgrade  # noqa: PLC0415

        engine = create_engine("sqlite://", creator=lambda: open_writer(self._path), poolclass=NullPool)
        with engine.connect() as connection:
            # A step that rebuilds a table drops the old one, which must not take what refers to it.
            connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
            # One process migrates; another one waits here, and then finds nothing left to do.
            connection.exec_driver_sql("BEGIN EXCLUSIVE")
            upgrade(connection)
            connection.commit()

    def _write(self, batch: Sequence[Rows]) -> None:
        with _transaction(self._connection()) as connection:
            late = _late_starts(connection, batch)
            self._replace(connection, [rows for rows in batch if rows.id not in late])

    def _replace(self, connection: sqlite3.Connection, batch: Sequence[Rows]) -> None:
        batch, joined = threaded(connection, batch)
        ids = encode_json([rows.id for rows in batch]).decode()
        growth, changes = growth_of(batch, joined), HourChanges()
        batch = with_edited_tags(batch, connection.execute(EDITED_IN_SQLITE, (ids,)).fetchall())
        replaced = connection.execute(_BODIES, (ids,)).fetchall()
        gone = connection.execute(_SIZES, (ids,)).fetchall()
        growth.remove(gone)
        changes.remove(gone)
        changes.write(batch)
        for owner, links in links_by_owner(batch).items():
            added = add_links(connection, links, self._packer.compress)
            growth.add(owner, body_bytes=sum(added) + PIECE_BYTES * len(added))
        connection.executemany(_DELETE, [(rows.id,) for rows in batch])
        connection.executemany(_INSERT_COMPLETION, [rows.completion for rows in batch])
        connection.executemany(_INSERT_TAG, [tag for rows in batch for tag in rows.tags])
        connection.executemany(_INSERT_BODIES, [rows.bodies for rows in batch if rows.bodies is not None])
        _remove_bodies(connection, replaced, growth)
        _note(connection, changes)
        connection.executemany(_ADD_SIZES, growth.rows())

    def _can_be_written(self, rows: Rows) -> bool:
        try:
            with _transaction(self._connection(), kept=False) as connection:
                self._replace(connection, [rows])
        except _NEVER:
            return False
        return True


def _note(connection: sqlite3.Connection, changes: HourChanges) -> None:
    (newest,) = connection.execute(NEWEST).fetchone()
    for statement, values in changes.statements("?", newest=newest):
        connection.execute(statement, values)


def _remove_bodies(
    connection: sqlite3.Connection, bodies: Sequence[tuple[str, int, bytes | None]], growth: Growth
) -> list[int]:
    """Remove what only these bodies, which are gone, referred to; the length of each piece that went."""
    lengths: list[int] = []
    for owner, tips in gone_by_owner(bodies, growth).items():
        removed = remove_links(connection, tips)
        growth.add(owner, body_bytes=-sum(removed) - PIECE_BYTES * len(removed))
        lengths += removed
    return lengths


def _late_starts(connection: sqlite3.Connection, batch: Sequence[Rows]) -> set[str]:
    """Ids of records that have only started, and have ended in the store already."""
    started = [rows.id for rows in batch if rows.status is Status.STARTED]
    return {row[0] for row in connection.execute(_ENDED, (encode_json(started).decode(),))} if started else set()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that the kernel lets go of when this process ends."""
    try:
        lock = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise StoreUnavailable(f"{path}: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, *, kept: bool = True) -> Iterator[sqlite3.Connection]:
    """All of it or, after an error or unless ``kept``, nothing of it."""
    # Immediate: a transaction that only later becomes a writing one may fail although it waits (SQLITE_BUSY_SNAPSHOT).
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT" if kept else "ROLLBACK")
    except BaseException:
        if connection.in_transaction:  # some errors roll back by themselves, a full disk for one
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return int(value)
