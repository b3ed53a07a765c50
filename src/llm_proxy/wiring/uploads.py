"""Files that instrumented programs upload: in the data directory, or in one that several hosts share."""

import contextlib
import os
import secrets
from pathlib import Path

from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.store.blobs import DirectoryOfBlobs
from llm_proxy.wiring.layout import DataDir

_SECRET_BYTES = 32
_SIGNING = "signing.key"


def open_blobs(settings: Settings) -> DirectoryOfBlobs:
    """The place of the files; its directory is made when it is needed."""
    return DirectoryOfBlobs(settings.store.uploads_dir or DataDir(settings.data_dir).uploads)


def signing_secret(settings: Settings) -> bytes:
    """What URLs to put files to are signed with: the same on all hosts that share the place. Raises ConfigError."""
    shared = settings.store.uploads_dir
    if shared is None:
        return DataDir(settings.data_dir).fingerprint_secret()
    try:
        return _shared_secret(shared)
    except OSError as exc:
        raise ConfigError(f"store.uploads_dir: {shared} cannot be used: {exc.strerror}") from exc


def _shared_secret(directory: Path) -> bytes:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = directory / _SIGNING
    unfinished = directory / f"{_SIGNING}.{secrets.token_hex(4)}"
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_SECRET_BYTES))
    try:
        with contextlib.suppress(FileExistsError):
            os.link(unfinished, path)  # in one step, and never in the place of another host's
    finally:
        unfinished.unlink()
    return path.read_bytes()
