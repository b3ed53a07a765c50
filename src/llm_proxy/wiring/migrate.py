"""``llm-proxy migrate``: bring the schema of the store to the newest step, or say whether it is there.

Every process that writes does so by itself when it starts. This is for those who want it done at a time of their own
choosing, or by an account that may make tables where the others may not.
"""

import asyncio
import sys

from llm_proxy.settings.table import Settings
from llm_proxy.store.migrations import HEAD
from llm_proxy.store.sql_store import SqlStore
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.stores import open_store, place_of


def migrate(settings: Settings, *, check: bool = False) -> int:
    """Migrate, or only ``check``; the exit code, 1 if a check finds steps that are still to be walked.

    Raises ConfigError, and StoreUnavailable if the store cannot be reached or was written by a newer llm-proxy.
    """
    if not check and settings.store.url is None:
        DataDir(settings.data_dir).prepare()
    store = open_store(settings, read_only=check)
    with asyncio.Runner() as runner:
        try:
            before = runner.run(_walk(store, check=check))
        finally:
            runner.run(store.close())
    _say(settings, before, check=check)
    return 1 if check and before != HEAD else 0


async def _walk(store: SqlStore, *, check: bool) -> str | None:
    """The step that the schema was at."""
    before = await store.schema_step()
    if not check:
        await store.migrate()
    return before


def _say(settings: Settings, before: str | None, *, check: bool) -> None:
    place, was = place_of(settings), "has no tables" if before is None else f"is at step {before}"
    if before == HEAD:
        text = f"{place}: the schema {was}, which is the newest"
    elif check:
        text = f"{place}: the schema {was}, and this llm-proxy needs step {HEAD}"
    else:
        text = f"{place}: the schema is now at step {HEAD}" + ("" if before is None else f", it was at step {before}")
    sys.stdout.write(f"{text}\n")
