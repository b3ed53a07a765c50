"""Connections to one SQLite file, what is set on them, and what their errors mean.

Write-ahead logging: readers and the one writer never wait for each other. A commit is with the kernel when it returns;
a power cut may take the last ones back, but never half of one.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.sql_amounts import add_to

#: How long a connection waits for a lock that another process holds, in seconds.
_BUSY_TIMEOUT_S = 10.0
_RETRY_S = 0.01
#: Pages that are free are given back when they are asked for (``PRAGMA auto_vacuum``).
INCREMENTAL = 2
#: What the write-ahead log is cut back to after a big batch, in bytes.
_LOG_KEPT_BYTES = 64 * 2**20


def open_writer(path: Path) -> sqlite3.Connection:
    """A connection that writes; makes the file, for its owner only. Transactions are begun and ended by hand."""
    with contextlib.suppress(FileExistsError):
        # SQLite gives the files of its log the mode of this one.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    connection = _open(path, "rw")
    try:
        # Kept with the file, and only a file without tables takes it; SqliteWriter.reclaim sees to the others.
        connection.execute(f"PRAGMA auto_vacuum = {INCREMENTAL}")
        _log_ahead(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        # What is deleted is overwritten where it was, and goes with the pages that are given back.
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT_BYTES}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """A connection that only reads."""
    connection = _open(path, "ro")
    add_to(connection)
    return connection


def schema_step(connection: sqlite3.Connection) -> str | None:
    """The step of the migrations that the schema is at; None in an empty database."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return None
    (step,) = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
    return step if step is None else str(step)


@contextlib.contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Turn whatever the database says no to into StoreUnavailable: none of it is the fault of a record."""
    try:
        yield
    except (sqlite3.Error, DBAPIError) as exc:
        raise StoreUnavailable(f"{path}: {exc.orig if isinstance(exc, DBAPIError) else exc}") from exc
    except OSError as exc:
        raise StoreUnavailable(f"{path}: {exc.strerror}") from exc


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        # One thread at a time uses a connection, but another one may close it.
        check_same_thread=False,
    )


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Set the journal mode, which stays with the file."""
    patience_s = _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as exc:
            # Two that set it at once may refuse each other, and for that SQLite does not wait by itself.
            if exc.sqlite_errorcode != sqlite3.SQLITE_BUSY or patience_s <= 0:
                raise
            time.sleep(_RETRY_S)
            patience_s -= _RETRY_S
        else:
            return
