"""A Redis of one's own: a real redis-server on free ports of this machine, with its files in a directory of the test.

Whoever starts one stops it.
"""

import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from ports import free_port

#: Generous: nothing in a test should come near it.
PATIENCE_S = 30.0
_LOOK_S = 0.01
_ALWAYS = {"save": '""', "daemonize": "no", "bind": "127.0.0.1", "protected-mode": "no", "databases": "4"}


class RedisServer:
    """One redis-server; ``options`` as in redis.conf, with an underscore for each dash. On disk by default."""

    def __init__(self, directory: Path, *, sentinel: bool = False, **options: str) -> None:
        self.program = shutil.which("redis-server")
        if self.program is None:
            raise RuntimeError("redis-server is not installed; `make services` installs what the tests need")
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.port = free_port()
        self.socket = str(directory / "redis.sock")
        self._sentinel = sentinel
        wanted = {"port": str(self.port), "unixsocket": self.socket, "dir": str(directory), "appendonly": "yes"}
        wanted |= _ALWAYS | {name.replace("_", "-"): value for name, value in options.items()}
        if sentinel:
            for name in ("save", "databases", "appendonly"):
                del wanted[name]
        self.config = directory / "redis.conf"
        self.config.write_text("".join(f"{name} {value}\n" for name, value in wanted.items()))
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """Its URL, without credentials."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, with what it has on disk, and wait until it answers."""
        assert self.program
        with (self.directory / "redis.log").open("ab") as log:
            command = [self.program, str(self.config), *(["--sentinel"] if self._sentinel else [])]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self.process.poll() is None, (self.directory / "redis.log").read_text()
            assert time.monotonic() < deadline, "redis-server does not come up"
            time.sleep(_LOOK_S)

    def cli(self, *words: str) -> str:
        """What redis-cli says."""
        done = subprocess.run(
            ["redis-cli", "-s", self.socket, *words], capture_output=True, text=True, check=True, timeout=PATIENCE_S
        )
        return done.stdout.strip()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        assert self.process
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        """Let it hang; connections stay."""
        assert self.process
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self.process
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it. Idempotent."""
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            self.kill()

    def _answers(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(self.socket)
                connection.sendall(b"PING\r\n")
                # Any answer will do but that it is still reading its data: NOAUTH is one, too.
                return not connection.recv(64).startswith(b"-LOADING")
        except OSError:
            return False


def start_cluster(directory: Path, *, nodes: int) -> list[RedisServer]:
    """Masters that share the slots among them; returns when each of them knows that the cluster is up."""
    servers = [
        RedisServer(directory / str(number), cluster_enabled="yes", databases="1", cluster_node_timeout="2000")
        for number in range(nodes)
    ]
    slots = [16384 * number // nodes for number in range(nodes + 1)]
    for number, server in enumerate(servers):
        server.cli("CLUSTER", "ADDSLOTSRANGE", str(slots[number]), str(slots[number + 1] - 1))
        server.cli("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        servers[0].cli("CLUSTER", "MEET", "127.0.0.1", str(server.port))
    deadline = time.monotonic() + PATIENCE_S
    while not all(_knows_all(server, nodes) for server in servers):
        assert time.monotonic() < deadline, servers[0].cli("CLUSTER", "INFO")
        time.sleep(_LOOK_S)
    return servers


def _knows_all(server: RedisServer, nodes: int) -> bool:
    told = server.cli("CLUSTER", "INFO")
    return "cluster_state:ok" in told and f"cluster_known_nodes:{nodes}" in told


def start_sentinel(directory: Path, master: RedisServer, **options: str) -> RedisServer:
    """A sentinel that by itself may replace ``master``, which it calls main, when that is gone for half a second."""
    directory.mkdir()
    sentinel = RedisServer(directory, sentinel=True, **options)
    sentinel.cli("SENTINEL", "MONITOR", "main", "127.0.0.1", str(master.port), "1")
    for name, value in (("down-after-milliseconds", "500"), ("failover-timeout", "3000")):
        sentinel.cli("SENTINEL", "SET", "main", name, value)
    return sentinel
