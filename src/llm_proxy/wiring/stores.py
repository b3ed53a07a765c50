"""The store that the settings ask for: PostgreSQL where ``store.url`` says so, or else the SQLite file."""

from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.store.sqlite import SqliteStore
from llm_proxy.wiring.layout import DataDir


def open_store(settings: Settings, *, read_only: bool = False) -> SqlStore:
    """The store, which opens files and connections when it is used.

    ``read_only`` is for looking at what another process writes: a SQLite file is neither made nor changed by it.
    Raises ConfigError if the driver is missing or the URL is none.
    """
    if settings.store.url is None:
        return SqliteStore(DataDir(settings.data_dir).database, read_only=read_only)
    try:
        # Here, since it is an extra, and takes its time to load for nothing where there is no PostgreSQL.
        from llm_proxy.store.postgres import PostgresStore  # noqa: PLC0415
    except ImportError as exc:
        raise ConfigError(
            "store.url: PostgreSQL needs its driver, which is not installed; `pip install 'llm-proxy[postgres]'`"
        ) from exc
    try:
        return PostgresStore(
            settings.store.url.get_secret_value(),
            connections=settings.store.connections,
            statement_timeout_s=settings.store.statement_timeout_s,
        )
    except ValueError as exc:
        raise ConfigError(f"store.url: {exc}") from exc


def place_of(settings: Settings) -> str:
    """Where the records are, for people; without a password."""
    if settings.store.url is None:
        return str(DataDir(settings.data_dir).database)
    from llm_proxy.store.postgres_connection import shown  # noqa: PLC0415 (see open_store)

    return shown(settings.store.url.get_secret_value())
