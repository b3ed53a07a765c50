"""Whether the pages will ask for a key, as the supervisor can tell, which does without all that reads a store."""

import contextlib
import sqlite3

from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir


def is_guarded(settings: Settings) -> bool:
    """Whether there are keys; of a PostgreSQL database, where only the store process looks, it is taken to be so."""
    if settings.auth.admin_key is not None or settings.oidc.issuer is not None or settings.store.url is not None:
        return True
    path = DataDir(settings.data_dir).database.absolute()
    # A table that is not there yet, or a file that is none, has no keys; whatever it is, the store process says it.
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as file,
    ):
        return file.execute("SELECT 1 FROM api_keys LIMIT 1").fetchone() is not None
    return False
