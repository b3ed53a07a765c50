"""The product as its users run it: ``llm-proxy serve`` in a process of its own, with an environment of its own.

Nothing of the machine leaks in (no files of the user, of LLM_PROXY_* the transport alone), and nothing is left behind:
every process that comes of it carries a mark in its environment, by which it is found, told apart and at last missed.
"""

import asyncio
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from empty_stores import empty_store
from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.record import record_json
from llm_proxy.store.sqlite import SqliteStore

#: Generous: nothing in a test should come near it.
PATIENCE_S = 40.0
CHAT = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hi"}]}
#: What the proxies of this run of the tests speak to their upstreams by: `make test TRANSPORT=httpx`.
TRANSPORT = os.environ.get("LLM_PROXY_UPSTREAM_TRANSPORT") or "http1"
_MARK = "RUN_OF_A_TEST"
_LOOK_S = 0.02
#: Where it listens, once all is said.
_ADDRESS = re.compile(
    r"(?:export OPENAI_BASE_URL=|look at them +|health +)(http://[^/\s]+)/\S*.*\n(.*\n)*.*data lies in"
)

_Found = TypeVar("_Found")


async def until(look: Callable[[], _Found | None], what: str) -> _Found:
    """Look again and again until what is seen is true, and return it; fail with ``what`` when it never is."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if seen := look():
            return seen
        assert time.monotonic() < deadline, f"never happened: {what}"
        await asyncio.sleep(_LOOK_S)


@dataclass
class Product:
    """A running ``llm-proxy serve``."""

    process: "subprocess.Popen[bytes]"
    data_dir: Path
    output: Path
    log: Path
    mark: str
    environment: Mapping[str, str]
    #: Without a slash at its end.
    url: str = ""
    #: Every call on a connection of its own, so that none stumbles over a process that was killed.
    client: httpx.AsyncClient = field(
        default_factory=lambda: httpx.AsyncClient(
            timeout=PATIENCE_S, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
    )

    @property
    def base_url(self) -> str:
        """What to put into OPENAI_BASE_URL."""
        return f"{self.url}/v1"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def printed(self) -> str:
        """What the command has said on its standard output."""
        return self.output.read_text()

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def processes(self, role: str = "") -> list[psutil.Process]:
        """Those that run: all, or the children of one role, ``proxy`` or ``store``."""
        return [process for process in _marked(self.mark) if not role or _role(process) == role]

    async def child(self, role: str, *, other_than: int | None = None) -> psutil.Process:
        """Wait for a process of this role."""

        def look() -> psutil.Process | None:
            return next((process for process in self.processes(role) if process.pid != other_than), None)

        return await until(look, f"a process {role}")

    async def kill(self, role: str) -> None:
        """End a child as ``kill -9`` does, and wait until it is gone."""
        process = await self.child(role)
        process.kill()
        await until(lambda: not _alive(process.pid), f"the end of {role}")

    async def stop(self, *signals: int) -> int:
        """Ask it to stop, with SIGTERM unless others are given, and return the exit status."""
        for number in signals or (15,):
            self.process.send_signal(number)
        return await self.end()

    async def end(self) -> int:
        """Wait for the end of one that was asked to stop already, and return the exit status."""
        status = await until(lambda: (self.process.poll() is not None and (self.process.returncode,)) or (), "its end")
        return int(status[0])

    async def gone(self) -> None:
        """Wait until none of its processes is left."""
        await until(lambda: not self.processes(), "the end of all processes")

    async def completions(self) -> list[Completion]:
        """Everything in the store with its bodies, oldest first; also when nothing runs."""
        store = SqliteStore(self.data_dir / "store.sqlite3", read_only=True)
        try:
            page = await store.find(CompletionQuery(limit=None, with_bodies=True))
        finally:
            await store.close()
        return sorted(page.completions, key=lambda completion: completion.id)

    async def records(self) -> list[dict[str, Any]]:
        """The same as ``llm-proxy logs --json`` shows it."""
        return [record_json(completion, with_bodies=True) for completion in await self.completions()]

    async def ended(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many records are there that have ended, and return all of these."""
        return await self._recorded(count, lambda record: record["ending"] is not None)

    async def started(self, count: int) -> list[dict[str, Any]]:
        """Wait until so many records are there of calls that still run, and return all of these."""
        return await self._recorded(count, lambda record: record["ending"] is None)

    async def _recorded(self, count: int, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = [record for record in await self.records() if wanted(record)]
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline, f"{len(found)} of {count} records; {self.log.read_text()[-2000:]}"
            await asyncio.sleep(_LOOK_S)

    async def numbers(self, **at_least: float) -> dict[str, float]:
        """The samples of ``/metrics`` without the prefix of their names, as soon as these are at least so large.

        What happened can be seen a moment before it is counted.
        """
        deadline = time.monotonic() + PATIENCE_S
        while True:
            text = (await self.client.get(f"{self.url}/metrics")).raise_for_status().text
            samples = [line.removeprefix("llm_proxy_").rsplit(" ", 1) for line in text.splitlines() if line[0] != "#"]
            numbers = {name: float(value) for name, value in samples}
            if all(numbers.get(name, 0) >= least for name, least in at_least.items()):
                return numbers
            assert time.monotonic() < deadline, f"{numbers}, and not {at_least}"
            await asyncio.sleep(_LOOK_S)

    async def chat(self, body: Mapping[str, Any] = CHAT, **options: Any) -> httpx.Response:
        """One chat completion."""
        return await self.client.post(f"{self.base_url}/chat/completions", json=body, **options)

    def command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run ``llm-proxy`` with these arguments and return what it said."""
        command = [sys.executable, "-m", "llm_proxy", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=dict(self.environment), timeout=PATIENCE_S, check=False
        )

    def logs(self, *arguments: str) -> list[dict[str, Any]]:
        """What ``llm-proxy logs --json`` prints."""
        done = self.command("logs", "--data-dir", str(self.data_dir), "--json", *arguments)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextlib.asynccontextmanager
async def serve(
    there: Path,
    upstream_url: str,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    ready: bool = True,
    first: bool = False,
) -> AsyncIterator[Product]:
    """Run ``llm-proxy serve`` on a free port with its data in ``there``/data until the end of the block.

    With ``ready`` it is waited for until it says where it listens. Unless it is the ``first`` start of all, an empty
    store is there if none is: to make one takes as long as the rest of a start.
    """
    if not first and "LLM_PROXY_STORE_URL" not in (env or {}):
        lay_empty_store(there / "data")
    async with run(there, "serve", "--upstream", upstream_url, *arguments, env=env, ready=ready) as product:
        yield product


def lay_empty_store(data_dir: Path) -> None:
    """Put an empty store where a product that has run before would have it, unless there is one."""
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (data_dir / "store.sqlite3").exists():
        empty_store(data_dir / "store.sqlite3")


@contextlib.asynccontextmanager
async def run(
    there: Path, command: str, *arguments: str, env: Mapping[str, str] | None = None, ready: bool = True
) -> AsyncIterator[Product]:
    """The same with any command that runs until it is stopped."""
    mark = uuid.uuid4().hex
    # Short, since the path of a socket must be; and of its own, since a product that is killed cannot tidy up.
    temporary = tempfile.mkdtemp()
    environment = {**bare_environment(there), "TMPDIR": temporary, **(env or {}), _MARK: mark}
    output, log = there / f"{mark}.out", there / f"{mark}.log"
    whole = [sys.executable, "-m", "llm_proxy", command, "--port", "0", "--data-dir", str(there / "data")]
    with output.open("wb") as out, log.open("wb") as err:
        process = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment, and asyncio's own would be one loop's
            [*whole, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment,
        )
    product = Product(process, there / "data", output, log, mark, environment)
    try:
        if ready:
            product.url = await until(lambda: _greeted(product), "its greeting")
        yield product
    finally:
        await product.client.aclose()
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, PATIENCE_S)
            await product.gone()
        finally:
            for left in _marked(mark):
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()
            process.kill()
            process.wait()
            shutil.rmtree(temporary)


def bare_environment(home: Path) -> dict[str, str]:
    """An environment without anything of the user's, but the transport of this run."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LLM_PROXY_UPSTREAM_TRANSPORT": TRANSPORT,
    }


def _greeted(product: Product) -> str | None:
    if product.process.poll() is not None:
        raise AssertionError(f"it ended with {product.process.returncode}: {product.log.read_text()}")
    told = _ADDRESS.search(product.printed())
    return told[1] if told else None


def _marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(_MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _role(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        # A process that is just ending has no arguments any more.
        return str("".join(process.cmdline()[-1:]).rpartition("llm_proxy.wiring.")[2])
    return ""


def _alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
