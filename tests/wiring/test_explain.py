"""That what is told of a request is what would happen to it."""

import json
from decimal import Decimal
from uuid import UUID

import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.model.key_snapshot import Spent
from llm_proxy.proxy.rates import Rates
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
    def explained(*headers, model="gpt-4o", key=None, path=None, body_file=None, websocket=False, as_json=True, **own):
        settings = Settings.model_validate({**CONFIGURED, "data_dir": tmp_path, **own})
        status = show_route(
            settings,
            model=model,
            path=path,
            method="post",
            headers=headers,
            key=key,
            body_file=body_file,
            websocket=websocket,
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


def test_a_websocket_goes_where_its_query_says_and_its_two_headers_go_on(explain, tmp_path):
    secret, key = proxy_key(models=("gpt-realtime",))
    write_keys(DataDir(tmp_path).keys, key)

    status, told = explain("Sec-WebSocket-Version: 13", websocket=True, model="gpt-realtime", key=secret)
    refused, why = explain(websocket=True, path="/v1/realtime?model=other", model="gpt-realtime", key=secret)

    assert (status, told["websocket"], told["endpoint"], told["model"]) == (0, True, "realtime", "gpt-realtime")
    assert [there["url"] for there in told["targets"]] == ["wss://api.openai.com/v1/realtime?model=gpt-realtime"]
    assert told["headers_that_end_here"] == ["Authorization"]
    assert (refused, why["refused"]["code"]) == (1, "model_not_allowed")


def test_what_running_proxies_have_counted_of_a_key_is_told_and_decides(explain, tmp_path):
    secret, key = proxy_key(requests_per_minute=3, concurrent=5, usd_per_day=Decimal("2.5"), spent=Spent(Decimal(1)))
    data = DataDir(tmp_path)
    write_keys(data.keys, key)
    rates = Rates(data.rates, "proxy-0")
    for _ in range(3):
        rates.begin(UUID(key.id).bytes)

    nobody_runs = explain(key=secret)
    data.prepare()
    held = data.ledger("proxy-0")  # as long as the process lives
    one_runs = explain(key=secret)
    del held

    assert [status for status, _ in (nobody_runs, one_runs)] == [0, 1]
    assert [told["running_proxies"] for _, told in (nobody_runs, one_runs)] == [0, 1]
    assert nobody_runs[1]["limits"]["requests_per_minute"] == {"limit": 3, "used": 0}
    assert one_runs[1]["limits"] == {
        "requests_per_minute": {"limit": 3, "used": 3},
        "concurrent": {"limit": 5, "used": 3},
        "usd_per_day": {"limit": "2.5", "used": "1"},
    }
    assert one_runs[1]["refused"]["code"] == "rate_limit_exceeded"
    assert rates.look(UUID(key.id).bytes).running == 3


def test_an_upstream_that_running_proxies_leave_alone_is_told(explain, tmp_path):
    data = DataDir(tmp_path)
    data.prepare()
    ledger = data.ledger("proxy-0", upstreams=("default", "azure"))
    ledger.put_left_alone("azure", 1)

    _, told = explain()

    assert [there["left_alone_by"] for there in told["targets"]] == [0, 1, None]


def test_people_get_lines(explain, tmp_path):
    secret, key = proxy_key(requests_per_minute=3)
    write_keys(DataDir(tmp_path).keys, key)

    _, text = explain(key=secret, as_json=False)

    assert "target 2\n  upstream             azure\n" in text
    assert "limits\n  requests per minute  0 of 3\n" in text


def test_what_cannot_be_read_is_said_in_one_line(explain, tmp_path):
    with pytest.raises(ConfigError, match="--header"):
        explain("no header")
    with pytest.raises(ConfigError, match="--body"):
        explain(body_file=tmp_path / "nothing")
