"""``llm-proxy serve``: claim the data directory and the port, start the children, say what to do next."""

import os
import shlex
import socket
import sys
import tempfile

from llm_proxy import __version__
from llm_proxy.assignment import Assignment
from llm_proxy.errors import ConfigError
from llm_proxy.log import configure
from llm_proxy.settings import Settings
from llm_proxy.supervisor import Supervisor
from llm_proxy.wiring.layout import DataDir

#: Connections that wait to be accepted; the kernel caps it (net.core.somaxconn).
_BACKLOG = 4096


def run(settings: Settings) -> int:
    """Serve until stopped; the exit status. Raises ConfigError if the directory or the port cannot be had."""
    configure(form=settings.log.format, level=settings.log.level, role="supervisor")
    data = DataDir(settings.data_dir)
    data.prepare()
    with (
        data.claimed("serve"),
        _listen(settings) as listener,
        tempfile.TemporaryDirectory(prefix="llm-proxy-") as there,
    ):
        supervisor = Supervisor(
            _assignments(settings, listener, runtime_dir=there),
            listener,
            ledger=data.ledger("supervisor-0"),
            drain_s=settings.timeouts.drain_s,
        )
        return supervisor.run(on_ready=lambda: _greet(settings, listener))


def _assignments(settings: Settings, listener: socket.socket, *, runtime_dir: str) -> list[Assignment]:
    told = settings.to_json()
    proxies = [
        Assignment(role="proxy", index=index, settings=told, runtime_dir=runtime_dir, listen_fd=listener.fileno())
        for index in range(settings.workers)
    ]
    return [*proxies, Assignment(role="store", index=0, settings=told, runtime_dir=runtime_dir)]


def _listen(settings: Settings) -> socket.socket:
    where = f"{settings.host}:{settings.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(address, family=family, backlog=_BACKLOG, reuse_port=False)
    except OSError as exc:
        # create_server puts the address into strerror once more; the numbers of gaierror are not those of errno.
        reason = exc.strerror if isinstance(exc, socket.gaierror) or not exc.errno else os.strerror(exc.errno)
        raise ConfigError(f"cannot listen on {where}: {reason}; choose another --host or --port") from exc
    listener.set_inheritable(True)
    return listener


def _greet(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        shown = "localhost"
    url = f"http://{shown}:{port}"
    logs = "llm-proxy logs"
    if settings.data_dir != Settings().data_dir:
        logs += f" --data-dir {shlex.quote(str(settings.data_dir))}"
    lines = (
        f"llm-proxy {__version__} is ready; Ctrl-C stops it",
        "",
        f"  export OPENAI_BASE_URL={url}/v1",
        "",
        f"  calls go to    {settings.upstream}",
        f"  look at them   {url}/  or  {logs}",
        f"  data lies in   {settings.data_dir}",
    )
    print(*lines, sep=os.linesep, file=sys.stdout, flush=True)  # noqa: T201 - this is what the command says
