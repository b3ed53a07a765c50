"""The dead letters of this machine: one file each, as in_journal.py writes them; see DeadLetters."""

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from llm_proxy.errors import EnvelopeUnreadable
from llm_proxy.model.exchange import Chunks, Exchange
from llm_proxy.queue.envelope import Fields
from llm_proxy.queue.letters import DeadLetter


class _Chunks(msgspec.Struct):
    times_us: list[int]
    sizes: list[int]


class _ExchangeInFile(Fields):
    chunks: _Chunks
    sent: _Chunks = msgspec.field(default_factory=lambda: _Chunks([], []))


class _Reason(msgspec.Struct):
    reason: str


class _Letter(_Reason):
    exchange: _ExchangeInFile


class JournalLetters:
    """The files in a directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def all(self) -> AsyncIterator[DeadLetter]:
        """All of them, oldest first."""
        for path in await asyncio.to_thread(lambda: sorted(self._directory.glob("*.json"))):
            with contextlib.suppress(FileNotFoundError):  # dropped by now
                yield await asyncio.to_thread(_letter, path)

    async def read(self, letter: DeadLetter) -> Exchange:
        """The call. Raises EnvelopeUnreadable, also if it is not there any more."""
        return await asyncio.to_thread(_read, Path(letter.place))

    async def drop(self, letter: DeadLetter) -> bool:
        """Delete it for good; false if it was not there."""
        try:
            await asyncio.to_thread(Path(letter.place).unlink)
        except FileNotFoundError:
            return False
        return True


def _letter(path: Path) -> DeadLetter:
    try:
        reason = msgspec.json.decode(path.read_bytes(), type=_Reason).reason
    except msgspec.MsgspecError as exc:
        reason = f"the file cannot be read: {exc}"
    buried_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return DeadLetter(call_id=path.stem, place=str(path), reason=reason, buried_at=buried_at)


def _read(path: Path) -> Exchange:
    try:
        letter = msgspec.json.decode(path.read_bytes(), type=_Letter)
    except (OSError, msgspec.MsgspecError) as exc:
        raise EnvelopeUnreadable(f"{path}: cannot be read: {exc}") from exc
    told = letter.exchange
    sent = Chunks(times_us=array("Q", told.sent.times_us), sizes=array("Q", told.sent.sizes))
    return told.exchange(told.chunks.times_us, told.chunks.sizes, sent)
