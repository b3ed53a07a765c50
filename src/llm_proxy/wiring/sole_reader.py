"""The one process per data directory that reads the journal: a store, or a shipper where calls go through Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from llm_proxy.errors import ConfigError
from llm_proxy.log import get_logger
from llm_proxy.metrics import forget_gauges
from llm_proxy.wiring.layout import DataDir

#: How often to look whether an earlier process has let go of the journal, in seconds.
_CLAIM_INTERVAL_S = 0.5

_log = get_logger(__name__)


@contextlib.asynccontextmanager
async def sole_reader(data: DataDir) -> AsyncIterator[None]:
    """Wait until an earlier reader, orphaned and still finishing, has let go of the journal; then hold it."""
    with contextlib.ExitStack() as claim:
        while True:
            try:
                claim.enter_context(data.claimed("store"))
                break
            except ConfigError:
                _log.warning("waiting for an earlier store process to end", data_dir=str(data.root))
                await asyncio.sleep(_CLAIM_INTERVAL_S)
        # What waits is what this one sees: the last words of an earlier reader of another role would be added to it.
        for path in data.counters.glob("*.ledger"):
            if path.stem.startswith(("store-", "shipper-")):
                forget_gauges(path)
        yield
