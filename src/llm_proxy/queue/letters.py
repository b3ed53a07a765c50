"""The seam to what could not be stored: calls that are kept aside with the reason, until somebody decides."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from llm_proxy.model.exchange import Exchange


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One of them, without its bodies."""

    #: The id of the call; empty if what is kept does not say.
    call_id: str
    #: Where it is kept, as the one who keeps it understands it.
    place: str
    reason: str
    #: Aware, UTC.
    buried_at: datetime
    #: How often it was delivered; None where that is not counted.
    deliveries: int | None = None


class DeadLetters(Protocol):
    """Where they are kept. Every method may raise QueueUnavailable."""

    def all(self) -> AsyncIterator[DeadLetter]:
        """All of them, oldest first in each place."""

    async def read(self, letter: DeadLetter) -> Exchange:
        """The call. Raises EnvelopeUnreadable, also if it is not there any more."""

    async def drop(self, letter: DeadLetter) -> bool:
        """Delete it for good; false if it was not there."""
