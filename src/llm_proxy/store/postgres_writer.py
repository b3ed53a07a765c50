"""The hot write path of PostgreSQL: COPY, one transaction per batch. Any number of workers may write at once.

A batch is written or it is not. A record that can never be written is named, so that it does not stop the others.
Pieces are added side by side; then one at a time, for a few milliseconds, writes its rows and commits (``_NUMBERS``).
So the numbers of the changes become visible in their order, which who follows them relies on, and two that write the
same record do so one behind the other. All of one writer belongs to one thread.
"""

import contextlib
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import psycopg
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Engine,
    Float,
    LargeBinary,
    NullPool,
    SmallInteger,
    Table,
    Text,
    create_engine,
    text,
)

from llm_proxy.errors import StoreRejected, StoreUnavailable
from llm_proxy.model.completion import Completion, Status
from llm_proxy.store.bodies import Packer
from llm_proxy.store.deletion import Receipt
from llm_proxy.store.edited_tags import EDITED_IN_POSTGRES, with_edited_tags
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.postgres_connection import connect, errors_of, schema_step, shown
from llm_proxy.store.postgres_partitions import Month, drop_empty_parts, make_parts, months_needed
from llm_proxy.store.postgres_pieces import PIECES, Cursor, add_links, remove_links
from llm_proxy.store.postgres_threads import forget, threaded
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

#: Keys of advisory locks: who gives numbers to changes, and who migrates.
_NUMBERS, _MIGRATION = 0x6C6C6D70_00000003, 0x6C6C6D70_00000004
#: Below what PostgreSQL takes in a message, 1 GiB, with room for the row around it.
_MAX_BYTES = 1000 * 2**20
#: From so many on, deleted records are cleaned away at once; fewer are left to the server's own habit.
_WORTH_A_VACUUM = 1000
#: Type of a column of COPY.
_TYPES = {
    BigInteger: "int8",
    SmallInteger: "int2",
    Float: "float8",
    Boolean: "bool",
    Text: "text",
    LargeBinary: "bytea",
}
_TWO_BYTES = range(-(2**15), 2**15)
#: What PostgreSQL and its driver say of what they will never take: too big, of no known type, against a constraint.
_NEVER = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.NotSupportedError,
    OverflowError,
    struct.error,
)

_Result = TypeVar("_Result")


class PostgresWriter:
    """Writes to the database ``url``, over one connection."""

    def __init__(self, url: str, *, statement_timeout_s: float) -> None:
        self._url = url
        self._place = shown(url)
        self._connect = partial(connect, url, statement_timeout_s=statement_timeout_s, autocommit=True)
        self._connect_unlimited = partial(connect, url, statement_timeout_s=0)
        self._packer = Packer()
        self._months: set[Month] = set()
        self._opened: psycopg.Connection[tuple[object, ...]] | None = None
        #: For what is not records: a connection of its own, since it is not in autocommit.
        self._engine: Engine | None = None
        self._connect_for_tables = partial(connect, url, statement_timeout_s=statement_timeout_s)

    def migrate(self) -> None:
        """See ``Store.migrate``."""
        with errors_of(self._place):
            if schema_step(self._connection()) != HEAD:
                self._upgrade()
            self._make_parts(months_needed((), datetime.now(UTC)))

    def put(self, records: Sequence[Completion]) -> None:
        """See ``Store.put``."""
        batch = latest(to_rows(record, self._packer) for record in records)
        for rows in batch:
            _check_size(rows)
        with errors_of(self._place):
            try:
                self._make_parts(months_needed((rows.id for rows in batch), datetime.now(UTC)))
                self._write(batch)
            except _NEVER as exc:
                culprit = next((rows.id for rows in batch if not self._can_be_written(rows)), None)
                if culprit is None:
                    raise StoreUnavailable(f"{self._place}: {exc}") from exc
                raise StoreRejected(f"{culprit}: {exc}") from exc

    def delete(self, row_ids: Sequence[str], *, bodies_only: bool) -> Receipt:
        """See ``Writer.delete``."""
        stored_ids = list(row_ids)
        with errors_of(self._place), self._transaction() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", (PIECES,))
            cursor.execute(_UNINDEX, (stored_ids,))
            bodies = cursor.execute(_REMOVE_BODIES, (stored_ids,)).fetchall()
            growth, changes, rows = Growth(), HourChanges(), 0
            if not bodies_only:
                gone = cursor.execute(_SIZES, (stored_ids,)).fetchall()
                growth.remove(gone)
                changes.remove(gone)
                forget(cursor, stored_ids)
                cursor.execute("DELETE FROM completion_tags WHERE completion_id = ANY(%b)", (stored_ids,))
                rows = cursor.execute("DELETE FROM completions WHERE id = ANY(%b)", (stored_ids,)).rowcount
            pieces = _remove_tips(cursor, gone_by_owner(bodies, growth), growth)
            _note(cursor, changes)
            _add_sizes(cursor, growth)
            total_bytes = sum(pieces) + sum(length for _, length, _ in bodies)
            return Receipt(rows=rows, bodies=len(bodies), pieces=len(pieces), bytes=total_bytes)

    @contextlib.contextmanager
    def alone(self, row_id: str) -> Iterator[None]:
        """See ``Writer.alone``."""
        with errors_of(self._place):
            connection = self._connection()
            connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (row_id,))
        try:
            yield
        finally:
            with errors_of(self._place):
                connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (row_id,))

    def run(self, action: Callable[[Connection], _Result]) -> _Result:
        """See ``Writer.run``."""
        if self._engine is None:
            self._engine = create_engine(
                "postgresql+psycopg://", creator=self._connect_for_tables, pool_size=1, pool_pre_ping=True
            )
        with errors_of(self._place), self._engine.begin() as connection:
            return action(connection)

    def reclaim(self, removed: Receipt) -> None:
        """See ``Writer.reclaim``."""
        with errors_of(self._place):
            if drop_empty_parts(self._connection(), datetime.now(UTC)):
                self._months.clear()
            if removed.bodies + removed.pieces >= _WORTH_A_VACUUM:
                with contextlib.closing(self._connect_unlimited(autocommit=True)) as connection:
                    connection.execute(_VACUUM)

    def close(self) -> None:
        """Let go of the connection. Idempotent."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _connection(self) -> "psycopg.Connection[tuple[object, ...]]":
        if self._opened is not None and self._opened.closed:  # the server was restarted, for example
            self._opened = None
        if self._opened is None:
            self._opened = self._connect()
            self._months.clear()
        return self._opened

    def _upgrade(self) -> None:
        # Here, since Alembic is large and slow to import, and a store that is up to date does without it.
        from llm_proxy.store.migrations.upgrade import upgrade  # noqa: PLC0415

        engine = create_engine("postgresql+psycopg://", creator=self._connect_unlimited, poolclass=NullPool)
        with engine.connect() as connection:
            # One process migrates; another one waits here, and then finds nothing left to do.
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION})
            upgrade(connection)
            connection.commit()

    def _make_parts(self, months: set[Month]) -> None:
        connection = self._connection()
        if missing := months - self._months:
            make_parts(connection, missing)
            self._months |= missing

    def _write(self, batch: Sequence[Rows]) -> None:
        with self._transaction() as cursor:
            left_behind = self._replace(cursor, batch)
        if left_behind:
            # Only now, since who adds pieces must not remove any: two that did both would wait for each other.
            with self._transaction() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (PIECES,))
                growth = Growth()
                _remove_tips(cursor, left_behind, growth)
                _add_sizes(cursor, growth)

    def _replace(self, cursor: Cursor, batch: Sequence[Rows]) -> dict[str, set[bytes]]:
        """Write the rows in place of those that are there; by organisation, the tips that nothing refers to now."""
        added = self._add_links(cursor, batch)
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_NUMBERS,))
        started = [rows.id for rows in batch if rows.status is Status.STARTED]
        late = {found for (found,) in cursor.execute(_ENDED, (started,)).fetchall()} if started else set()
        kept, joined = threaded(cursor, [rows for rows in batch if rows.id not in late])
        ids = [rows.id for rows in kept]
        kept = with_edited_tags(kept, cursor.execute(EDITED_IN_POSTGRES, (ids,)).fetchall())
        growth, changes = growth_of(kept, joined), HourChanges()
        for owner, body_bytes in added.items():
            growth.add(owner, body_bytes=body_bytes)
        left_behind = gone_by_owner(cursor.execute(_REMOVE_BODIES, (ids,)).fetchall(), growth)
        gone = cursor.execute(_SIZES, (ids,)).fetchall()
        growth.remove(gone)
        changes.remove(gone)
        changes.write(kept)
        cursor.execute("DELETE FROM completion_tags WHERE completion_id = ANY(%b)", (ids,))
        cursor.execute("DELETE FROM completions WHERE id = ANY(%b)", (ids,))
        _copy(cursor, completions, [rows.completion for rows in kept])
        _copy(cursor, completion_tags, [tag for rows in kept for tag in rows.tags])
        _copy(cursor, completion_bodies, [rows.bodies for rows in kept if rows.bodies is not None])
        _note(cursor, changes)
        _add_sizes(cursor, growth)
        # The links of a record that came too late are in nobody's use, either.
        for rows in batch:
            if rows.links and rows.id in late:
                left_behind.setdefault(rows.organization_id, set()).add(rows.links[-1].hash)
        used = {rows.links[-1].hash for rows in kept if rows.links}
        return {owner: tips - used for owner, tips in left_behind.items() if tips - used}

    def _add_links(self, cursor: Cursor, batch: Sequence[Rows]) -> dict[str, int]:
        """Write the links that are not there yet; by how many bytes each organisation grows."""
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (PIECES,))
        grown = {}
        for owner, links in links_by_owner(batch).items():
            lengths = add_links(cursor, links, self._packer.compress)
            grown[owner] = sum(lengths) + PIECE_BYTES * len(lengths)
        return grown

    def _can_be_written(self, rows: Rows) -> bool:
        try:
            with self._transaction(kept=False) as cursor:
                self._replace(cursor, [rows])
        except _NEVER:
            return False
        return True

    @contextlib.contextmanager
    def _transaction(self, *, kept: bool = True) -> Iterator[Cursor]:
        """All of it or, after an error or unless ``kept``, nothing of it."""
        connection = self._connection()
        with connection.transaction(force_rollback=not kept), connection.cursor() as cursor:
            yield cursor


_REMOVE_BODIES = """
    DELETE FROM completion_bodies WHERE completion_id = ANY(%b) RETURNING completion_id, octet_length(content), tip
"""
_SIZES = SIZES_OF_RECORDS.format("id = ANY(%b)")
_ADD_SIZES = add_sizes("%s")
#: The blocks of the index for search that hold these records; what else they held is indexed again.
_UNINDEX = """
    DELETE FROM search_blocks WHERE last_change IN (
        SELECT (SELECT min(last_change) FROM search_blocks WHERE last_change >= change)
        FROM completions WHERE id = ANY(%b)
    )
"""
_ENDED = "SELECT id FROM completions WHERE status <> 'started' AND id = ANY(%b)"
_VACUUM = "VACUUM completions, completion_tags, completion_bodies, body_links, body_pieces"


def _remove_tips(cursor: Cursor, tips: Mapping[str, set[bytes]], growth: Growth) -> list[int]:
    """Remove what only these referred to; the length of each piece that went. The caller holds ``PIECES`` alone."""
    lengths: list[int] = []
    for owner, some in tips.items():
        removed = remove_links(cursor, some)
        growth.add(owner, body_bytes=-sum(removed) - PIECE_BYTES * len(removed))
        lengths += removed
    return lengths


def _note(cursor: Cursor, changes: HourChanges) -> None:
    ((newest,),) = cursor.execute(NEWEST).fetchall()
    for statement, values in changes.statements("%s", newest=int(newest)):
        cursor.execute(statement, values)


def _add_sizes(cursor: Cursor, growth: Growth) -> None:
    for row in growth.rows():
        cursor.execute(_ADD_SIZES, row)


def _check_size(rows: Rows) -> None:
    sizes = [len(value) for value in rows.bodies or () if isinstance(value, bytes)]
    if sum(sizes) > _MAX_BYTES or any(len(link.piece) > _MAX_BYTES for link in rows.links):
        raise StoreRejected(f"{rows.id}: its bodies are larger than the {_MAX_BYTES} bytes that PostgreSQL takes")


def _copy(cursor: Cursor, table: Table, rows: Sequence[Sequence[object]]) -> None:
    if not rows:
        return
    columns = [column for column in table.columns if column is not completions.c.change]
    names = ", ".join(column.name for column in columns)
    small = [index for index, column in enumerate(columns) if isinstance(column.type, SmallInteger)]
    with cursor.copy(f"COPY {table.name} ({names}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
        copy.set_types([_TYPES[type(column.type)] for column in columns])
        for row in rows:
            # The driver cuts what is too large for two bytes without a word.
            if any(row[index] not in _TWO_BYTES for index in small if row[index] is not None):
                raise OverflowError("a number is too large for its column")
            copy.write_row(row)
