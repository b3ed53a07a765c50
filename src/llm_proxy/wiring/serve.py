"""The commands that run: claim the data directory and the port, start the children, say what to do next.

::

    serve    proxies on the port, a store and a housekeeper beside them; with Redis also a shipper and workers
    proxy    proxies on the port, a shipper beside them
    worker   workers that share the port, a housekeeper beside them
    store    a store on the port, a housekeeper beside it
"""

import contextlib
import os
import shlex
import socket
import sys
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from types import MappingProxyType

from pydantic import JsonValue

from llm_proxy import __version__
from llm_proxy.api.login_link import issue
from llm_proxy.assignment import Assignment
from llm_proxy.errors import ConfigError, StoreUnavailable
from llm_proxy.handover import handover_queue
from llm_proxy.log import configure, get_logger
from llm_proxy.metrics import forget_gauges
from llm_proxy.settings.table import Settings, masked
from llm_proxy.supervisor import Supervisor
from llm_proxy.wiring.guarded import is_guarded
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.reloading import Command, Configuration
from llm_proxy.wiring.routes import routes_of
from llm_proxy.wiring.upstreams import target_hosts_of, upstreams_of

_NO_FLAGS: Mapping[str, JsonValue] = MappingProxyType({})

#: Connections that wait to be accepted; the kernel caps it (net.core.somaxconn).
_BACKLOG = 4096
#: What only one command at a time may do in a data directory, by the names of locks. That of the journal's reader is
#: another one (sole_reader.py).
_CLAIMS: dict[Command, tuple[str, ...]] = {
    "serve": ("serve", "worker", "pages"),
    "proxy": ("serve",),
    "worker": ("worker",),
    "store": ("pages",),
}


def run(settings: Settings, command: Command = "serve", *, flags: Mapping[str, JsonValue] = _NO_FLAGS) -> int:
    """Run until stopped; the exit status. Raises ConfigError if what it needs cannot be had.

    ``flags`` are those that the settings come from, to read them anew.
    """
    configure(form=settings.log.format, level=settings.log.level, role="supervisor")
    if settings.redis.url is None and command in ("proxy", "worker"):
        raise ConfigError(
            f"redis.url: `llm-proxy {command}` needs Redis: set LLM_PROXY_REDIS_URL, or run `llm-proxy serve`"
        )
    if command in ("serve", "proxy"):
        routes_of(settings, upstreams_of(settings))
        target_hosts_of(settings)
    if settings.pricing.file is not None:
        # Here, since nothing else that the supervisor does needs a price.
        from llm_proxy.wiring.pricing import read_prices  # noqa: PLC0415

        read_prices(settings)
    data = DataDir(settings.data_dir)
    data.prepare()
    with contextlib.ExitStack() as held:
        for lock in _CLAIMS[command]:
            held.enter_context(data.claimed(lock))
        listener = held.enter_context(_guarded(settings, command, _listen(settings)))
        there = held.enter_context(tempfile.TemporaryDirectory(prefix="llm-proxy-")) if command == "serve" else None
        handover = [held.enter_context(end) for end in handover_queue()]
        ledger = data.ledger("supervisor-0" if command == "serve" else f"supervisor-{command}")
        place = Place(listener, (handover[0].fileno(), handover[1].fileno()), there)
        assignments = partial(assignments_of, command=command, place=place)
        wanted = assignments(settings)
        _forget_gauges(data, {each.role for each in wanted})
        supervisor = Supervisor(
            wanted,
            listener,
            ledger=ledger,
            drain_s=settings.timeouts.drain_s,
            reloading=Configuration(settings, command=command, flags=flags, assignments=assignments, ledger=ledger),
        )
        return supervisor.run(on_ready=lambda: _greet(settings, command, listener))


def _guarded(settings: Settings, command: Command, listener: socket.socket) -> socket.socket:
    """``listener``, if nobody from elsewhere gets through it to what no key guards. Raises ConfigError."""
    lacking = lacking_guard(settings, command, listener.getsockname()[0])
    if lacking is not None and not settings.auth.open:
        listener.close()
        raise ConfigError(f"{settings.host} lets other machines in, and {lacking}; or listen on 127.0.0.1")
    if lacking is not None:
        get_logger(__name__).warning("open to whoever reaches the port, by auth.open", host=settings.host)
    return listener


def lacking_guard(settings: Settings, command: Command, address: str) -> str | None:
    """What others could do who reach ``address``, and what to do about it; None if nothing, or if it lets nobody in."""
    if ip_address(address).is_loopback:
        return None
    lacking = _spendable(settings) if command in ("serve", "proxy") else None
    if command in ("serve", "store"):
        lacking = lacking or _unguarded(settings)
    return lacking


def _spendable(settings: Settings) -> str | None:
    """Which provider's key others could spend, and what to do about it; None if there is none."""
    spendable = [name for name, upstream in settings.all_upstreams().items() if upstream.key or upstream.access_key_id]
    if not spendable or settings.auth.calls == "keys":
        return None
    return (
        f'they could spend the key of the upstream {spendable[0]}: let calls need a key (auth.calls = "keys"), leave'
        " the keys to the clients, or set auth.open = true where something else guards the port"
    )


def _unguarded(settings: Settings) -> str | None:
    """Why the records are not guarded, and what to do about it; None if they are."""
    if settings.auth.admin_key is not None or settings.oidc.issuer is not None:
        return None
    # Here, since the supervisor does without a database in all other cases.
    from llm_proxy.wiring.keys import has_keys  # noqa: PLC0415

    try:
        if has_keys(settings):
            return None
    except StoreUnavailable as exc:
        return f"whether a key guards the records cannot be found out ({exc}): set LLM_PROXY_ADMIN_KEY"
    return (
        "no key guards the records: set LLM_PROXY_ADMIN_KEY, for example to what `openssl rand -hex 32` makes,"
        " or make a key with `llm-proxy keys create --organization NAME --scope write,read`"
    )


def _forget_gauges(data: DataDir, roles: Collection[str]) -> None:
    """Those of an earlier run: what runs now may have other numbers."""
    for path in data.counters.glob("*.ledger"):
        if path.stem.partition("-")[0] in roles:
            forget_gauges(path)


@dataclass(frozen=True, slots=True)
class Place:
    """What the children of a command share."""

    listener: socket.socket
    handover_fds: tuple[int, int]
    runtime_dir: str | None


def assignments_of(settings: Settings, command: Command, place: Place) -> list[Assignment]:
    """What runs, in the order in which it is started."""
    listener = place.listener
    has_redis = settings.redis.url is not None
    proxies = tuple(f"proxy-{index}" for index in range(settings.workers))

    def assignments(role: str, *, count: int = 1, listens: bool = False) -> list[Assignment]:
        return [
            Assignment(
                role=role,
                index=index,
                settings=settings.to_json(),
                runtime_dir=place.runtime_dir,
                listen_fd=listener.fileno() if listens else None,
                handover_fds=place.handover_fds if role == "proxy" else None,
                takes_journal=role == "store" and command == "serve" and not has_redis,
                calls_url=_own_url(listener) if role == "store" and command == "serve" else None,
                proxies=proxies if role == "proxy" else (),
                can_wait=role == "housekeeper",
            )
            for index in range(count)
        ]

    wanted: list[Assignment] = []
    if command in ("serve", "proxy"):
        wanted += assignments("proxy", count=settings.workers, listens=True)
        wanted += assignments("shipper") if has_redis else []
    if command == "worker" or (command == "serve" and has_redis):
        wanted += assignments("worker", count=settings.streams.workers, listens=command == "worker")
    if command in ("serve", "store"):
        wanted += assignments("store", listens=command == "store")
    if command != "proxy":
        wanted += assignments("housekeeper")
    return wanted


def _own_url(listener: socket.socket) -> str:
    """Where this host reaches the port; one that is open to all addresses is reached by the loopback one."""
    host, port = listener.getsockname()[:2]
    address = ip_address(host)
    if address.is_unspecified:
        address = ip_address("127.0.0.1" if address.version == 4 else "::1")
    return f"http://[{address}]:{port}" if address.version == 6 else f"http://{address}:{port}"


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


def _greet(settings: Settings, command: Command, listener: socket.socket) -> None:
    """Say that it runs, and what can be done with it."""
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        shown = "localhost"
    url = f"http://{shown}:{port}"
    lines = [f"llm-proxy {__version__} is ready; Ctrl-C stops it", ""]
    if command in ("serve", "proxy"):
        lines += [f"  export OPENAI_BASE_URL={url}/v1", "", f"  calls go to    {settings.upstream}"]
    if settings.redis.url is not None and command != "store":
        lines.append(f"  by way of      {masked(settings.redis.url)}")
    if command in ("serve", "store"):
        lines.append(f"  look at them   {url}/  or  {_logs(settings)}")
        if is_guarded(settings):
            with contextlib.suppress(OSError):  # a full disk; a key opens the pages, too
                lines.append(f"  log in         {url}/login?once={issue(DataDir(settings.data_dir).login_link)}")
    else:
        lines.append(f"  health         {url}/readyz  and  {url}/metrics")
    if settings.store.url is not None and command != "proxy":
        lines.append(f"  records lie in {masked(settings.store.url)}")
    lines.append(f"  data lies in   {settings.data_dir}")
    print(*lines, sep=os.linesep, file=sys.stdout, flush=True)  # noqa: T201 - this is what the command says


def _logs(settings: Settings) -> str:
    if settings.data_dir == Settings().data_dir or settings.store.url is not None:
        return "llm-proxy logs"
    return f"llm-proxy logs --data-dir {shlex.quote(str(settings.data_dir))}"
