"""What URLs mean."""

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.queue.redis_address import RedisAddress

SECRET = "s3cret/p@ss:word"
QUOTED = "s3cret%2Fp%40ss%3Aword"


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("redis://h", {"kind": "server", "hosts": (("h", 6379),)}),
        ("redis://h:1/3", {"kind": "server", "hosts": (("h", 1),), "database": 3}),
        ("redis://[::1]:7000", {"kind": "server", "hosts": (("::1", 7000),)}),
        ("rediss://u:p@h", {"kind": "server", "hosts": (("h", 6379),), "tls": True, "user": "u", "password": "p"}),
        ("redis://:p@h", {"kind": "server", "hosts": (("h", 6379),), "password": "p"}),
        (f"redis://u:{QUOTED}@h", {"kind": "server", "hosts": (("h", 6379),), "user": "u", "password": SECRET}),
        ("unix:///run/redis.sock", {"kind": "socket", "path": "/run/redis.sock"}),
        ("unix://:p@/r.sock?db=2", {"kind": "socket", "path": "/r.sock", "database": 2, "password": "p"}),
        (
            "redis+sentinel://a,b:2/main/1",
            {"kind": "sentinel", "hosts": (("a", 26379), ("b", 2)), "service": "main", "database": 1},
        ),
        (
            "redis+sentinel://u:p@a/main?sentinel_user=w&sentinel_password=s3cret%2Fp%40ss%3Aword&sentinel_tls=yes",
            {"kind": "sentinel", "hosts": (("a", 26379),), "service": "main", "user": "u", "password": "p"}
            | {"sentinel_user": "w", "sentinel_password": SECRET, "sentinel_tls": True},
        ),
        (
            "rediss+sentinel://a/main",
            {"kind": "sentinel", "hosts": (("a", 26379),), "service": "main", "tls": True, "sentinel_tls": True},
        ),
        (
            "rediss+sentinel://a/main?sentinel_tls=no",
            {"kind": "sentinel", "hosts": (("a", 26379),), "service": "main", "tls": True},
        ),
        ("rediss+cluster://a,b:2", {"kind": "cluster", "hosts": (("a", 6379), ("b", 2)), "tls": True}),
    ],
)
def test_a_url_says_where_redis_is(url, meant):
    assert RedisAddress.parse(url) == RedisAddress(**meant)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://h", "must begin with redis://"),
        ("redis+swarm://h", "must begin with redis://"),
        ("unix+cluster://h", "must begin with redis://"),
        ("redis://", "needs a host name"),
        ("redis://:secret@:6379", "needs a host name"),
        ("redis://secret@h:port", "port that is no number"),
        ("redis://secret@h/zero", "database must be a number"),
        ("redis://secret@h?ssl=true", "options that are not known"),
        ("redis://secret@h?sentinel_password=secret", "options that are not known"),
        ("redis+sentinel://a/main?db=secret", "options that are not known"),
        ("redis+sentinel://a/main?secret", "options that cannot be read"),
        ("redis+sentinel://a/main?sentinel_tls=secret", "neither yes nor no"),
        ("redis://secret@a,b", "must name one host"),
        ("redis+sentinel://secret@a", "needs the name of the master"),
        ("redis+cluster://secret@a/1", "must name no database"),
        ("unix://secret@host/path", "needs the path of a socket"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_being_repeated(url, reason):
    with pytest.raises(ConfigError, match=reason) as raised:
        RedisAddress.parse(url)

    assert "secret" not in str(raised.value)


def test_credentials_are_not_shown():
    address = RedisAddress.parse(f"redis+sentinel://user:{QUOTED}@a,b/main")

    assert repr(address) == "a:26379,b:26379/main"
