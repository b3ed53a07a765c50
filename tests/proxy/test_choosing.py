"""Where a call goes, of what it says and what is in it; and who may send it there."""

import pytest

from conftest import CHAT
from llm_proxy.errors import Refused
from llm_proxy.model.account import MARK
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.choosing import Chooser, Intent
from llm_proxy.proxy.headers import HeaderRules
from llm_proxy.proxy.routes import Place, Route, Routes
from llm_proxy.proxy.routing import target_at
from llm_proxy.proxy.target_hosts import TargetHosts
from llm_proxy.proxy.upstreams import Upstreams, upstream_at
from llm_proxy.proxy.wishes import NO_WISHES, Wishes
from proxy_keys import admission, proxy_key
from upstreams import Upstream, chat_answer, json_response

MAIN = upstream_at("default", "https://main.test/v1", provider=None, key="sk-main")
AZURE = upstream_at("azure", "https://r.openai.azure.com/openai/v1", provider=None, key="sk-azure")
ALL = Upstreams(MAIN, {"azure": AZURE})
TARGET = target_at(MAIN, Addresses(ALL.names()).find(b"/v1/chat/completions", b""), b"POST", b"")
BODY = b'{"model": "azure/gpt-4o"}'


def intent(path=b"/v1/chat/completions", method=b"POST", **wishes):
    return Intent(method, Addresses(ALL.names()).find(path, b""), b"", [], Wishes(**wishes))


def chooser(*routes, model_prefix=True):
    return Chooser(ALL, TargetHosts((), timeout_s=1), Routes(routes), model_prefix=model_prefix)


@pytest.mark.parametrize(
    ("path", "wish", "chosen", "code"),
    [
        (b"/v1/chat/completions", {}, "default", None),
        (b"/v1/chat/completions", {"provider": "azure"}, "azure", None),
        (b"/azure/chat/completions", {}, "azure", None),
        (b"/v1/chat/completions", {"provider": "nobody"}, "default", "unknown_provider"),
        (b"/v1/chat/completions", {"address": "https://no.test"}, "default", "target_not_allowed"),
    ],
)
async def test_what_a_call_says_of_itself_decides_and_what_leads_nowhere_is_told(path, wish, chosen, code):
    target, refusal = await chooser().by_itself(intent(path, **wish))

    assert target.upstream.name == chosen
    assert (refusal.code if refusal else None) == code


async def test_only_of_what_says_nothing_but_method_and_path_is_remembered_where_it_goes():
    knowing = chooser()
    plain = intent()._replace(said=NO_WISHES)
    others = [
        plain._replace(query=b"key=sk-client"),
        plain._replace(said=Wishes(provider="azure")),
        intent(b"/nowhere")._replace(said=NO_WISHES),
        intent(b"/v1/" + b"a" * 1000)._replace(said=NO_WISHES),
    ]

    found = [(await knowing.by_itself(asked))[0] for asked in (plain, *others)]

    assert knowing.known(plain) is found[0]
    assert [knowing.known(asked) for asked in others] == [None] * 4
    assert knowing.known(plain._replace(method=b"GET")) is None


def test_the_model_decides_where_that_is_asked_for_and_nothing_else_did():
    by_model = chooser().by_model(intent(), TARGET, BODY)
    off = chooser(model_prefix=False).by_model(intent(), TARGET, BODY)
    named = chooser().by_model(intent(provider="default"), TARGET, BODY)

    assert (by_model.upstream, by_model.model) == (AZURE, "gpt-4o")
    assert (off, named) == (TARGET, TARGET)


def test_a_call_that_may_not_go_where_it_goes_by_itself_is_refused_unless_a_route_leads_elsewhere():
    def check(target):
        if target.upstream is MAIN:
            raise Refused("not there", status=403, code="upstream_not_allowed")

    plan, route = chooser(Route(name="r", places=(Place(MAIN), Place(AZURE)))).plan(intent(), TARGET, BODY, check)

    assert [target.upstream for target in plan.targets] == [AZURE]
    assert route is not None
    for without in (chooser(), chooser(Route(name="r", models=("other",), places=(Place(AZURE),)))):
        with pytest.raises(Refused, match="not there"):
            without.plan(intent(), TARGET, BODY, check)


def test_all_models_are_asked_for_by_a_get_that_names_no_upstream():
    assert chooser().asks_for_all_models(intent(b"/v1/models", b"GET"))
    assert not chooser().asks_for_all_models(intent(b"/v1/models", b"POST"))
    assert not chooser().asks_for_all_models(intent(b"/azure/models", b"GET"))
    assert not chooser(model_prefix=False).asks_for_all_models(intent(b"/v1/models", b"GET"))


@pytest.fixture
async def second():
    server = Upstream()
    server.default = [json_response(chat_answer())]
    await server.start()
    yield server
    await server.stop()


async def test_a_proxy_key_is_judged_by_the_targets_of_the_route_of_its_call(start_proxy, upstream, second, tmp_path):
    (to_other, other), (to_none, none) = proxy_key(upstreams=("other",)), proxy_key(upstreams=("elsewhere",))
    proxy = await start_proxy(
        upstream.url,
        named={"other": second.url},
        keys={"default": "sk-a", "other": "sk-b"},
        routes=lambda upstreams: Routes([Route(name="r", places=tuple(map(Place, upstreams.configured)))]),
        admission=admission(tmp_path, other, none),
        rules=HeaderRules(proxy_key_mark=MARK.encode()),
    )

    answers = [
        await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"authorization": f"Bearer {secret}"})
        for secret in (to_other, to_none)
    ]

    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[1].json()["error"]["code"] == "upstream_not_allowed"
    assert (len(upstream.received), len(second.received)) == (0, 1)
