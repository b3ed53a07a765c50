"""The keys that a proxy process knows: a snapshot in a file, read again whenever another one has taken its place.

Nothing here asks the store. The event loop never waits for the disk: looking and reading are done in a thread, several
times a second. A file that cannot be read leaves what was known; without one from the beginning nothing is known.
"""

import asyncio
import hmac
import os
import time
from pathlib import Path

from llm_proxy.model.key_snapshot import Snapshot, SnapshotKey, decode_snapshot

#: How often it is looked whether there is another file, in seconds: a stat.
LOOK_INTERVAL_S = 0.25


class KeyFile:
    """What is in the file at ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._keys: dict[bytes, SnapshotKey] | None = None
        self._made_at = float("-inf")
        self._look()

    @property
    def is_known(self) -> bool:
        """Whether there ever was a snapshot."""
        return self._keys is not None

    @property
    def age_s(self) -> float:
        """How long ago the snapshot was made."""
        return time.time() - self._made_at

    def find(self, key_hash: bytes) -> SnapshotKey | None:
        """The valid key that has this hash."""
        key = None if self._keys is None else self._keys.get(key_hash)
        if key is None or not hmac.compare_digest(key.hash, key_hash):
            return None
        return key if key.expires_at is None or time.time() < key.expires_at else None

    async def follow(self, stopping: asyncio.Event) -> None:
        """Keep up with the file until told to stop."""
        while not stopping.is_set():
            await asyncio.to_thread(self._look)
            try:
                await asyncio.wait_for(stopping.wait(), LOOK_INTERVAL_S)
            except TimeoutError:
                continue

    def _look(self) -> None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - a fraction of the time of Path's
            stamp = found.st_ino, found.st_mtime_ns, found.st_size
            if stamp == self._stamp:
                return
            snapshot = decode_snapshot(self._path.read_bytes())
        except (OSError, ValueError):
            return
        self._learn(snapshot)
        self._stamp = stamp

    def _learn(self, snapshot: Snapshot) -> None:
        self._keys = {key.hash: key for key in snapshot.keys}
        self._made_at = snapshot.made_at
