"""``llm-proxy check``: whether the whole configuration adds up, and on request whether what it names can be reached.

Changes nothing, and starts nothing. All that is wrong is told at once, not only the first of it.
"""

import asyncio
import json
import os
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial

from llm_proxy.errors import ConfigError, StoreUnavailable, UpstreamError
from llm_proxy.proxy.choosing import MODELS
from llm_proxy.proxy.model_list import QUERIES
from llm_proxy.proxy.routing import target_at
from llm_proxy.proxy.transport.base import Transport, UpstreamRequest
from llm_proxy.proxy.upstreams import Upstream
from llm_proxy.settings.table import Settings
from llm_proxy.wiring import redis
from llm_proxy.wiring.layout import DataDir
from llm_proxy.wiring.pricing import read_prices
from llm_proxy.wiring.proxy import tls_of, transport_of
from llm_proxy.wiring.reloading import Command
from llm_proxy.wiring.routes import routes_of
from llm_proxy.wiring.serve import lacking_guard
from llm_proxy.wiring.status import redis_account
from llm_proxy.wiring.stores import open_store, place_of
from llm_proxy.wiring.upstreams import target_hosts_of, upstreams_of

#: What an upstream answers to whom it does not know.
_UNKNOWN_KEY = (401, 403)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    ok: bool
    says: str


def run_check(settings: Settings, *, connect: bool = False, as_json: bool = False) -> int:
    """Print what was found; 2 if the configuration is wrong, 1 if something cannot be reached, 0 if all is well."""
    found = list(findings(settings))
    status = 0 if all(finding.ok for finding in found) else 2
    if connect and status == 0:
        reached = asyncio.run(_reached(settings))
        status = 0 if all(finding.ok for finding in reached) else 1
        found += reached
    for finding in found:
        line = f"{'ok' if finding.ok else 'WRONG':6}{finding.name}: {finding.says}"
        sys.stdout.write((json.dumps(asdict(finding)) if as_json else line) + "\n")
    return status


def findings(settings: Settings, command: Command = "serve") -> Iterator[Finding]:
    """What is to be said of the configuration, for ``command``, without asking anybody but the store."""
    checks: tuple[tuple[str, Callable[[Settings], str]], ...] = (
        ("upstreams", _upstreams),
        ("routes", _routes),
        ("routing.target_hosts", _target_hosts),
        ("pricing.file", _prices),
        ("tls", _tls),
        ("redis", _redis),
        ("store", _store),
        ("data_dir", _data_dir),
        ("host", partial(_host, command=command)),
    )
    for name, check in checks:
        try:
            says = check(settings)
        except ConfigError as exc:
            yield Finding(name, ok=False, says=" ".join(str(exc).split()))
        else:
            yield Finding(name, ok=True, says=says)


def _upstreams(settings: Settings) -> str:
    return ", ".join(upstream.name for upstream in upstreams_of(settings).configured)


def _routes(settings: Settings) -> str:
    routes_of(settings, upstreams_of(settings))
    return ", ".join(settings.routes) or "none"


def _target_hosts(settings: Settings) -> str:
    target_hosts_of(settings)
    return ", ".join(settings.routing.target_hosts) or "none"


def _prices(settings: Settings) -> str:
    read_prices(settings)
    return str(settings.pricing.file or "none")


def _tls(settings: Settings) -> str:
    try:
        tls_of(settings)
    except (ssl.SSLError, OSError) as exc:
        raise ConfigError(f"a certificate or key cannot be used: {exc.strerror or exc}") from exc
    return "certificates are checked" if settings.tls.verify else "certificates are not checked"


def _redis(settings: Settings) -> str:
    if settings.redis.url is None:
        return "none"
    redis.connection(settings)
    return "set"


def _store(settings: Settings) -> str:
    open_store(settings, read_only=True)
    return place_of(settings)


def _data_dir(settings: Settings) -> str:
    """The directory, if it can be written or made."""
    there = settings.data_dir
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there} is no directory that can be written to")
    return str(settings.data_dir)


def _host(settings: Settings, command: Command) -> str:
    """The address, if nobody gets through it to what no key guards."""
    try:
        address = str(socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][4][0])
    except OSError as exc:
        raise ConfigError(f"{settings.host} is no address of this machine: {exc.strerror}") from exc
    if not settings.auth.open and (lacking := lacking_guard(settings, command, address)) is not None:
        raise ConfigError(f"{settings.host} lets other machines in, and {lacking}")
    return address


async def _reached(settings: Settings) -> list[Finding]:
    transport = transport_of(settings)
    try:
        upstreams = upstreams_of(settings).configured
        found = list(await asyncio.gather(*(_call(transport, settings, upstream) for upstream in upstreams)))
    finally:
        await asyncio.shield(transport.close())
    found.append(await _look_at_store(settings))
    if settings.redis.url is not None:
        _, problem = await redis_account(settings)
        found.append(Finding("reach redis", ok=problem is None, says=problem or "it answers"))
    return found


async def _call(transport: Transport, settings: Settings, upstream: Upstream) -> Finding:
    """Ask for the list of models, which costs nothing, with the configured key if there is one."""
    name = f"reach upstreams.{upstream.name}"
    target = target_at(upstream, MODELS, b"GET", QUERIES.get(upstream.provider or "", b""))
    headers = [(b"Host", upstream.host), (b"Accept", b"application/json")]
    has_key = target.credential is not None and upstream.signer is None
    if target.credential is not None and has_key:
        headers.append(target.credential)
    request = UpstreamRequest(origin=upstream.origin, method=b"GET", target=target.target, headers=headers)
    try:
        async with asyncio.timeout(settings.timeouts.connect_s * 2):
            response = await transport.send(request)
    except TimeoutError:
        return Finding(name, ok=False, says="no answer in time")
    except UpstreamError as exc:
        return Finding(name, ok=False, says=str(exc))
    response.close()
    if has_key and response.status in _UNKNOWN_KEY:
        return Finding(name, ok=False, says=f"answers with {response.status}: does it know the key?")
    return Finding(name, ok=True, says=f"answers with {response.status}" + ("" if has_key else ", without a key"))


async def _look_at_store(settings: Settings) -> Finding:
    name = "reach store"
    if settings.store.url is None and not DataDir(settings.data_dir).database.exists():
        return Finding(name, ok=True, says="will be made")
    store = open_store(settings, read_only=True)
    try:
        step = await store.schema_step()
    except StoreUnavailable as exc:
        return Finding(name, ok=False, says=str(exc))
    finally:
        await asyncio.shield(store.close())
    return Finding(name, ok=True, says="it has no tables yet" if step is None else f"its schema is at step {step}")
