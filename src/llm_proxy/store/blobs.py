"""Files by the hash of their bytes, in a directory: what is the same is there once.

A file is written under another name first, so that one that is there is whole. None is ever changed.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from llm_proxy.errors import StoreUnavailable
from llm_proxy.store.base import Blob

_READ_BYTES = 256 * 1024
_HASH = re.compile("[0-9a-f]{64}")


class DirectoryOfBlobs:
    """See ``Blobs``. The directory is made when it is needed, and what is in it is for its owner only."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def add(self, pieces: AsyncIterator[bytes]) -> Blob:
        """Take in a file as it comes; nothing stays of one that does not come to its end."""
        with self._errors():
            handle, incoming = self._begin()
        digest, size = hashlib.sha256(), 0
        try:
            async for piece in pieces:
                digest.update(piece)
                size += len(piece)
                with self._errors():
                    await asyncio.to_thread(_write_all, handle, piece)
            blob = Blob(hash=digest.hexdigest(), size_bytes=size)
            with self._errors():
                self._finish(incoming, blob.hash)
        finally:
            _abandon(handle, incoming)
        return blob

    async def read(self, blob_hash: str) -> AsyncIterator[bytes]:
        """The bytes of a file. Raises StoreUnavailable if it is not there."""
        with self._errors():
            file = await asyncio.to_thread(self._place(blob_hash).open, "rb")
            with file:
                while piece := await asyncio.to_thread(file.read, _READ_BYTES):
                    yield piece

    async def has(self, blob_hash: str) -> bool:
        """Whether a file is there."""
        return await asyncio.to_thread(self._place(blob_hash).is_file)

    async def remove(self, blob_hash: str) -> None:
        """Remove a file, if it is there."""
        with self._errors():
            await asyncio.to_thread(self._place(blob_hash).unlink, missing_ok=True)

    def _begin(self) -> tuple[int, Path]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._directory, prefix="incoming-")
        return handle, Path(name)

    def _finish(self, incoming: Path, blob_hash: str) -> None:
        place = self._place(blob_hash)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        incoming.replace(place)

    def _place(self, blob_hash: str) -> Path:
        assert _HASH.fullmatch(blob_hash)  # it is a path otherwise
        return self._directory / blob_hash[:2] / blob_hash

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise StoreUnavailable(f"{self._directory}: {exc.strerror}") from exc


def _write_all(handle: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(handle, left) :]


def _abandon(handle: int, incoming: Path) -> None:
    """Let go of a file, which is there by another name if it was finished."""
    os.close(handle)
    incoming.unlink(missing_ok=True)
