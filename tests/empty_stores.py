"""Empty stores for tests of what is done with one: its migrations take longer than most of them."""

import functools
import tempfile
from pathlib import Path

from llm_proxy.store.sqlite_writer import SqliteWriter


def empty_store(path: Path) -> Path:
    """Make ``path``, whose directory is there, an empty store as its migrations leave it, and return it."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(_migrated())
    return path


@functools.cache
def _migrated() -> bytes:
    """The file, made once in each process."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "store.sqlite3"
        writer = SqliteWriter(path)
        writer.migrate()
        writer.close()  # what was in the log of the file is in it now
        return path.read_bytes()
