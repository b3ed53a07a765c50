"""Single child processes of the product, started as its supervisor does, with a data directory of the test."""

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llm_proxy.assignment import Assignment
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.layout import DataDir
from running import PATIENCE_S, TRANSPORT, bare_environment


class Child:
    """One process that has said that it is ready."""

    def __init__(self, role: str, settings: Settings, *, index: int = 0) -> None:
        data = DataDir(settings.data_dir)
        data.prepare()
        self.log = settings.data_dir / f"{role}-{index}.log"
        self.lifeline, theirs = socket.socketpair()
        with theirs, self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"llm_proxy.wiring.{role}"],
                stdin=theirs.fileno(),
                stderr=log,
                env={**bare_environment(settings.data_dir), "PYTHONFAULTHANDLER": "1"},
            )
        runtime_dir = str(settings.data_dir / "run")
        by = settings.model_copy(update={"upstream_transport": TRANSPORT})
        told = Assignment(role=role, index=index, settings=by.to_json(), runtime_dir=runtime_dir)
        self.lifeline.settimeout(PATIENCE_S)
        self.lifeline.sendall(told.to_line())

    def ready(self) -> "Child":
        """Wait until it says so."""
        assert self.lifeline.recv(64) == b"ready\n", self.log.read_text()
        return self

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.lifeline.close()

    def stop(self) -> int:
        """Ask it to end, and return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGABRT)
            self.process.wait()
            raise AssertionError(f"it does not end: {self.log.read_text()}") from None


class Children:
    """Starts them, and leaves none behind."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.settings = Settings.model_validate({"data_dir": str(data_dir), **settings})
        self.data = DataDir(data_dir)
        self.started: list[Child] = []

    def start(self, role: str, *, index: int = 0) -> Child:
        """Start one and wait until it is ready."""
        child = Child(role, self.settings, index=index)
        self.started.append(child)
        return child.ready()


@contextlib.contextmanager
def children(data_dir: Path, **settings: Any) -> Iterator[Children]:
    """Start children with these settings; the end of the block is the end of them."""
    made = Children(data_dir, **settings)
    made.data.prepare()
    try:
        yield made
    finally:
        for child in made.started:
            child.kill()
