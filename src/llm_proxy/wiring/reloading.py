"""The configuration of a running command, read anew on SIGHUP.

Read and checked by a process of its own (rereading.py), so that the supervisor stays small, and goes on with its duties
while a database is asked whether it has keys.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import msgspec
from pydantic import JsonValue

from llm_proxy.assignment import Assignment
from llm_proxy.log import configure, get_logger
from llm_proxy.metrics import Ledger, forget_gauges
from llm_proxy.settings.table import Settings
from llm_proxy.supervisor import Plan
from llm_proxy.wiring.differences import fingerprints, roles_reading
from llm_proxy.wiring.layout import DataDir

Command: TypeAlias = Literal["serve", "proxy", "worker", "store"]

_log = get_logger(__name__)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that reads is told."""

    command: Command
    flags: Mapping[str, str | int | None]
    #: ``Settings.to_json()`` of those in force, and the hashes of the files that they name.
    running: str
    files: dict[str, str]


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What it says."""

    #: All that is wrong, each in one line; if there is any, nothing else is said.
    problems: Sequence[str] = ()
    settings: str = ""
    files: dict[str, str] = {}
    changed: Sequence[str] = ()
    #: Keys that have another value in the configuration, and keep the one that they have here.
    kept: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Pending:
    settings: Settings
    told: Told


class Configuration:
    """See ``Reloading``."""

    def __init__(
        self,
        settings: Settings,
        *,
        command: Command,
        flags: Mapping[str, JsonValue],
        assignments: Callable[[Settings], list[Assignment]],
        ledger: Ledger,
    ) -> None:
        """``assignments`` makes all that run with these settings."""
        self._running = settings
        self._files = fingerprints(settings)
        self._command = command
        self._flags = {name: value for name, value in flags.items() if isinstance(value, str | int)}
        self._assignments = assignments
        self._ledger = ledger
        self._data = DataDir(settings.data_dir)
        self._pending: _Pending | None = None
        self._note(failed=False)

    def begin(self) -> "subprocess.Popen[bytes]":
        """Start a process that reads the configuration."""
        reading = subprocess.Popen(
            [sys.executable, "-m", "llm_proxy.wiring.rereading"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        asked = Asked(command=self._command, flags=self._flags, running=self._running.to_json(), files=self._files)
        assert reading.stdin is not None
        with contextlib.suppress(BrokenPipeError), reading.stdin:
            reading.stdin.write(msgspec.json.encode(asked))
        return reading

    def plan(self, said: bytes) -> Plan | None:
        """What is to be done; None if the old configuration stays."""
        try:
            told = msgspec.json.decode(said, type=Told)
        except msgspec.DecodeError:
            told = Told(problems=["the process that reads it has died"])
        if told.problems:
            for problem in told.problems:
                _log.error("configuration not reloaded: it is wrong, and the one in force stays", problem=problem)
            self._note(failed=True)
            return None
        self._pending = _Pending(Settings.from_json(told.settings), told)
        settings, roles = self._pending.settings, roles_reading(told.changed)
        return Plan(
            assignments=[each for each in self._assignments(settings) if each.role in roles],
            drain_s=settings.timeouts.drain_s,
            reload_drain_s=settings.timeouts.reload_drain_s,
        )

    def settle(self, *, came_up: bool) -> None:
        """The plan was carried out, or could not be."""
        pending, self._pending = self._pending, None
        assert pending is not None
        if not came_up:
            _log.error("configuration not reloaded: its processes do not come up, and the one in force stays")
            self._note(failed=True)
            return
        self._running, self._files = pending.settings, pending.told.files
        log = self._running.log
        configure(form=log.format, level=log.level, role="supervisor")
        if pending.told.kept:
            keys = ", ".join(pending.told.kept)
            _log.warning("settings that need a restart keep the value that they have", settings=keys)
        _log.info("configuration reloaded", changed=", ".join(pending.told.changed) or "nothing")
        self._note(failed=False)

    def ended(self, assignment: Assignment) -> None:
        """What was true only while a process ran is not true any more."""
        forget_gauges(self._data.counters / f"{assignment.name}.ledger")
        if assignment.role == "proxy":
            # Here, since it is needed after a reload only.
            from llm_proxy.proxy.rates import forget_running  # noqa: PLC0415

            forget_running(self._data.rates, assignment.name)

    def _note(self, *, failed: bool) -> None:
        self._ledger.put("config_reload_failed", int(failed))
        if not failed:
            self._ledger.put("config_reloaded_timestamp_seconds", int(time.time()))
