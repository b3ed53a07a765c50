"""Where a call may be sent, of the places of its route; and WebSockets along routes, with their forms of key."""

import pytest
from websockets.asyncio.client import connect

from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import Addresses
from llm_proxy.proxy.breaker import Breakers
from llm_proxy.proxy.planning import Wanted, plan_of
from llm_proxy.proxy.routes import Place, Retry, Route, Routes
from llm_proxy.proxy.routing import target_at
from llm_proxy.proxy.upstreams import Upstreams, upstream_at
from sockets import HANDSHAKE, by_hand, talking

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


async def echo(connection):
    async for message in connection:
        await connection.send(message)


def routes_to(upstreams, *names, model=None):
    places = tuple(Place(upstreams.find(name), model=model) for name in names)
    return Routes([Route(name="all", places=places, retry=Retry(attempts=1))])


async def granted(proxy, there, handshake):
    """The head of the answer to a handshake, after which both sides leave."""
    reader, writer = await proxy.connect()
    writer.write(handshake)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    await there.reader.read()
    there.writer.close()
    return head


KEY = b"AIza-theirs-0123456789"
KEYED_PROTOCOL = b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-theirs-0123456789"
OURS = {"default": "sk-ours", "azure": "az-ours", "google": "AIza-ours", "openai": "sk-ours-there"}
LIVE = b"/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
#: Path, further header, the upstream that the session is sent on to, what must be in the handshake there, and what not.
ROUTED = {
    "openai's key among the protocols": (
        b"/v1/realtime?model=gpt-realtime",
        KEYED_PROTOCOL,
        "openai",
        [
            b"GET /v1/realtime?model=gpt-realtime ",
            b"Authorization: Bearer sk-ours-there",
            b"Protocol: realtime\r\n",
        ],
    ),
    "azure takes openai's language with a key of its own": (
        b"/v1/realtime?model=gpt-realtime",
        b"Authorization: Bearer sk-theirs-0123456789",
        "azure",
        [b"GET /openai/v1/realtime?model=gpt-realtime ", b"Api-Key: az-ours"],
    ),
    "azure's own path": (
        b"/azure/openai/realtime?api-version=2025-04-01-preview&deployment=gpt-realtime&api-key=sk-theirs-0123456789",
        b"OpenAI-Beta: realtime=v1",
        "azure",
        [b"GET /openai/realtime?api-version=2025-04-01-preview&deployment=gpt-realtime ", b"Api-Key: az-ours"],
    ),
    "google's key in the query": (
        LIVE + b"?key=" + KEY,
        b"X-Test: 1",
        "google",
        [b"GET " + LIVE + b" ", b"X-Goog-Api-Key: AIza-ours"],
    ),
}


@pytest.mark.parametrize("how", ROUTED)
async def test_a_routed_session_has_the_form_of_key_and_the_endpoint_of_where_it_goes(start_proxy, how):
    path, header, name, wanted = ROUTED[how]
    handshake = HANDSHAKE.replace(b"/v1/realtime?model=gpt-realtime", path).replace(b"Host:", header + b"\r\nHost:")
    async with by_hand() as there:
        root = there.url.removesuffix("/v1")
        proxy = await start_proxy(
            "http://127.0.0.1:1/v1",
            named={"azure": f"{root}/openai/v1", "google": there.url, "openai": there.url},
            keys=OURS,
            # The first one is down; of a path that is one provider's only those of it are asked.
            routes=lambda known: routes_to(known, "default", name),
        )
        answer = await granted(proxy, there, handshake)
        [call] = await proxy.ended()

    assert answer.startswith(b"HTTP/1.1 101 ")
    assert [part for part in wanted if part not in there.head] == []
    assert b"theirs" not in there.head
    assert (call.endpoint, call.upstream) == (Endpoint.REALTIME, name)
    assert b"theirs" not in b"".join(segment.read_bytes() for segment in proxy.journal_dir.glob("*/*.seg"))


async def test_a_route_that_sends_a_session_elsewhere_without_a_key_there_leaves_that_of_the_client_out(start_proxy):
    async with by_hand() as there:
        proxy = await start_proxy(
            "http://127.0.0.1:1/v1",
            named={"mine": there.url},
            routes=lambda known: routes_to(known, "default", "mine"),
        )
        await granted(proxy, there, HANDSHAKE.replace(b"Host:", KEYED_PROTOCOL + b"\r\nHost:"))
        await proxy.ended()

    assert b"Sec-WebSocket-Protocol: realtime\r\n" in there.head
    assert b"theirs" not in there.head


async def test_a_session_asks_for_the_model_of_its_route(start_proxy):
    async with by_hand() as there:
        proxy = await start_proxy(
            there.url,
            routes=lambda known: routes_to(known, "default", model="a b/c"),
        )
        await granted(proxy, there, HANDSHAKE)

    assert there.head.startswith(b"GET /v1/realtime?model=a%20b%2Fc HTTP/1.1\r\n")


async def test_a_breaker_counts_sessions_that_were_not_granted_and_leaves_the_upstream_alone(start_proxy, upstream):
    upstream.default = [b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"]
    async with talking(echo) as other:
        proxy = await start_proxy(
            upstream.url,
            named={"other": other},
            routes=lambda known: routes_to(known, "default", "other"),
            breakers=lambda ledger: Breakers(failures=2, window_s=60, open_s=60, ledger=ledger),
        )
        for _ in range(3):
            async with connect(f"ws://127.0.0.1:{proxy.port}/v1/realtime?model=m", proxy=None) as session:
                await session.send("hello")
                await session.recv()

    calls = [call for call in proxy.recorded() if call.ending is not None]
    failures = [[attempt.failure for attempt in call.attempts] for call in calls]
    assert len(upstream.received) == 2
    assert {call.upstream for call in calls} == {"other"}
    assert failures == [[None, None], [None, None], ["left_alone", None]]
