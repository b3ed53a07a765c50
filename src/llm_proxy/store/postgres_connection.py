"""Connections to PostgreSQL, what is set on them, and what their errors mean.

By psycopg 3: it speaks to threads as well as to event loops, has COPY, and reads every form of address that libpq does
(several hosts, ``sslmode``, service files). asyncpg is faster at fetching many rows, of which this store fetches few,
and would need a second set of reading code beside that of SQLite.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import conninfo
from sqlalchemy import exc as sqlalchemy_exc

from llm_proxy.errors import StoreUnavailable

#: A server that does not answer by then is away, in seconds.
_CONNECT_TIMEOUT_S = 5
#: A connection on which nothing comes back for about half a minute is dead, whatever the kernel still hopes.
_KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}
#: Of what a transaction that was forgotten may hold up, in milliseconds.
_IDLE_TIMEOUT_MS = 60_000


def connect(
    url: str, *, statement_timeout_s: float, read_only: bool = False, autocommit: bool = False
) -> "psycopg.Connection[tuple[object, ...]]":
    """A connection to ``url``; a statement takes at most ``statement_timeout_s`` seconds, 0 is without limit."""
    settings = {
        "statement_timeout": int(statement_timeout_s * 1000),
        "idle_in_transaction_session_timeout": _IDLE_TIMEOUT_MS,
        # No statement here is worth compiling: it takes 40 to 100 ms where the planner expects much of an index.
        "jit": "off",
        "client_min_messages": "warning",
    }
    if read_only:
        # One call is one snapshot.
        settings |= {"default_transaction_isolation": r"repeatable\ read", "default_transaction_read_only": "on"}
    return psycopg.connect(
        url,
        autocommit=autocommit,
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name="llm-proxy",
        client_encoding="utf8",
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
        **_KEEPALIVES,
    )


def shown(url: str) -> str:
    """Where ``url`` leads, without who goes there and by which password. Raises ValueError if it leads nowhere."""
    try:
        parts = conninfo.conninfo_to_dict(url)
    except psycopg.ProgrammingError as exc:
        # Behind the reason stands the part that is wrong, which may be a password.
        reason = _one_line(exc).partition(': "')[0]
        raise ValueError(f"is no URL of PostgreSQL: {reason}") from None
    return f"PostgreSQL at {parts.get('host', 'local socket')}:{parts.get('port', 5432)}/{parts.get('dbname', '')}"


@contextlib.contextmanager
def errors_of(place: str) -> Iterator[None]:
    """Turn whatever the database says no to into StoreUnavailable: none of it is the fault of a record."""
    try:
        yield
    except psycopg.Error as exc:
        raise StoreUnavailable(f"{place}: {_one_line(exc)}") from exc
    except sqlalchemy_exc.DBAPIError as exc:
        raise StoreUnavailable(f"{place}: {_one_line(exc.orig or exc)}") from exc
    except sqlalchemy_exc.TimeoutError as exc:
        raise StoreUnavailable(f"{place}: all connections are in use") from exc


def schema_step(connection: "psycopg.Connection[tuple[object, ...]]") -> str | None:
    """The step of the migrations that the schema is at; None in an empty database."""
    (table,) = connection.execute("SELECT to_regclass('alembic_version')").fetchone() or (None,)
    if table is None:
        return None
    (step,) = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone() or (None,)
    return None if step is None else str(step)


def _one_line(exc: BaseException) -> str:
    lines = filter(None, (" ".join(line.split()) for line in str(exc).splitlines()))
    return "; ".join(line.removesuffix(".") for line in lines)
