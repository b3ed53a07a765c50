"""``llm-proxy serve``: claim the data directory and the port, start the children, say what to do next."""

import os
import shlex
import socket
import sys
import tempfile
from ipaddress import ip_address

from llm_proxy import __version__
from llm_proxy.assignment import Assignment
from llm_proxy.errors import ConfigError
from llm_proxy.log import configure, get_logger
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
        _guarded(settings, _listen(settings)) as listener,
        tempfile.TemporaryDirectory(prefix="llm-proxy-") as there,
    ):
        supervisor = Supervisor(
            _assignments(settings, listener, runtime_dir=there),
            listener,
            ledger=data.ledger("supervisor-0"),
            drain_s=settings.timeouts.drain_s,
        )
        return supervisor.run(on_ready=lambda: _greet(settings, listener))


def _guarded(settings: Settings, listener: socket.socket) -> socket.socket:
    """``listener``, if nobody from elsewhere gets through it to what no key guards. Raises ConfigError."""
    if ip_address(listener.getsockname()[0]).is_loopback:
        return listener
    lacking = _lacking(settings)
    if lacking is not None and not settings.auth.open:
        listener.close()
        raise ConfigError(f"{settings.host} lets other machines in, and {lacking}; or listen on 127.0.0.1")
    if lacking is not None:
        get_logger(__name__).warning("open to whoever reaches the port, by auth.open", host=settings.host)
    return listener


def _lacking(settings: Settings) -> str | None:
    """What is not guarded, and what to do about it; None if everything is."""
    spendable = [name for name, upstream in settings.all_upstreams().items() if upstream.key is not None]
    if spendable:
        return (
            f"they could spend the key of the upstream {spendable[0]}: leave the keys to the clients,"
            " or set auth.open = true where something else guards the port"
        )
    if settings.auth.admin_key is None:
        # Here, since the supervisor does without a database in all other cases.
        from llm_proxy.wiring.keys import has_keys  # noqa: PLC0415

        if not has_keys(settings):
            return (
                "no key guards the records: set LLM_PROXY_ADMIN_KEY, for example to what `openssl rand -hex 32` makes,"
                " or make a key with `llm-proxy keys create --organization NAME --scope write,read`"
            )
    return None


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
