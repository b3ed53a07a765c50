"""What lies where in the data directory, and how a process gets hold of it."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_proxy.errors import ConfigError
from llm_proxy.metrics import Ledger

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class DataDir:
    """Paths below one directory; everything in it is readable for its owner only."""

    root: Path

    @property
    def journal(self) -> Path:
        """One directory per writing process."""
        return self.root / "journal"

    @property
    def counters(self) -> Path:
        """One ledger per process."""
        return self.root / "counters"

    @property
    def database(self) -> Path:
        """The SQLite store."""
        return self.root / "store.sqlite3"

    @property
    def dead_letters(self) -> Path:
        """Exchanges that the store will never take."""
        return self.root / "dead-letters"

    @property
    def uploads(self) -> Path:
        """Files that belong to what instrumented programs tell of."""
        return self.root / "uploads"

    @property
    def login_link(self) -> Path:
        """What is known of the link that logs in once."""
        return self.root / "login.link"

    @property
    def keys(self) -> Path:
        """What the proxies know of keys."""
        return self.root / "keys.snapshot"

    @property
    def rates(self) -> Path:
        """What the proxies have counted of calls by keys with limits; one file per process."""
        return self.root / "rates"

    @property
    def suspect(self) -> Path:
        """Of which exchange the last worker died, if it died of one."""
        return self.root / "worker.suspect"

    @property
    def _secret(self) -> Path:
        return self.root / "fingerprint.key"

    def prepare(self) -> None:
        """Make the directories and the key of the fingerprints. Raises ConfigError."""
        try:
            for directory in (self.root, self.journal, self.counters):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                file = os.open(self._secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(file, "wb") as secret:
                    secret.write(secrets.token_bytes(_SECRET_BYTES))
        except OSError as exc:
            raise ConfigError(f"data_dir: {self.root} cannot be used: {exc.strerror}") from exc

    def fingerprint_secret(self) -> bytes:
        """The key of the fingerprints, the same for the life of the directory."""
        return self._secret.read_bytes()

    def ledger(self, name: str, *, upstreams: Sequence[str] = ()) -> Ledger:
        """The counters of the process ``name``; if there is no room for them, they count from zero in memory."""
        path = self.counters / f"{name}.ledger"
        try:
            return Ledger(path, upstreams=upstreams)
        except OSError as exc:  # a full disk must not keep calls from being relayed
            # Here, since it takes a quarter of the start-up time of those who look for no more than a path.
            from llm_proxy.log import get_logger  # noqa: PLC0415

            get_logger(__name__).error(
                "the counters cannot be written and start at zero", path=str(path), reason=exc.strerror
            )
            return Ledger()

    @contextlib.contextmanager
    def claimed(self, name: str) -> Iterator[None]:
        """Hold the lock ``name``; the kernel lets go of it when the process ends. Raises ConfigError if it is taken."""
        try:
            lock = os.open(self.root / f"{name}.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise ConfigError(f"data_dir: {self.root} cannot be used: {exc.strerror}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as exc:
            raise ConfigError(
                f"data_dir: {self.root} is in use by another llm-proxy; choose another --data-dir"
            ) from exc
        finally:
            os.close(lock)


def store_socket(runtime_dir: str) -> str:
    """Where the store process listens; not in the data directory, whose path may be longer than a socket's may be."""
    return str(Path(runtime_dir) / "store.sock")
