"""Only one of several processes at a time, on whatever host: an advisory lock, which goes with the one who holds it."""

import contextlib
from collections.abc import Iterator

from llm_proxy.store.postgres_connection import connect, errors_of, shown

#: Key of the lock of who deletes what is old.
RETENTION = 0x6C6C6D70_00000005
#: By what is done; 6 is who fills the indexes beside the writing.
KEYS = {"retention": RETENTION, "indexing": 0x6C6C6D70_00000006}


@contextlib.contextmanager
def leading(url: str, key: int) -> Iterator[bool]:
    """Whether nobody else holds ``key``; if so, we do until the end of the block. Raises StoreUnavailable."""
    with (
        errors_of(shown(url)),
        contextlib.closing(connect(url, statement_timeout_s=0, autocommit=True)) as connection,
    ):
        (leads,) = connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() or (False,)
        yield bool(leads)
