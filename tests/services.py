"""A PostgreSQL of one's own for tests: a private PostgreSQL server, started once for all of them.

The fixture ``postgres`` is everybody's. It makes databases, by copying a template where one is given; who made one
drops it. Nothing of the server is left when the tests end.
"""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from llm_proxy.store.postgres_writer import PostgresWriter
from ports import free_port

#: Generous: starting takes less than a second.
PATIENCE_S = 60.0
#: Where Debian and Ubuntu, and where others put the programs.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin")
#: A test need not survive a power cut; that of a server that is killed is another matter.
_OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "log_min_messages": "error",
    "listen_addresses": "127.0.0.1",
}
#: Sorting as people do, which is not as the store needs it: this finds what relies on the server's own order.
_LANGUAGE = ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C.UTF-8")


class PostgresServer:
    """A server with a directory and a port of its own."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs = programs
        self._directory = directory
        self._names = (f"test_{number}" for number in count())
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self._run("initdb", "-D", "data", "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync", *_LANGUAGE)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template1") -> str:
        """The name of a new database that is like ``template``."""
        name = next(self._names)
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)
        return name

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        self._execute("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = [f"--{name}={value}" for name, value in _OPTIONS.items()]
        command = [
            self._programs / "postgres",
            "-D",
            "data",
            "-p",
            str(self.port),
            "-k",
            str(self._directory),
            *options,
        ]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._directory, stdout=log, stderr=log, **_as_somebody())
        patience_ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                psycopg.connect(self.url()).close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > patience_ends:
                    pytest.fail(f"PostgreSQL does not start: {(self._directory / 'log').read_text()[-2000:]}")
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop and wait: SIGINT ends all connections, SIGKILL is a crash."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(PATIENCE_S)
            self._process = None

    def crash(self) -> None:
        """Kill all of its processes at once, as a machine that loses its power does to them."""
        assert self._process is not None
        every = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
        for process in every:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every, timeout=PATIENCE_S)
        self._process.wait(PATIENCE_S)
        self._process = None

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._programs / program, *arguments]
        done = subprocess.run(command, cwd=self._directory, capture_output=True, check=False, **_as_somebody())
        if done.returncode:
            pytest.fail(f"{program}: {done.stderr.decode()}")


@contextlib.contextmanager
def private_postgres() -> Iterator[PostgresServer]:
    """A server, running, until the end of the block."""
    directory = Path(tempfile.mkdtemp(prefix="pg-"))  # pytest's own is too deep for the path of a socket
    try:
        if os.geteuid() == 0:
            shutil.chown(directory, **_owner())
        server = PostgresServer(_programs(), directory)
        server.start()
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server of all tests, running."""
    with private_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres: PostgresServer) -> str:
    """A database with an empty store, made once: a template for others."""
    name = postgres.create_database()
    writer = PostgresWriter(postgres.url(name), statement_timeout_s=PATIENCE_S)
    writer.migrate()
    writer.close()
    return name


def _programs() -> Path:
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    for place in _PLACES:
        places += sorted(Path("/").glob(place.lstrip("/")), reverse=True)
    for directory in places:
        if (directory / "postgres").exists() and (directory / "initdb").exists():
            return directory
    pytest.fail(
        "these tests need PostgreSQL's server: `apt-get install postgresql`, or initdb and postgres on the PATH"
    )


def _owner() -> dict[str, int]:
    """Whom PostgreSQL runs as when we are root, as whom it refuses to."""
    with contextlib.suppress(KeyError):
        account = pwd.getpwnam("postgres")
        return {"user": account.pw_uid, "group": account.pw_gid}
    return {"user": 65534, "group": 65534}


def _as_somebody() -> dict[str, object]:
    return {**_owner(), "extra_groups": []} if os.geteuid() == 0 else {}
