"""That what is told of a request is what would happen to it."""

import json

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.explain import show_route
from llm_proxy.wiring.layout import DataDir
from proxy_keys import proxy_key, write_keys

CONFIGURED = {
    "upstream": "https://api.openai.com/v1",
    "upstream_key_env": "OPENAI_KEY",
    "upstream_key": "sk-secret-of-ours",
    "upstreams": {
        "azure": {
            "base_url": "https://r.openai.azure.com/openai/v1",
            "key_env": "AZURE_KEY",
            "key": "az-secret-of-ours",
        },
        "local": {"base_url": "http://127.0.0.1:9/v1"},
    },
    "routes": {"chat": {"models": ("gpt-4o*",), "targets": ("default", "azure/gpt-4o-eu", "local"), "attempts": 3}},
    "usage": {"streams": "ask"},
}


@pytest.fixture
def explain(tmp_path, capsys):
    def explained(*headers, model="gpt-4o", key=None, path="/v1/chat/completions", body_file=None, as_json=True, **own):
        settings = Settings.model_validate({**CONFIGURED, "data_dir": tmp_path, **own})
        status = show_route(
            settings,
            model=model,
            path=path,
            method="post",
            headers=headers,
            key=key,
            body_file=body_file,
            as_json=as_json,
        )
        out = capsys.readouterr().out
        assert "secret-of-ours" not in out
        return status, json.loads(out) if as_json else out

    return explained


def test_the_targets_are_told_in_their_order_with_path_model_and_where_the_key_comes_from(explain):
    status, told = explain()

    assert (status, told["route"], told["refused"]) == (0, "chat", None)
    assert [(there["url"], there["model_written"], there["key"]) for there in told["targets"]] == [
        ("https://api.openai.com/v1/chat/completions", None, "Authorization from OPENAI_KEY"),
        ("https://r.openai.azure.com/openai/v1/chat/completions", "gpt-4o-eu", "Api-Key from AZURE_KEY"),
        ("http://127.0.0.1:9/v1/chat/completions", None, "none"),
    ]
    assert told["retries"]["attempts_at_each"] == 3


def test_a_request_that_no_route_is_for_is_sent_once_with_the_clients_own_key_where_there_is_none(explain):
    _, told = explain("X-LLM-Provider: local", key="sk-of-the-client")

    assert told["route"] is None
    assert [(there["upstream"], there["key"]) for there in told["targets"]] == [("local", "the client's own")]
    assert told["retries"]["attempts_at_each"] == 1


def test_what_ends_here_what_is_recorded_and_whose_it_is_are_told(explain, tmp_path):
    body = tmp_path / "body.json"
    body.write_text('{"model": "gpt-4o", "stream": true, "user": "u-1"}')

    _, told = explain("X-LLM-Session-Id: s-1", "X-LLM-Log: metadata", "Accept: */*", model=None, body_file=body)

    assert told["headers_that_end_here"] == ["X-LLM-Session-Id", "X-LLM-Log"]
    assert told["recorded"] == "all but the bodies"
    assert (told["belongs_to"]["session_id"], told["belongs_to"]["user_id"]) == ("s-1", "u-1")
    assert told["targets"][0]["asked_for_usage"]


def test_a_request_that_would_be_refused_is_told_why_with_status_1(explain, tmp_path):
    secret, key = proxy_key(upstreams=("local",), models=("gpt-4o",))
    write_keys(DataDir(tmp_path).keys, key)

    allowed, told = explain(key=secret)
    refused = [explain(key=secret, model="o1"), explain(key=secret[:-1] + "!"), explain(path="/nowhere")]

    assert allowed == 0
    assert told["proxy_key"]["id"] == key.id
    assert [there["upstream"] for there in told["targets"]] == ["local"]
    assert [(status, one["refused"]["code"]) for status, one in refused] == [
        (1, "model_not_allowed"),
        (1, "invalid_key"),
        (1, "not_found"),
    ]


def test_people_get_lines(explain):
    _, text = explain(as_json=False)

    assert "target 2\n  upstream             azure\n" in text


def test_what_cannot_be_read_is_said_in_one_line(explain, tmp_path):
    with pytest.raises(ConfigError, match="--header"):
        explain("no header")
    with pytest.raises(ConfigError, match="--body"):
        explain(body_file=tmp_path / "nothing")
