import json

import pytest
from hypothesis import given, settings, strategies
from pydantic import ValidationError

from llm_proxy.settings.table import OPTIONS, Settings, Upstream

SECRET = "sk-proj-0123456789abcdef"


@pytest.fixture
def with_keys():
    groq = Upstream(base_url="https://groq.test/v1", key_env="GROQ", key=SECRET)
    return Settings(upstream_key=SECRET, upstreams={"groq": groq})


def test_settings_reach_a_child_whole_in_one_line(with_keys):
    text = with_keys.to_json()

    assert "\n" not in text
    assert Settings.from_json(text) == with_keys


@given(
    host=strategies.text(min_size=1),
    port=strategies.integers(0, 65535),
    idle_s=strategies.floats(min_value=1e-6, max_value=1e9),
    key=strategies.none() | strategies.text(strategies.characters(min_codepoint=33, max_codepoint=126), min_size=1),
)
@settings(max_examples=50)
def test_any_settings_reach_a_child_as_they_were(host, port, idle_s, key):
    sent = Settings.model_validate({"host": host, "port": port, "timeouts": {"idle_s": idle_s}, "upstream_key": key})

    assert Settings.from_json(sent.to_json()) == sent


def test_secrets_are_in_clear_nowhere_but_in_what_a_child_is_sent(with_keys):
    assert SECRET in with_keys.to_json()
    assert SECRET not in repr(with_keys)
    assert SECRET not in str(with_keys.model_dump())
    assert SECRET not in with_keys.model_dump_json()
    assert json.loads(with_keys.model_dump_json())["upstream_key"] == "…cdef"


def test_settings_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().journal.fsync = "never"


def test_a_base_url_has_no_slash_at_its_end():
    assert Settings(upstream="https://h.test/v1/").upstream == "https://h.test/v1"


def test_the_default_upstream_comes_first_and_has_its_key(with_keys):
    upstreams = with_keys.all_upstreams()

    assert list(upstreams) == ["default", "groq"]
    assert upstreams["default"].base_url == "https://api.openai.com/v1"
    assert upstreams["default"].key.get_secret_value() == SECRET


def test_no_option_takes_a_key():
    assert not [path for path in OPTIONS if path[-1] in ("key", "upstream_key")]


def test_every_option_says_what_it_means():
    assert all(option.description for option in OPTIONS.values())
