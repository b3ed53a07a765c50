"""The way to Redis: what a URL means, and one call with one kind of failure.

::

    redis://[user:password@]host[:port][/db]                          one server
    rediss://...                                                      the same over TLS
    unix://[user:password@]/path/to/socket[?db=N]                     one server on this machine
    redis+sentinel://[user:password@]host[:port],.../service[/db]     the master that the sentinels name
    redis+cluster://[user:password@]host[:port],...                   a cluster
    rediss+sentinel://..., rediss+cluster://...                       the same over TLS

Behind ``redis+sentinel`` and ``rediss+sentinel`` may stand, as ``?name=value&...``, ``sentinel_user`` and
``sentinel_password``, by which the sentinels are asked, and ``sentinel_tls=yes`` or ``no`` where the way to them is
not like that to the master.

Every operation is one script on keys of one hash slot, so that it is atomic and that one server, a fail-over pair and
a cluster look the same. No script is harmed by being sent twice (redis_layout.py). Credentials are in no message.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import certifi
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis, RedisCluster, Sentinel, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from llm_proxy.errors import ConfigError, QueueUnavailable

_PORT = 6379
_SENTINEL_PORT = 26379
#: How often a cluster's client looks again who has a slot before it gives up; the pauses are the caller's.
_CLUSTER_TRIES = 3

#: What the client raises when it is not the caller's mistake.
_FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError, TimeoutError)

#: What may stand behind a question mark, by kind of URL.
_OPTIONS = {"unix": ("db",), "sentinel": ("sentinel_user", "sentinel_password", "sentinel_tls")}

Kind = Literal["server", "socket", "sentinel", "cluster"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisAddress:
    """What a URL says."""

    kind: Kind
    tls: bool = False
    hosts: tuple[tuple[str, int], ...] = ()
    #: Path of the socket.
    path: str = ""
    #: Name of the master among the sentinels.
    service: str = ""
    database: int = 0
    user: str | None = None
    password: str | None = None
    #: Of the sentinels.
    sentinel_user: str | None = None
    sentinel_password: str | None = None
    sentinel_tls: bool = False

    def __repr__(self) -> str:
        where = self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{where}/{self.service}" if self.service else where

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Read ``url``. Raises ConfigError, which does not repeat it."""
        try:
            return _parsed(url)
        except ValueError as exc:
            raise ConfigError(f"redis.url: {exc}") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisTls:
    """Files in PEM for a connection over TLS; without authorities, the built-in ones are trusted."""

    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


class RedisConnection:
    """Runs scripts. Connects when it has to, so that Redis need not be there when this is made."""

    def __init__(self, address: RedisAddress, *, tls: RedisTls | None = None, timeout_s: float) -> None:
        self.address = address
        self._timeout_s = timeout_s
        self._client: Any = _client(address, tls or RedisTls(), timeout_s)

    async def run(self, script: str, keys: Sequence[str], *args: bytes | str | float) -> Any:
        """What ``script`` replies on ``keys``. Raises QueueUnavailable, after which it may have run or not."""
        try:
            # The client's own timeout is for each read; this one is for the whole, whatever the client does.
            with _hearing_cancellation():
                async with asyncio.timeout(self._timeout_s * 2):
                    return await self._client.eval(script, len(keys), *keys, *args)
        except _FAILURES as exc:
            with _hearing_cancellation():
                await self._forget_connections()
            raise QueueUnavailable(f"Redis at {self.address!r} {_what_is_wrong(exc)}") from exc

    async def information(self) -> dict[str, Any]:
        """What ``INFO`` says of one server; empty where it is not to be had."""
        try:
            with _hearing_cancellation():
                async with asyncio.timeout(self._timeout_s):
                    found = await self._client.info()
        except _FAILURES:
            return {}
        return found if isinstance(found.get("redis_version"), str) else next(iter(found.values()), {})

    async def close(self) -> None:
        """Close all connections. Idempotent."""
        pool = getattr(self._client, "connection_pool", None)
        for client in (self._client, *getattr(getattr(pool, "sentinel_manager", None), "sentinels", ())):
            with contextlib.suppress(*_FAILURES):
                await client.aclose()

    async def _forget_connections(self) -> None:
        """Connect afresh next time: the name may stand for another server by then."""
        with contextlib.suppress(AttributeError, *_FAILURES):
            await self._client.connection_pool.disconnect(inuse_connections=False)


@contextlib.contextmanager
def _hearing_cancellation() -> Iterator[None]:
    """Raise CancelledError when the task was told so inside: the client may swallow it (seen with redis-py 8.1)."""
    task = asyncio.current_task()
    assert task is not None
    before = task.cancelling()
    try:
        yield
    finally:
        if task.cancelling() > before:
            raise asyncio.CancelledError


def _what_is_wrong(exc: BaseException) -> str:
    for types, words in _WORDS.items():
        if isinstance(exc, types):
            return words.format(exc)
    text = str(exc)
    # What a script runs into is a general error with the reason in its text, depending on the version of Redis.
    return next((words for code, words in _WORDS_OF_CODES.items() if code in text), f"refuses: {text}")


_FULL, _READ_ONLY = "is full (maxmemory)", "is read-only, a replica"
#: The more special ones first.
_WORDS: dict[tuple[type[BaseException], ...], str] = {
    (exceptions.OutOfMemoryError,): _FULL,
    (exceptions.ReadOnlyError,): _READ_ONLY,
    (exceptions.BusyLoadingError,): "is loading its data",
    (exceptions.AuthenticationError, exceptions.NoPermissionError): "does not let us in: {}",
    (exceptions.TimeoutError, TimeoutError): "does not answer",
    (exceptions.ConnectionError, exceptions.RedisClusterException, OSError): "cannot be reached: {}",
}
_WORDS_OF_CODES = {"OOM": _FULL, "READONLY": _READ_ONLY}


def _client(address: RedisAddress, tls: RedisTls, timeout_s: float) -> Any:
    common: dict[str, Any] = {
        "username": address.user,
        "password": address.password,
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "protocol": 2,
    }
    once = Retry(NoBackoff(), 0)  # when to try again is the business of those who use this
    if address.tls:
        common |= {"ssl": True, **_tls_options(tls)}
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), _CLUSTER_TRIES), **common)
    common |= {"retry": once, "db": address.database}
    if address.kind == "sentinel":
        to_sentinels = {name: value for name, value in common.items() if name.startswith(("socket_", "protocol"))}
        to_sentinels |= {"retry": once, "username": address.sentinel_user, "password": address.sentinel_password}
        if address.sentinel_tls:
            to_sentinels |= {"ssl": True, **_tls_options(tls)}
        hosts = list(address.hosts)
        sentinel = Sentinel(hosts, sentinel_kwargs=to_sentinels, **common)  # type: ignore[no-untyped-call]
        return sentinel.master_for(address.service)
    if address.kind == "socket":
        del common["socket_connect_timeout"]
        pool = ConnectionPool(connection_class=UnixDomainSocketConnection, path=address.path, **common)
        return Redis.from_pool(pool)
    ((host, port),) = address.hosts
    return Redis(host=host, port=port, **common)


def _tls_options(tls: RedisTls) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(tls.ca_file or certifi.where()),
        "ssl_certfile": str(tls.cert_file) if tls.cert_file else None,
        "ssl_keyfile": str(tls.key_file) if tls.key_file else None,
    }


def _parsed(url: str) -> RedisAddress:
    scheme, _, rest = url.partition("://")
    base, _, kind = scheme.partition("+")
    if base not in ("redis", "rediss", "unix") or kind not in ("", "sentinel", "cluster") or (kind and base == "unix"):
        raise ValueError("must begin with redis://, rediss://, unix://, or one of these with +sentinel or +cluster")
    rest, _, query = rest.partition("?")
    authority, slash, path = rest.partition("/")
    credentials, _, hosts = authority.rpartition("@")
    user, _, password = credentials.partition(":")
    known: dict[str, Any] = {"user": unquote(user) or None, "password": unquote(password) or None}
    asked = _options(query, known=_OPTIONS.get("unix" if base == "unix" else kind, ()))
    if base == "unix":
        if hosts or not path:
            raise ValueError("needs the path of a socket: unix:///path/to/socket")
        database = asked.get("db", "")
        return RedisAddress(kind="socket", path=unquote(slash + path), database=_number(database), **known)
    known |= {"tls": base == "rediss", "hosts": _hosts(hosts, _SENTINEL_PORT if kind == "sentinel" else _PORT)}
    if kind == "sentinel":
        service, _, database = path.partition("/")
        if not service:
            raise ValueError("needs the name of the master: redis+sentinel://host:port,host:port/name")
        known |= {"sentinel_user": asked.get("sentinel_user"), "sentinel_password": asked.get("sentinel_password")}
        known["sentinel_tls"] = _yes_or_no(asked["sentinel_tls"]) if "sentinel_tls" in asked else base == "rediss"
        return RedisAddress(kind="sentinel", service=unquote(service), database=_number(database), **known)
    if kind == "cluster":
        if path not in ("", "0"):
            raise ValueError("must name no database: a cluster has only one")
        return RedisAddress(kind="cluster", **known)
    if len(known["hosts"]) != 1:
        raise ValueError("must name one host; several are for redis+sentinel:// and redis+cluster://")
    return RedisAddress(kind="server", database=_number(path), **known)


def _options(query: str, *, known: Sequence[str]) -> dict[str, str]:
    try:
        asked = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError("has options that cannot be read; they are ?name=value&name=value") from None
    if set(asked) - set(known):
        raise ValueError("has options that are not known; unix:// takes ?db=N, redis+sentinel:// sentinel_...")
    return {name: values[-1] for name, values in asked.items()}


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("says neither yes nor no to sentinel_tls")
    return text == "yes"


def _hosts(text: str, port: int) -> tuple[tuple[str, int], ...]:
    hosts = []
    for part in text.split(","):
        try:
            place = urlsplit(f"//{part}")
            found = place.port
        except ValueError:
            raise ValueError("has a port that is no number between 1 and 65535") from None
        if not place.hostname:
            raise ValueError("needs a host name")
        hosts.append((place.hostname, port if found is None else found))
    return tuple(hosts)


def _number(text: str) -> int:
    if text and not text.isdigit():
        raise ValueError("the database must be a number")
    return int(text or "0")
