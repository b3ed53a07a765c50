"""The seam between the journal's side and the worker's: delivered at least once, acknowledged when stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_proxy.model.exchange import Exchange


@dataclass(frozen=True, slots=True)
class Delivery:
    """One exchange: ended, or still running (its ``ending`` is None) and delivered again when it has ended."""

    exchange: Exchange


class Queue(Protocol):
    """Where a worker takes its work from."""

    async def take(self, *, limit: int, wait_s: float) -> list[Delivery]:
        """Up to ``limit`` deliveries; waits up to ``wait_s`` for the first one, then returns an empty list."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """Note that the store has them: they need not be delivered again."""

    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Keep aside what can never be stored, with the reason, and do not deliver it again.

        Raises JournalUnwritable if there is no room for it; it is then delivered again after the next start.
        """
