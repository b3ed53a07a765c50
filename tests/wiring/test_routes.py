import pytest

from llm_proxy.errors import ConfigError
from llm_proxy.metrics import Ledger
from llm_proxy.proxy.routes import Retry
from llm_proxy.settings.table import Settings
from llm_proxy.wiring.routes import attempts_of, routes_of
from llm_proxy.wiring.upstreams import upstreams_of


def routes(**route):
    settings = Settings(upstreams={"local": {"base_url": "http://localhost:8000/v1"}}, routes={"r": route})
    return routes_of(settings, upstreams_of(settings))


def test_every_setting_of_a_route_is_in_force():
    made = routes(
        models=["gpt-*"],
        endpoints=["chat.completions"],
        headers=["X-Team:  red* "],
        targets=["default", "local/llama/3"],
        weights=[1, 2],
        attempts=4,
        statuses=[500],
        first_byte_s=3,
        backoff_s=2,
        budget_s=9,
    )

    headers = [(b"x-team", b"red-1")]
    route = made.find(lambda: "gpt-4o", "chat.completions", headers, named=False)
    assert [(place.upstream.name, place.model, place.weight) for place in route.places] == [
        ("default", None, 1),
        ("local", "llama/3", 2),
    ]
    assert route.retry == Retry(attempts=4, statuses=frozenset({500}), first_byte_s=3, backoff_s=2, budget_s=9)
    assert made.find(lambda: "claude", "chat.completions", headers, named=False) is None
    assert made.find(lambda: "gpt-4o", "embeddings", headers, named=False) is None
    assert made.find(lambda: "gpt-4o", "chat.completions", [], named=False) is None


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"targets": ["nobody"]}, r"routes\.r\.targets: .* is named 'nobody'"),
        ({"endpoints": ["chat"]}, r"routes\.r\.endpoints: 'chat' is none of .*chat\.completions"),
    ],
)
def test_a_route_that_leads_nowhere_is_refused(wrong, reason):
    with pytest.raises(ConfigError, match=reason):
        routes(**wrong)


def test_what_is_not_asked_for_costs_nothing():
    assert attempts_of(Settings(), None, None, Ledger()) is None
    assert attempts_of(Settings(routes={"r": {}}), None, None, Ledger()).breakers is None
    assert attempts_of(Settings(breaker={"failures": 3}), None, None, Ledger()).breakers is not None
