"""The one process per data directory that reads the journal: a store, or a shipper where calls go through Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from llm_proxy.errors import ConfigError
from llm_proxy.log import get_logger
from llm_proxy.metrics import forget_gauges
from llm_proxy.wiring.layout import DataDir

#: How often to look whether an earlier process has let go of the journal, in seconds.
_CLAIM_INTERVAL_S = 0.1
#: How long that may take before it is said: one that was replaced ends soon, an orphan takes its time. In seconds.
_SAID_AFTER_S = 3.0

_log = get_logger(__name__)


@contextlib.asynccontextmanager
async def sole_reader(data: DataDir, stopping: asyncio.Event | None = None) -> AsyncIterator[bool]:
    """Wait until an earlier reader, still finishing, has let go of the journal; then hold it.

    Gives false if ``stopping`` came before.
    """
    with contextlib.ExitStack() as claim:
        clock = asyncio.get_running_loop().time
        say_at: float | None = clock() + _SAID_AFTER_S
        while True:
            try:
                claim.enter_context(data.claimed("store"))
                break
            except ConfigError:
                if stopping is not None and stopping.is_set():
                    yield False
                    return
                if say_at is not None and clock() >= say_at:
                    _log.warning("waiting for an earlier store process to end", data_dir=str(data.root))
                    say_at = None
                await asyncio.sleep(_CLAIM_INTERVAL_S)
        # What waits is what this one sees: the last words of an earlier reader of another role would be added to it.
        for path in data.counters.glob("*.ledger"):
            if path.stem.startswith(("store-", "shipper-")):
                forget_gauges(path)
        yield True
