"""Redis as the settings describe it."""

from llm_proxy.errors import ConfigError
from llm_proxy.log import get_logger
from llm_proxy.queue.redis_address import RedisAddress, RedisTls
from llm_proxy.queue.redis_connection import RedisConnection
from llm_proxy.queue.redis_layout import Shard
from llm_proxy.queue.redis_layout import shards as shards_of
from llm_proxy.settings.table import Settings

_log = get_logger(__name__)


def connection(settings: Settings) -> RedisConnection:
    """A connection that is made when it is used. Raises ConfigError if no Redis is set."""
    redis = settings.redis
    if redis.url is None:
        raise ConfigError("redis.url: is not set; this command needs Redis: set LLM_PROXY_REDIS_URL")
    return RedisConnection(
        RedisAddress.parse(redis.url.get_secret_value()),
        tls=RedisTls(ca_file=redis.ca_file, cert_file=redis.cert_file, key_file=redis.key_file),
        timeout_s=redis.timeout_s,
    )


def shards(settings: Settings) -> list[Shard]:
    """All shards of the queue."""
    return shards_of(settings.streams.prefix, settings.streams.shards)


async def advise(redis: RedisConnection) -> None:
    """Say it if Redis, as far as it tells, is set up so that it may lose calls."""
    told = await redis.information()
    if told.get("aof_enabled") == 0:
        _log.warning("Redis has no append-only file: calls in it are lost when it ends", advice="appendonly yes")
    if told.get("maxmemory_policy", "noeviction") != "noeviction":
        _log.warning(
            "Redis may throw calls away when it is full",
            maxmemory_policy=told["maxmemory_policy"],
            advice="maxmemory-policy noeviction",
        )
