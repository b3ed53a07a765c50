import socket

import httpx
import pytest

from llm_proxy.demo.calls import make, scripted_calls
from llm_proxy.demo.upstream import ScriptedUpstream
from running import PATIENCE_S

OUTCOMES = {
    "chat": "200  The capital of France is Paris.",
    "chat, streamed": "200  18 events: Rain finds the river / the river forgets the...",
    "chat with a tool": '200  get_weather({"city": "Paris"})',
    "chat with a tool, streamed": '200  7 events: get_weather {"city": "Paris"}',
    "embeddings, tagged by path": "200  2 vectors",
    "responses, streamed": "200  20 events: This is a scripted answer: no model was aske...",
    "a wrong key": "401  Incorrect API key provided: sk-demo***-key.",
    "an upstream that breaks off": "200  7 events: This is a scripted answer: no, then the answer broke off",
    "a client that leaves": "200  8 events: Once upon a time there was a, then this client left",
}


@pytest.fixture
async def client():
    """One that speaks to the scripted upstream without any proxy."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with (
            ScriptedUpstream().listening(listener),
            httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, trust_env=False) as client,
        ):
            yield client


@pytest.mark.parametrize("call", scripted_calls("s-1"), ids=lambda call: call.title)
async def test_what_came_back_is_said_in_one_line(client, call):
    outcome = await make(client, call)

    assert outcome.line == OUTCOMES[call.title]
    assert outcome.id is None  # no llm-proxy was there


def test_calls_say_whose_they_are_by_header_and_by_path():
    calls = scripted_calls("s-1")

    assert {call.headers.get("X-LLM-Session-Id") for call in calls} == {"s-1", None}
    assert any(call.path.startswith("/~tags=demo,search;session=s-1;user=ada/") for call in calls)


async def test_without_any_answer_the_error_is_passed_on():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    chat, *_ = scripted_calls("s-1")

    async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await make(client, chat)
