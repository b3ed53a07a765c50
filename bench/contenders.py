"""What is compared, and how each is started. All of them listen on a port and relay to the same upstream."""

import contextlib
import importlib.util
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import nginx
from bench.cpu import Cores, cpu_s, family
from llm_proxy.metrics import read_all
from llm_proxy.store.search_indexer import RECORDS

#: Columns of the table, in their order. Ours has two: what a call costs while the client waits, and altogether.
NGINX, AIOHTTP, NAIVE, OURS_PROXY, OURS = "nginx", "aiohttp", "naive", "ours, proxy process", "ours, everything"
#: Ours with something that is different, or something behind it that does not answer.
TWO_WORKERS = "two-workers"
WITH_REDIS, REDIS_STOPPED, STORE_STOPPED = "redis", "redis-stopped", "store-stopped"
#: How long a contender may take for anything that is waited for, in seconds.
PATIENCE_S = 120.0
#: How long a look takes whether one is at work, in seconds, and the share of a CPU that it may use when it is not.
_LOOK_S, _IDLE_SHARE = 0.2, 0.11

#: Records behind the last block of the index; those that fill no block wait for more.
_UNINDEXED = """
    SELECT count(*) FROM completions WHERE change > (SELECT coalesce(max(last_change), 0) FROM search_blocks)
"""
_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a contender runs."""

    port: int
    upstream_port: int
    #: Empty, for what it writes.
    directory: Path

    @property
    def upstream(self) -> str:
        """The upstream without a path."""
        return f"http://127.0.0.1:{self.upstream_port}"


@dataclass(frozen=True, slots=True)
class Contender:
    """One of those that are compared."""

    name: str
    #: What it is, in the report.
    what: str
    command: Callable[[Place], Sequence[str | Path]]
    #: Why it cannot be run here; None if it can.
    missing: Callable[[], str | None] = lambda: None
    #: Whether it is compared with all others, by all that is measured; else with ours, by what small calls take.
    is_whole: bool = True
    #: Programs of which the processes are stopped (SIGSTOP) while it is measured, by a word of their command.
    stopped: str | None = None


class Running:
    """A contender that was started."""

    def __init__(self, contender: Contender, place: Place, process: "subprocess.Popen[bytes]") -> None:
        self.contender = contender
        self.port = place.port
        self._data_dir = place.directory
        self._process = process

    @contextlib.contextmanager
    def disturbed(self) -> Iterator[None]:
        """While it is measured: what shall not answer does not."""
        word = self.contender.stopped
        victims = [
            process
            for process in (family(self._process.pid) if word else [])
            if word in " ".join(process.cmdline()) and "llm_proxy.wiring.proxy" not in process.cmdline()
        ]
        if word and not victims:
            raise RuntimeError(f"{self.contender.name}: there is no process to be stopped")
        for process in victims:
            process.suspend()
        try:
            yield
        finally:
            for process in victims:
                process.resume()

    def processes(self) -> dict[str, list[psutil.Process]]:
        """Its processes by column; the last column has all of them."""
        everything = family(self._process.pid)
        if not self._is_ours:
            return {self.contender.name: everything}
        proxies = [process for process in everything if "llm_proxy.wiring.proxy" in process.cmdline()]
        if not self.contender.is_whole:
            return {self.contender.name: proxies}
        return {OURS_PROXY: proxies, OURS: everything}

    @property
    def _is_ours(self) -> bool:
        return self.contender.name == OURS or not self.contender.is_whole

    @property
    def database(self) -> Path | None:
        """Of one of which all is measured that it does behind the calls."""
        return self._data_dir / "store.sqlite3" if self.contender.name == OURS else None

    def settle(self) -> None:
        """Wait until all calls so far are stored, where they are: ours does that behind the client's back."""
        if not self._is_ours:
            return
        deadline = time.monotonic() + PATIENCE_S
        # The numbers of /metrics, read where they are kept, so that asking costs the proxy nothing.
        while (numbers := read_all(self._data_dir / "counters"))["accepted"] > numbers["stored"] + numbers["dead"]:
            if self._process.poll() is not None:
                raise RuntimeError(f"it ended by itself, with exit status {self._process.returncode}")
            if time.monotonic() > deadline:
                raise TimeoutError(f"the store has not caught up: {dict(numbers)}")
            time.sleep(0.02)

    def rest(self) -> None:
        """Wait until it has nothing more to do by itself: neither for the index for search, nor anything else."""
        deadline = time.monotonic() + PATIENCE_S
        while self._unindexed() >= RECORDS or self._is_at_work():
            if time.monotonic() > deadline:
                raise TimeoutError(f"it does not come to rest, with {self._unindexed()} records to index")

    def _unindexed(self) -> int:
        return self._ask(_UNINDEXED)

    def _is_at_work(self) -> bool:
        everything = family(self._process.pid)
        before_s = cpu_s(everything)
        time.sleep(_LOOK_S)
        return cpu_s(everything) - before_s > _IDLE_SHARE * _LOOK_S

    def records(self) -> int | None:
        """How many calls it has on record as ended well; None for what keeps no records."""
        if not self._is_ours:
            return None
        return self._ask("SELECT count(*) FROM completions WHERE status = 'finished'")

    def _ask(self, question: str) -> int:
        with contextlib.closing(sqlite3.connect(self._data_dir / "store.sqlite3")) as store:
            answer: int = store.execute(question).fetchone()[0]
            return answer


@contextlib.contextmanager
def running(contender: Contender, place: Place, cores: Cores) -> Iterator[Running]:
    """Start it, and end it afterwards."""
    with (
        (place.directory / "output.log").open("w+b") as output,
        cores.for_what_is_measured(),
    ):
        process = subprocess.Popen(
            [str(word) for word in contender.command(place)], cwd=_ROOT, stdout=output, stderr=output
        )
    try:
        yield Running(contender, place, process)
    except Exception as exc:
        exc.add_note(f"{contender.name} said: {(place.directory / 'output.log').read_text()[-2000:]}")
        raise
    finally:
        _end(process)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _end(process: "subprocess.Popen[bytes]") -> None:
    everything = family(process.pid) if process.poll() is None else []
    process.terminate()
    for one in psutil.wait_procs(everything, timeout=PATIENCE_S)[1]:
        one.kill()
    process.wait()


def _nginx(place: Place) -> Sequence[str | Path]:
    config = nginx.configure(place.directory, port=place.port, upstream_port=place.upstream_port)
    return _nginx_binary() or "nginx", "-p", place.directory, "-e", place.directory / "error.log", "-c", config


def _nginx_binary() -> str | None:
    # Debian's lies where only root's PATH looks.
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def _no_redis() -> str | None:
    return None if shutil.which("redis-server") else "redis-server is not installed"


def _module(name: str) -> Callable[[Place], Sequence[str | Path]]:
    return lambda place: (sys.executable, "-m", f"bench.{name}", str(place.port), place.upstream)


def _ours_with_redis(place: Place) -> Sequence[str | Path]:
    """A shell that starts Redis on a socket, then ours; both end with it."""
    sock = place.directory / "redis.sock"
    redis = f"redis-server --port 0 --unixsocket {sock} --save '' --dir {place.directory} >/dev/null & redis=$!"
    ours = shlex.join(str(word) for word in _ours(place))
    wait = f"while [ ! -S {sock} ]; do sleep 0.01; done"
    end = "trap 'kill $ours; wait $ours; kill $redis; wait; exit' TERM"
    script = f"{redis}; {wait}; LLM_PROXY_REDIS_URL=unix://{sock} {ours} & ours=$!; {end}; wait $ours; kill $redis"
    return "sh", "-c", script


def _ours_twice(place: Place) -> Sequence[str | Path]:
    return ["2" if word == "1" else word for word in _ours(place)]


def _ours(place: Place) -> Sequence[str | Path]:
    return (
        *(sys.executable, "-m", "llm_proxy", "serve", "--workers", "1", "--port", str(place.port)),
        *("--data-dir", place.directory, "--upstream", f"{place.upstream}/v1"),
    )


CONTENDERS = (
    Contender(
        NGINX,
        "nginx, one worker, JSON access log",
        _nginx,
        lambda: None if _nginx_binary() else "nginx is not installed",
    ),
    Contender(
        AIOHTTP,
        "a reverse proxy on aiohttp, no log",
        _module("aiohttp_proxy"),
        lambda: None if importlib.util.find_spec("aiohttp") else "the Python package aiohttp is not installed",
    ),
    Contender(NAIVE, "a reverse proxy on Starlette and httpx, no log", _module("naive_proxy")),
    Contender(OURS, "llm-proxy serve, one worker, everything recorded", _ours),
    Contender(TWO_WORKERS, "the same with two proxy processes", _ours_twice, is_whole=False),
    Contender(STORE_STOPPED, "the same, its store process stopped", _ours, is_whole=False, stopped="wiring.store"),
    Contender(WITH_REDIS, "the same by way of Redis", _ours_with_redis, _no_redis, is_whole=False),
    Contender(
        REDIS_STOPPED,
        "the same by way of Redis, which is stopped",
        _ours_with_redis,
        _no_redis,
        is_whole=False,
        stopped="redis-server",
    ),
)
