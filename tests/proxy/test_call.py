import pytest

from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.admission import Pass
from llm_proxy.proxy.call import Call
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.headers import RequestHead
from llm_proxy.proxy.routing import Target
from llm_proxy.proxy.upstreams import upstream_at
from proxy_keys import proxy_key


class Line:
    """What a call asks of its connection."""

    def __init__(self, *, method, switches):
        self.method = method.encode()
        self.switches = switches


def call_of(*, method="GET", switches=True, query=b"model=gpt-realtime", admitted=None):
    return Call(
        id="1",
        wire=Line(method=method, switches=switches),
        path_context=None,
        address=None,
        query=query,
        keys_in_query=[],
        wall_ns=0,
        capture=Capture.nothing(),
        admitted=admitted or Pass(),
    )


TARGET = Target(upstream_at("openai", "https://api.openai.com/v1", provider=None, key=None), b"/v1/x", Endpoint.OTHER)


def asking(websocket=True, **members):
    head = RequestHead([], [], **members)
    head.wants_websocket = websocket
    return head


def test_what_asks_for_a_websocket_is_a_session_wherever_it_goes():
    call = call_of()

    target = call.switch_if_asked(asking(), TARGET)

    assert call.switches
    assert target.endpoint is call.endpoint is Endpoint.REALTIME


@pytest.mark.parametrize(
    ("call", "head"),
    [
        (call_of(method="POST"), asking()),
        (call_of(switches=False), asking()),
        (call_of(), asking(websocket=False)),
    ],
)
def test_what_only_looks_like_it_is_a_call_like_any_other(call, head):
    assert call.switch_if_asked(head, TARGET) == TARGET
    assert not call.switches


def test_a_key_of_ours_alone_needs_one_for_the_provider_which_may_be_among_the_protocols():
    call = call_of()

    with pytest.raises(Refused):
        call.check_target(asking(proxy_keys=[b"llmp_1"]), TARGET)
    call.check_target(asking(proxy_keys=[b"llmp_1"], key_protocols=[0]), TARGET)


def test_a_key_for_some_models_opens_sessions_with_those_only():
    admitted = Pass(proxy_key(models=("gpt-realtime",))[1])
    for query, is_allowed in [(b"model=gpt-realtime", True), (b"model=gpt-4o-realtime", False), (b"", False)]:
        call = call_of(query=query, admitted=admitted)
        call.switch_if_asked(asking(), TARGET)
        if is_allowed:
            call.check_model(TARGET, b"")
        else:
            with pytest.raises(Refused, match="not for"):
                call.check_model(TARGET, b"")
