"""``llm-proxy demo``: a scripted upstream, a proxy before it, a handful of calls, and what is on record of them.

The private proxy is a process of its own, started as users start it, and nothing of their settings reaches it. Whatever
ends the demo, an error or a signal, that proxy is stopped and its data removed, unless it is to be kept.
"""

import asyncio
import contextlib
import os
import re
import secrets
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn
from urllib.parse import urlsplit

import httpx

from llm_proxy.demo.calls import make, scripted_calls
from llm_proxy.demo.upstream import ScriptedUpstream
from llm_proxy.errors import ConfigError
from llm_proxy.model.completion import Completion, Status
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.logs import Table
from llm_proxy.wiring.stores import open_store, place_of

_HOST = "127.0.0.1"
#: How long the private proxy may take to come up and to go down, and how long an answer may take, in seconds.
_START_S, _STOP_S, _ANSWER_S = 30.0, 20.0, 30.0
#: How long records may take to appear, and how often to look for them, in seconds.
_RECORD_S, _POLL_S = 20.0, 0.05
_READY = re.compile(rb"OPENAI_BASE_URL=(http://\S+)/v1\n")
_VARIABLE_PREFIX = "LLM_PROXY_"
#: Of the scripted calls, the one that is shown in full at the end: a stream with everything said about it.
_SHOWN_IN_FULL = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stage:
    """Where the demo takes place."""

    #: Of the scripted upstream.
    listener: socket.socket
    #: Of the proxy, without /v1.
    url: str
    settings: Settings
    #: What says where the records are, if they stay there.
    logs: str | None


def run_demo(*, upstream_port: int, keep: Path | None) -> int:
    """Show the product with a proxy of its own whose data stays in ``keep``; the exit status. Raises ConfigError."""
    with (
        _signals_as_exceptions(),
        _listen(upstream_port) as listener,
        _directory(keep) as data_dir,
        _private_proxy(_url_of(listener), data_dir) as url,
    ):
        logs = f"llm-proxy logs --data-dir {shlex.quote(str(data_dir))}" if keep else None
        return asyncio.run(_play(_Stage(listener=listener, url=url, settings=Settings(data_dir=data_dir), logs=logs)))


def run_demo_through(url: str, *, upstream_port: int, settings: Settings) -> int:
    """Show the product with the proxy that runs at ``url`` and records as ``settings`` say. Raises ConfigError."""
    split = urlsplit(url)
    if split.scheme not in ("http", "https") or not split.hostname:
        raise ConfigError(f"--through: {url!r} is no URL of a proxy; write http://127.0.0.1:8080")
    logs = "llm-proxy logs"
    if settings.data_dir != Settings().data_dir:
        logs += f" --data-dir {shlex.quote(str(settings.data_dir))}"
    with _signals_as_exceptions(), _listen(upstream_port) as listener:
        proxy = url.rstrip("/").removesuffix("/v1")
        return asyncio.run(_play(_Stage(listener=listener, url=proxy, settings=settings, logs=logs)))


async def _play(stage: _Stage) -> int:
    _say(f"A scripted upstream is at {_url_of(stage.listener)}, a proxy before it at {stage.url}/v1.", "")
    upstream = ScriptedUpstream()
    async with upstream.listening(stage.listener):
        ids = await _make_calls(stage, upstream)
        records = await _recorded(ids, stage.settings)
    missing = len(ids) - len(records)
    _say("", "What is on record, newest first, as `llm-proxy logs` lists it:", "")
    table = Table()
    table.several(sorted(records.values(), key=lambda record: (record.started_at, record.id), reverse=True))
    if missing:
        where = f"{missing} of {len(ids)} calls are not on record in {place_of(stage.settings)}"
        print(f"llm-proxy: {where}; is that where the proxy's records are?", file=sys.stderr)  # noqa: T201
        return 1
    shown = records[ids[_SHOWN_IN_FULL]]
    _say("", f"One of them in full, as `llm-proxy logs {shown.id}` shows it:", "")
    table.one(shown)
    _say("", *_what_is_next(stage.logs))
    return 0


async def _make_calls(stage: _Stage, upstream: ScriptedUpstream) -> Sequence[str]:
    """The ids of the calls, in their order. Raises ConfigError if one does not take the way that it should."""
    ids: list[str] = []
    # Without the variables of the user's outgoing proxy: all of this is on one machine.
    async with httpx.AsyncClient(base_url=stage.url, timeout=_ANSWER_S, trust_env=False) as client:
        for call in scripted_calls(f"demo-{secrets.token_hex(3)}"):
            _say(f"  {call.title:<29}", end="")
            try:
                outcome = await make(client, call)
            except httpx.TransportError as exc:
                _say("")
                raise ConfigError(f"no answer from the proxy at {stage.url}: {exc or type(exc).__name__}") from exc
            _say(outcome.line)
            ids += filter(None, [outcome.id])
            if upstream.arrived < len(ids) or outcome.id is None:
                raise ConfigError(
                    f"the call did not come from {stage.url} to the scripted upstream; start that proxy with"
                    f" `llm-proxy serve --upstream {_url_of(stage.listener)}`"
                )
    return ids


async def _recorded(ids: Sequence[str], settings: Settings) -> dict[str, Completion]:
    """The records of calls that have ended, once all of them are there, or when it has taken too long."""
    store = open_store(settings, read_only=True)
    deadline = time.monotonic() + _RECORD_S
    records: dict[str, Completion] = {}
    while len(records) < len(ids):
        for call_id in ids:
            if call_id not in records:
                record = await store.get(call_id)
                if record is not None and record.status is not Status.STARTED:
                    records[call_id] = record
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(_POLL_S)
    await store.close()
    return records


def _what_is_next(logs: str | None) -> Sequence[str]:
    if logs:
        return ("All of this stays on record:", "", f"  {logs}")
    return (
        "Nothing of this is kept (--keep DIR keeps it). Now your own programs, without a change:",
        "",
        "  llm-proxy serve",
        f"  export OPENAI_BASE_URL=http://{_HOST}:{Settings().port}/v1",
        "  llm-proxy logs -f",
    )


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_HOST, port))
    except OSError as exc:
        raise ConfigError(f"--upstream-port: cannot listen on {_HOST}:{port}: {exc.strerror}") from exc


def _url_of(listener: socket.socket) -> str:
    return f"http://{_HOST}:{listener.getsockname()[1]}/v1"


@contextlib.contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is not None:
        yield keep.absolute()
    else:
        with tempfile.TemporaryDirectory(prefix="llm-proxy-demo-", ignore_cleanup_errors=True) as there:
            yield Path(there)


@contextlib.contextmanager
def _private_proxy(upstream: str, data_dir: Path) -> Iterator[str]:
    """The URL of a proxy that runs until the end of the block. Raises ConfigError if it does not start."""
    flags = ("--host", _HOST, "--port", "0", "--workers", "1", "--upstream", upstream, "--data-dir", str(data_dir))
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_VARIABLE_PREFIX)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-m", "llm_proxy", "serve", *flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,  # so that Ctrl-C in a terminal reaches the demo alone, which then ends it
        )
        with process:
            try:
                yield _url_when_ready(process, log)
            finally:
                _stop(process)


def _url_when_ready(process: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
    assert process.stdout is not None
    printed, deadline = b"", time.monotonic() + _START_S
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while selector.select(deadline - time.monotonic()):
            piece = os.read(process.stdout.fileno(), 4096)
            printed += piece
            if ready := _READY.search(printed):
                return ready[1].decode()
            if not piece:
                break
    log.seek(0)
    *_, reason = log.read().decode(errors="replace").splitlines() or ["it said nothing"]
    raise ConfigError(f"the private proxy did not start: {reason.removeprefix('llm-proxy: ')}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except BaseException as exc:  # a second Ctrl-C, too: nothing is to be left running
        process.kill()
        if not isinstance(exc, subprocess.TimeoutExpired):
            raise


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Make the signals that would end this process unwind it instead.

    Also that of Ctrl-C: asyncio would make a cancellation of it, which can get lost among those of the demo's calls.
    """

    def unwind(number: int, frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    # Not those that whoever started us wants ignored (nohup).
    ending = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    deadly = [number for number, handler in before.items() if handler in ending]
    for number in deadly:
        signal.signal(number, unwind)
    try:
        yield
    finally:
        for number in deadly:
            signal.signal(number, before[number])


def _say(*lines: str, end: str = "\n") -> None:
    # Flushed: the tables go to the same place by another way.
    print(*lines, sep="\n", end=end, flush=True)  # noqa: T201 - this is what the command says
