"""What a value may be; how settings.py and config.py use the types is tested there."""

import pytest
from pydantic import TypeAdapter, ValidationError

from llm_proxy.settings.values import AdminKey, BaseUrl, Days, RedisUrl, StoreUrl, VariableName

SECRET = "sk-proj-0123456789abcdef"


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (BaseUrl, "https://api.test/v1"),
        (VariableName, "OPENAI_API_KEY"),
        (AdminKey, SECRET),
        (StoreUrl, "postgresql://u:p@h:5432/d"),
        (RedisUrl, "rediss+cluster://u:p@h1,h2"),
        (Days, 0.5),
    ],
)
def test_what_is_fine_passes(kind, value):
    checked = TypeAdapter(kind).validate_python(value)

    assert getattr(checked, "get_secret_value", lambda: checked)() == value


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (BaseUrl, "https://user:secret@h", "must not hold a user name or password"),
        (BaseUrl, "ftp://h", "must begin with http:// or https://"),
        (VariableName, SECRET, "must be the name of an environment variable"),
        (AdminKey, "short", "at least 20 characters"),
        (StoreUrl, "mysql://h", "must be a URL that begins with postgresql://"),
        (StoreUrl, "postgresql://h/d?password=secret", "must hold its password before the @"),
        (RedisUrl, "http://h", "must be a URL that begins with redis://"),
        (Days, 0, "greater than 0"),
    ],
)
def test_what_is_not_says_what_it_should_be(kind, value, reason):
    with pytest.raises(ValidationError, match=reason):
        TypeAdapter(kind).validate_python(value)
