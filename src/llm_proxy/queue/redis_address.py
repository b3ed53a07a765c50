"""What the URL of a Redis means.

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

Credentials are in no message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from llm_proxy.errors import ConfigError

_PORT = 6379
_SENTINEL_PORT = 26379
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
