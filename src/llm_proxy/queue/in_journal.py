"""The journal read as a queue, by the worker of the same machine: no service in between.

Buried deliveries are files of their own, ``DIRECTORY/<exchange id>.json``: the reason and the whole exchange, bodies in
base64.
"""

import asyncio
import os
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from llm_proxy.errors import JournalUnwritable
from llm_proxy.journal.reader import JournalReader
from llm_proxy.model.exchange import Exchange
from llm_proxy.queue.base import Delivery

#: How often the journal is looked at while there is little to do, in seconds: a readdir, a read and a lock per writer.
#: Whoever comes at once for each few calls that have come meanwhile pays for that, and for a transaction, each time.
POLL_INTERVAL_S = 0.05


class JournalQueue:
    """See Queue."""

    def __init__(self, reader: JournalReader, *, dead_letters: Path) -> None:
        self._reader = reader
        self._dead_letters = dead_letters
        #: When the last look found less than it might have taken, on the loop's clock.
        self._exhausted_at = -POLL_INTERVAL_S

    async def take(self, *, limit: int, wait_s: float) -> list[Delivery]:
        """Up to ``limit`` deliveries."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            next_look_at = min(self._exhausted_at + POLL_INTERVAL_S, deadline)
            if next_look_at > loop.time():
                await asyncio.sleep(next_look_at - loop.time())
            exchanges = await asyncio.to_thread(self._reader.poll, limit=limit)
            if len(exchanges) < limit:
                self._exhausted_at = loop.time()
            if exchanges or loop.time() >= deadline:
                await asyncio.to_thread(self._reader.tidy)
                return [Delivery(exchange) for exchange in exchanges]

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are stored."""
        await asyncio.to_thread(self._finish, [delivery.exchange for delivery in deliveries], "stored")

    async def bury(self, delivery: Delivery, reason: str) -> None:
        """Keep it aside. Raises JournalUnwritable if that cannot be done; it is delivered again after a restart."""
        try:
            await asyncio.to_thread(self._write_dead_letter, delivery.exchange, reason)
        except OSError as exc:
            raise JournalUnwritable(f"{self._dead_letters}: {exc.strerror}") from exc
        await asyncio.to_thread(self._finish, [delivery.exchange], "dead")

    def _finish(self, exchanges: Sequence[Exchange], counted_as: str) -> None:
        ended = [exchange.id for exchange in exchanges if exchange.ending is not None]
        self._reader.mark_stored(ended, counted_as=counted_as)
        self._reader.tidy()

    def _write_dead_letter(self, exchange: Exchange, reason: str) -> None:
        self._dead_letters.mkdir(mode=0o700, parents=True, exist_ok=True)
        letter = msgspec.json.encode(_DeadLetter(reason, exchange), enc_hook=_plain)
        path = self._dead_letters / f"{exchange.id}.json"
        unfinished = path.with_suffix(".new")
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(letter)
        unfinished.replace(path)


@dataclass(frozen=True, slots=True)
class _DeadLetter:
    reason: str
    exchange: Exchange


def _plain(value: object) -> object:
    if isinstance(value, array):
        return value.tolist()
    raise NotImplementedError(f"no JSON form for {type(value)}")
