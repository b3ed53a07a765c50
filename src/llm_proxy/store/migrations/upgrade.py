"""Walk the steps that a database has not seen. To import this is to import Alembic, which is large."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.migrations import HEAD


def upgrade(connection: Connection, *, to: str = HEAD) -> None:
    """Bring the schema to the step ``to``, in the transaction of ``connection``; the caller commits.

    Raises StoreUnavailable if the schema is at a step that is not among ours.
    """
    config = Config()
    # The parser of Alembic's settings takes a percent sign for the beginning of a reference.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, to)
    except CommandError as exc:
        raise StoreUnavailable(f"the store was written by a newer llm-proxy; start that one instead ({exc})") from exc
