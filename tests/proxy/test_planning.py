"""Where a call may be sent, of the places of its route."""

import pytest

from llm_proxy.errors import Refused
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.planning import Wanted, plan_of
from llm_proxy.proxy.routes import Place, Retry, Route, Routes
from llm_proxy.proxy.routing import target_at
from llm_proxy.proxy.upstreams import Upstreams, upstream_at

MAIN = upstream_at("default", "https://main.test/v1", provider=None, key="sk-main")
KEYED = upstream_at("azure", "https://r.openai.azure.com/openai/v1", provider=None, key="sk-azure")
LOCAL = upstream_at("local", "http://gpu.test:8000/v1", provider=None, key=None)
KEYLESS = upstream_at("groq", "https://api.groq.com/openai/v1", provider=None, key=None)
CLAUDE = upstream_at("anthropic", None, provider=None, key="sk-ant")
ALL = Upstreams(MAIN, {one.name: one for one in (KEYED, LOCAL, KEYLESS, CLAUDE)})
RETRY = Retry(attempts=3)


def plan(
    *places, path=b"/v1/chat/completions", body=b'{"model": "m"}', query=b"", forbidden=(), models=(), named=False
):
    address = Addresses(ALL.names()).find(path, query)
    routes = Routes([Route(name="r", models=models, places=places, retry=RETRY)])

    def check(target):
        if target.upstream.name in forbidden:
            raise Refused("not there", status=403, code="upstream_not_allowed")

    asked = Wanted(method=b"POST", address=address, query=query, headers=[], body=body, named=named, check=check)
    upstream = CLAUDE if address.provider == "anthropic" else MAIN
    return plan_of(routes, asked, target_at(upstream, address, b"POST", query))[0]


def names(made):
    return [target.upstream.name for target in made.targets]


def test_the_places_of_the_route_are_the_targets_each_with_its_own_key_and_path():
    made = plan(Place(MAIN), Place(KEYED, "gpt-4o-eu"))

    assert made.retry is RETRY
    assert [(target.target, target.model) for target in made.targets] == [
        (b"/v1/chat/completions", None),
        (b"/openai/v1/chat/completions", "gpt-4o-eu"),
    ]
    assert [b"sk-main" in target.credential[1] for target in made.targets] == [True, False]


def test_a_route_without_places_retries_where_the_call_goes_anyway():
    made = plan()

    assert (names(made), made.retry) == (["default"], RETRY)


@pytest.mark.parametrize("different", [{"body": None}, {"models": ("other",)}, {"named": True}])
def test_what_no_route_is_for_is_sent_once(different):
    made = plan(Place(KEYED), **different)

    assert (names(made), made.retry.attempts, made.retry.statuses) == (["default"], 1, frozenset())


def test_the_key_of_a_client_goes_nowhere_it_was_not_sent_to():
    made = plan(Place(KEYLESS), Place(LOCAL), query=b"key=abc&a=1")

    [local] = made.targets
    assert local.upstream is LOCAL
    assert local.strips_keys
    assert local.target.endswith(b"?a=1")


def test_where_the_key_of_the_call_may_not_go_is_left_out():
    assert names(plan(Place(KEYED), Place(LOCAL), forbidden=("azure",))) == ["local"]
    with pytest.raises(Refused, match="not there"):
        plan(Place(KEYED), Place(LOCAL), forbidden=("azure", "local"))


def test_the_language_of_one_provider_is_spoken_to_nobody_else_that_is_known():
    assert names(plan(Place(KEYED), Place(LOCAL), Place(CLAUDE), path=b"/v1/messages")) == ["local", "anthropic"]
    assert names(plan(Place(KEYED), path=b"/v1/messages")) == ["anthropic"]


def test_a_model_in_the_path_is_written_there():
    made = plan(Place(LOCAL, "gemini/2"), path=b"/v1beta/models/gemini-1:generateContent", models=("gemini-*",))

    assert made.targets[0].target == b"/v1beta/models/gemini%2F2:generateContent"
