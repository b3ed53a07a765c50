import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.wiring import redis


def test_without_a_url_it_is_said_how_to_set_one():
    with pytest.raises(ConfigError, match="LLM_PROXY_REDIS_URL"):
        redis.connection(Settings())


async def test_the_settings_say_where_redis_is_and_how_long_to_wait():
    settings = Settings.model_validate({"redis": {"url": "rediss+cluster://u:p@a,b:7000", "timeout_s": 3.0}})

    connection = redis.connection(settings)
    await connection.close()

    assert repr(connection.address) == "a:6379,b:7000"
    assert (connection.address.tls, connection.address.user, connection.address.password) == (True, "u", "p")
    assert connection._timeout_s == 3.0


def test_the_settings_say_how_many_shards_there_are_and_what_they_are_called():
    settings = Settings.model_validate({"streams": {"prefix": "team", "shards": 2}})

    assert [shard.calls for shard in redis.shards(settings)] == ["{team:0}:calls", "{team:1}:calls"]
