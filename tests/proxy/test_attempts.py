"""What is tried again, when and where, and what of it is on record; through a real proxy before real servers."""

import asyncio
import json
import random
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import CHAT, PATIENCE_S, until
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.attempts import RetryBudget, retry_after_s
from llm_proxy.proxy.breaker import Breakers, State
from llm_proxy.proxy.routes import Place, Retry, Route, Routes
from ports import free_port
from upstreams import (
    CLOSE,
    RESET,
    SSE_HEAD,
    WAIT_FOR_CLIENT_GONE,
    Upstream,
    chat_answer,
    chat_chunk,
    chunk,
    json_response,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LIMITED = {"error": {"message": "slow down", "type": "rate_limit"}}
#: Nobody waits for long.
QUICK = {"backoff_s": 0.001}


@pytest.fixture
async def second():
    server = Upstream()
    server.default = [json_response(chat_answer("from the second"))]
    await server.start()
    yield server
    await server.stop()


def failing(status="500 Internal Server Error", headers=()):
    return json_response(LIMITED, status=status, headers=headers)


def along(*targets, model=None, **retry):
    """Routes with one for all calls, of the upstreams of these names."""

    def routes(upstreams):
        places = tuple(Place(upstreams.find(name), model if name != "default" else None) for name in targets)
        return Routes([Route(name="all", places=places, retry=Retry(**(QUICK | retry)))])

    return routes


def breaking(**limits):
    return lambda ledger: Breakers(**({"failures": 2, "window_s": 60, "open_s": 60} | limits), ledger=ledger)


@pytest.mark.parametrize(
    "failure",
    [
        [failing()],
        [failing("429 Too Many Requests")],
        [failing("529 Overloaded")],
        [CLOSE],
        [RESET],
        [b"no HTTP", CLOSE],
    ],
    ids=["500", "429", "529", "closed", "reset", "garbled"],
)
async def test_a_failure_is_tried_again_and_both_attempts_are_on_record(upstream, start_proxy, failure):
    proxy = await start_proxy(upstream.url, routes=along())
    upstream.script(*failure)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.json() == chat_answer()
    assert [request.body for request in upstream.received] == [answer.request.content] * 2
    [exchange] = await proxy.ended()
    first, last = exchange.attempts
    assert (exchange.ending, exchange.http_status, last.http_status) == (Ending.COMPLETE, 200, 200)
    assert first.upstream == "default"
    assert first.http_status or first.failure == "upstream_broke_off"
    assert 0 <= first.started_s <= first.ended_s <= last.started_s <= last.ended_s <= exchange.first_byte_s
    assert first.body is None or json.loads(first.body) == LIMITED
    assert proxy.ledger.get("retries") == 1


async def test_a_call_that_is_answered_at_once_has_no_attempts_beside_it(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along())

    await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert (await proxy.ended())[0].attempts == ()


async def test_the_last_failure_is_relayed_as_it_came(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along(attempts=2))
    upstream.default = [failing("503 Service Unavailable", [("X-Request-Id", "r-1")])]

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert (answer.status_code, answer.json(), answer.headers["x-request-id"]) == (503, LIMITED, "r-1")
    [exchange] = await proxy.ended()
    assert (exchange.ending, len(exchange.attempts), len(upstream.received)) == (Ending.UPSTREAM_ERROR, 2, 2)


async def test_an_error_that_is_no_failure_of_the_route_is_relayed_at_once(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along())
    upstream.script(failing("400 Bad Request"))

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert (answer.status_code, len(upstream.received)) == (400, 1)


async def test_the_next_target_gets_the_call_with_its_own_model_and_no_key_of_another(upstream, second, start_proxy):
    routes = along("default", "azure", model="mein Modell", attempts=1)
    proxy = await start_proxy(
        upstream.url, named={"azure": second.url}, routes=routes, keys={"default": "sk-a", "azure": "sk-b"}
    )
    upstream.default = [failing()]
    body = b'{ "model" : "gpt-4o",\n "messages": [{"model": "gpt-4o"}], "x": "\xc3\xa4" }'

    answer = await proxy.client.post("/v1/chat/completions", content=body, headers={"Authorization": "Bearer sk-c"})

    assert answer.json() == chat_answer("from the second")
    [there] = second.received
    assert there.body == body.replace(b'"gpt-4o"', b'"mein Modell"', 1)
    assert int(there.header("content-length")) == len(there.body)
    assert b"sk-b" in there.head
    assert not [key for key in (b"sk-a", b"sk-c") if key in there.head]
    [exchange] = await proxy.ended()
    assert (exchange.upstream, exchange.provider) == ("azure", "azure")
    assert [attempt.upstream for attempt in exchange.attempts] == ["default", "azure"]
    assert exchange.request_body == body


async def test_an_upstream_that_cannot_be_reached_costs_nothing_but_an_attempt(second, start_proxy):
    proxy = await start_proxy(
        f"http://127.0.0.1:{free_port()}/v1",
        named={"other": second.url},
        routes=along("default", "other", attempts=1),
    )

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.json() == chat_answer("from the second")
    [exchange] = await proxy.ended()
    first, last = exchange.attempts
    assert first.failure == "upstream_unreachable"
    assert "no connection to" in first.reason
    assert first.tcp_s > 0
    assert (first.sent_s, first.overhead_s, last.dns_s) == (None, None, None)
    assert last.started_s + last.overhead_s + last.tcp_s == pytest.approx(last.sent_s, abs=2e-6)
    assert (exchange.sent_s, exchange.tcp_s) == (last.sent_s, last.tcp_s)


async def test_an_upstream_that_stays_silent_for_too_long_is_left_for_the_next(upstream, second, start_proxy):
    proxy = await start_proxy(
        upstream.url, named={"other": second.url}, routes=along("default", "other", attempts=1, first_byte_s=0.5)
    )
    upstream.script(WAIT_FOR_CLIENT_GONE)

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert answer.json() == chat_answer("from the second")
    assert (await proxy.ended())[0].attempts[0].failure == "upstream_timeout"
    async with asyncio.timeout(PATIENCE_S):
        await upstream.received[0].client_gone.wait()


async def test_nothing_is_tried_again_after_the_first_byte(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along())
    upstream.script(SSE_HEAD, chunk(chat_chunk("a")), RESET)

    with pytest.raises(httpx.RemoteProtocolError):
        await proxy.client.post("/v1/chat/completions", json=CHAT)

    [exchange] = await proxy.ended()
    assert (exchange.ending, exchange.attempts, len(upstream.received)) == (Ending.UPSTREAM_BROKE_OFF, (), 1)


async def test_a_body_that_is_streamed_through_is_sent_once(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along(), buffered_body_bytes=10)
    upstream.script(failing())

    async def pieces():
        yield b'{"model": "gpt-4o",'
        await asyncio.sleep(0)
        yield b'"messages": []}' + b" " * 200_000

    answer = await proxy.client.post("/v1/chat/completions", content=pieces())

    assert (answer.status_code, len(upstream.received)) == (500, 1)


async def test_a_wait_that_the_upstream_asks_for_and_that_is_too_long_goes_to_the_client(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along(budget_s=5))
    upstream.script(failing("429 Too Many Requests", [("Retry-After", "3600")]))

    answer = await proxy.client.post("/v1/chat/completions", json=CHAT)

    assert (answer.status_code, answer.headers["retry-after"], len(upstream.received)) == (429, "3600", 1)


async def test_a_wait_that_the_upstream_asks_for_is_kept(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along())
    upstream.script(failing("429 Too Many Requests", [("retry-after-ms", "80"), ("Retry-After", "9")]))

    await proxy.client.post("/v1/chat/completions", json=CHAT)

    [exchange] = await proxy.ended()
    first, last = exchange.attempts
    assert first.wait_s == 0.08
    assert last.started_s - first.ended_s >= 0.079
    assert 0 < exchange.overhead_s < exchange.sent_s - 0.079  # of which the wait is no part


async def test_a_client_that_leaves_while_an_attempt_is_waited_for_ends_the_call(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along(backoff_s=100, budget_s=1000))
    upstream.script(failing("429 Too Many Requests", [("Retry-After", "60")]))
    _, writer = await proxy.connect()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}")
    await upstream.wait_for_requests(1)

    writer.close()

    [exchange] = await proxy.ended()
    assert (exchange.ending, len(upstream.received)) == (Ending.CLIENT_DISCONNECTED, 1)


async def test_who_wants_no_answer_recorded_has_none_of_a_failed_attempt(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along())
    upstream.script(failing())

    await proxy.client.post("/v1/chat/completions", json=CHAT, headers={"Helicone-Omit-Response": "true"})

    [exchange] = await proxy.ended()
    assert (exchange.attempts[0].http_status, exchange.attempts[0].body) == (500, None)


async def test_retries_of_many_calls_do_not_become_a_storm(upstream, start_proxy):
    proxy = await start_proxy(upstream.url, routes=along(attempts=5), retry_ratio=0.1)
    upstream.default = [failing()]

    answers = await asyncio.gather(*(proxy.client.post("/v1/chat/completions", json=CHAT) for _ in range(100)))

    assert {answer.status_code for answer in answers} == {500}
    # Ten were saved up, and each ten calls bring one more.
    assert 100 < len(upstream.received) <= 120


async def test_an_upstream_that_fails_is_left_alone_until_one_call_finds_that_it_works(upstream, start_proxy):
    made = []
    proxy = await start_proxy(
        upstream.url, breakers=lambda ledger: made.append(breaking(open_s=0.5)(ledger)) or made[0]
    )
    upstream.script(failing())
    upstream.script(failing())

    failed = [await proxy.client.post("/v1/chat/completions", json=CHAT) for _ in range(3)]
    await until(lambda: made[0].of("default").admits(time.monotonic()))
    works = [await proxy.client.post("/v1/chat/completions", json=CHAT) for _ in range(2)]

    assert [answer.status_code for answer in failed] == [500, 500, 502]
    assert "left alone" in failed[2].json()["error"]["message"]
    assert [answer.status_code for answer in works] == [200, 200]
    assert len(upstream.received) == 4


async def test_of_a_storm_a_broken_upstream_sees_little_and_the_next_target_has_the_rest(upstream, second, start_proxy):
    proxy = await start_proxy(
        upstream.url,
        named={"other": second.url},
        routes=along("default", "other", attempts=1),
        breakers=breaking(failures=3),
    )
    upstream.default = [failing("502 Bad Gateway")]
    for _ in range(3):
        await proxy.client.post("/v1/chat/completions", json=CHAT)

    answers = await asyncio.gather(*(proxy.client.post("/v1/chat/completions", json=CHAT) for _ in range(50)))

    assert {answer.status_code for answer in answers} == {200}
    assert len(upstream.received) == 3
    assert {attempt.failure for attempt in (await proxy.ended(53))[-1].attempts} == {"left_alone", None}


async def test_one_call_alone_of_a_storm_tries_whether_it_works_again(upstream, second, start_proxy):
    made = []
    proxy = await start_proxy(
        upstream.url,
        named={"other": second.url},
        routes=along("default", "other", attempts=1),
        breakers=lambda ledger: made.append(breaking(failures=1, open_s=0.05)(ledger)) or made[0],
    )
    upstream.script(failing())
    await proxy.client.post("/v1/chat/completions", json=CHAT)
    await until(lambda: made[0].of("default").state(time.monotonic()) is State.HALF_OPEN)
    go_on = asyncio.Event()
    upstream.script(go_on, json_response(chat_answer()))

    probing = asyncio.create_task(proxy.client.post("/v1/chat/completions", json=CHAT))
    await upstream.wait_for_requests(2)
    others = await asyncio.gather(*(proxy.client.post("/v1/chat/completions", json=CHAT) for _ in range(20)))
    go_on.set()

    assert (await probing).json() == chat_answer()
    assert [answer.json() for answer in others] == [chat_answer("from the second")] * 20
    assert len(upstream.received) == 2


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ([], None),
        ([(b"Retry-After", b" 7 ")], 7),
        ([(b"RETRY-AFTER", b"0")], 0),
        ([(b"Retry-After", b"1.5")], 1.5),
        ([(b"Retry-After", b"9"), (b"Retry-After-Ms", b"250")], 0.25),
        ([(b"Retry-After", format_datetime(NOW + timedelta(seconds=90), usegmt=True).encode())], 90),
        ([(b"Retry-After", format_datetime(NOW - timedelta(seconds=90), usegmt=True).encode())], 0),
        ([(b"Retry-After", b"-3")], None),
        ([(b"Retry-After", b"inf")], None),
        ([(b"Retry-After", b"soon")], None),
    ],
)
def test_how_long_an_answer_asks_to_be_waited_for(headers, seconds):
    assert retry_after_s(headers, NOW) == seconds


@given(st.binary())
def test_no_retry_after_is_too_strange(value):
    seconds = retry_after_s([(b"Retry-After", value)], NOW)

    assert seconds is None or seconds >= 0


def test_the_budget_has_so_many_retries_per_call():
    budget = RetryBudget(0.25)
    draw = random.Random(1)

    taken = 0
    for _ in range(1000):
        budget.fill()
        taken += sum(budget.take() for _ in range(draw.randrange(1, 4)))

    assert 240 <= taken <= 261
    assert not RetryBudget(0).take()
