import pytest
from pydantic import SecretStr

from llm_proxy.settings.section import masked


def test_a_short_secret_is_masked_whole():
    assert masked(SecretStr("sk-123")) == "…"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://user@h", "redis://user@h"),
        ("rediss://user:a@b@h", "rediss://user:…@h"),
        ("redis+cluster://:secret/with/slashes@a,b", "redis+cluster://:…@a,b"),
        ("unix://u:secret@/run/redis.sock?db=1", "unix://u:…@/run/redis.sock?db=1"),
        (
            "redis+sentinel://u:p@h/main?sentinel_user=w&sentinel_password=se@cret&sentinel_tls=yes",
            "redis+sentinel://u:…@h/main?sentinel_user=w&sentinel_password=…&sentinel_tls=yes",
        ),
        ("postgresql://u@h/n?password=secret", "postgresql://u@h/n?password=…"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert masked(SecretStr(url)) == shown
