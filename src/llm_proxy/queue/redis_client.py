"""The library that speaks with Redis: how a client is made, and what it means by its errors.

It takes 20 MB of memory, so that this is loaded only where there is a Redis (redis_connection.py).
"""

from typing import Any

import certifi
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis, RedisCluster, Sentinel, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from llm_proxy.queue.redis_address import RedisAddress, RedisTls

#: How often a cluster's client looks again who has a slot before it gives up; the pauses are the caller's.
_CLUSTER_TRIES = 3

#: What the client raises when it is not the caller's mistake.
FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError, TimeoutError)

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


def new_client(address: RedisAddress, tls: RedisTls, timeout_s: float) -> Any:
    """A client that connects when it has to; timeouts are for connecting and for each answer, in seconds."""
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


def what_is_wrong(exc: BaseException) -> str:
    """What one of FAILURES says of the server, to be put behind its name."""
    for types, words in _WORDS.items():
        if isinstance(exc, types):
            return words.format(exc)
    text = str(exc)
    # What a script runs into is a general error with the reason in its text, depending on the version of Redis.
    return next((words for code, words in _WORDS_OF_CODES.items() if code in text), f"refuses: {text}")


def _tls_options(tls: RedisTls) -> dict[str, Any]:
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_ca_certs": str(tls.ca_file or certifi.where()),
        "ssl_certfile": str(tls.cert_file) if tls.cert_file else None,
        "ssl_keyfile": str(tls.key_file) if tls.key_file else None,
    }
