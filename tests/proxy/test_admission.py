"""Calls with keys, through the proxy to an upstream: who gets in, who does not, and what goes on of it."""

import asyncio
from decimal import Decimal

import pytest

from conftest import CHAT
from llm_proxy.model.account import MARK
from llm_proxy.model.key_snapshot import Spent
from llm_proxy.proxy.admission import Admission, AdmissionRules
from llm_proxy.proxy.headers import HeaderRules
from proxy_keys import admission, proxy_key
from upstreams import WAIT_FOR_CLIENT_GONE, chat_answer, json_response

RULES = HeaderRules(
    stripped_prefixes=(b"x-llm-", b"helicone-"),
    gateway_keys=frozenset({b"x-llm-key", b"helicone-auth"}),
    proxy_key_mark=MARK.encode(),
)
OURS = (b"Authorization", b"Bearer sk-ours")
PATH = "/v1/chat/completions"


def bearer(secret):
    return {"Authorization": f"Bearer {secret}"}


@pytest.fixture
def started(start_proxy, upstream, tmp_path):
    """Starts a proxy that knows these keys."""
    upstream.choose = lambda request: [json_response(chat_answer())]

    async def start(*keys, age_s=0.0, credential=OURS, known=True, **rules):
        lets_in = (
            admission(tmp_path, *keys, age_s=age_s, **rules) if known else Admission(rules=AdmissionRules(**rules))
        )
        return await start_proxy(upstream.url, admission=lets_in, rules=RULES, credential=credential)

    return start


async def said(proxy, headers, **more):
    answer = await proxy.client.post(PATH, json=more or CHAT, headers=headers)
    return answer.status_code, answer.json().get("error", {}).get("code")


@pytest.mark.parametrize(
    "carried",
    [
        {"Authorization": "Bearer {}"},
        {"x-api-key": "{}"},
        {"api-key": "{}"},
        {"x-goog-api-key": "{}"},
        {"X-LLM-Key": "{}", "Authorization": "Bearer sk-own"},
        {"Helicone-Auth": "Bearer {}"},
    ],
)
async def test_a_key_is_read_where_clients_can_send_it_and_never_goes_on(started, upstream, carried):
    secret, key = proxy_key(tags=("team-a",))
    proxy = await started(key)

    answer = await proxy.client.post(
        PATH, json=CHAT, headers={name: one.format(secret) for name, one in carried.items()}
    )

    assert answer.status_code == 200
    assert secret.encode() not in upstream.received[0].head
    assert upstream.received[0].header("authorization") == b"Bearer sk-ours"
    [exchange] = await proxy.ended()
    assert (exchange.organization_id, exchange.project_id, exchange.key_id) == ("acme", "p-1", key.id)
    assert exchange.tags == ("team-a",)
    assert secret not in repr(exchange)


async def test_a_key_in_the_query_is_taken_out_of_it(started, upstream):
    secret, key = proxy_key()
    proxy = await started(key)

    answer = await proxy.client.post(f"{PATH}?a=1&key={secret}&b=2", json=CHAT)

    assert answer.status_code == 200
    assert upstream.received[0].head.startswith(f"POST {PATH}?a=1&b=2 HTTP".encode())
    [exchange] = await proxy.ended()
    assert exchange.key_id == key.id
    assert secret not in repr(exchange)


async def test_beside_a_proxy_key_the_clients_own_key_goes_on_where_none_is_configured(started, upstream):
    secret, key = proxy_key()
    proxy = await started(key, credential=None)

    answer = await proxy.client.post(PATH, json=CHAT, headers={**bearer("sk-own"), "X-LLM-Key": secret})

    assert answer.status_code == 200
    assert upstream.received[0].header("authorization") == b"Bearer sk-own"


async def test_without_a_key_a_call_is_nobodys_or_is_refused_as_configured(started, upstream):
    _, key = proxy_key()
    is_open, closed = await started(key), await started(key, required=True)

    outcomes = [await said(proxy, bearer("sk-any")) for proxy in (is_open, closed)]

    assert outcomes == [(200, None), (401, "missing_key")]
    assert len(upstream.received) == 1
    [exchange] = await is_open.ended()
    assert (exchange.organization_id, exchange.key_id) == (None, None)
    [refused] = await closed.ended()
    assert refused.http_status == 401


async def test_who_speaks_anthropics_or_googles_language_is_refused_in_it(start_proxy, upstream, tmp_path):
    lets_in, origin = admission(tmp_path, required=True), upstream.url.removesuffix("/v1")
    proxy = await start_proxy(
        upstream.url,
        admission=lets_in,
        rules=RULES,
        named={"anthropic": f"{origin}/v1", "google": f"{origin}/v1beta/openai"},
    )

    claude = await proxy.client.post("/anthropic/v1/messages", json={"model": "claude"}, headers={"x-api-key": "own"})
    gemini = await proxy.client.post("/google/v1beta/models/gemini:generateContent", json={})

    assert (claude.status_code, gemini.status_code) == (401, 401)
    assert claude.json()["error"]["type"] == "authentication_error"
    assert gemini.json()["error"]["status"] == "UNAUTHENTICATED"
    assert upstream.received == []


async def test_a_key_that_is_unknown_or_not_for_calls_is_refused_though_none_is_needed(started):
    (unknown, _), (reader, read) = proxy_key(), proxy_key(relays=False)
    proxy = await started(read)

    outcomes = [await said(proxy, bearer(secret)) for secret in (unknown, reader)]

    assert outcomes == [(401, "invalid_key"), (403, "insufficient_scope")]


@pytest.mark.parametrize(("unknown", "status"), [("refuse", 503), ("continue", 200)])
async def test_before_any_key_is_known_a_call_with_one_fares_as_configured(started, upstream, unknown, status):
    secret, _ = proxy_key()
    proxy = await started(known=False, keys_unknown=unknown)

    assert (await said(proxy, bearer(secret)))[0] == status
    assert all(secret.encode() not in request.head for request in upstream.received)


async def test_models_and_upstreams_that_the_key_is_not_for_are_refused(started, upstream):
    (models, by_model), (elsewhere, by_upstream) = proxy_key(models=("gpt-4o*",)), proxy_key(upstreams=("other",))
    proxy = await started(by_model, by_upstream)

    allowed = await said(proxy, bearer(models), model="gpt-4o-mini")
    refused = [await said(proxy, bearer(models), **body) for body in ({"model": "o1"}, {"messages": []})]
    other = await said(proxy, bearer(elsewhere))
    listing = (await proxy.client.get("/v1/models", headers=bearer(models))).status_code

    assert allowed[0] == 200
    assert refused == [(403, "model_not_allowed")] * 2
    assert other == (403, "upstream_not_allowed")
    assert listing == 200
    assert len(upstream.received) == 2


async def test_more_calls_within_a_minute_than_the_key_may_begin_are_told_when_to_come_again(started):
    secret, key = proxy_key(requests_per_minute=2)
    proxy = await started(key)

    answers = [await proxy.client.post(PATH, json=CHAT, headers=bearer(secret)) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    headers = answers[2].headers
    assert 1 <= int(headers["retry-after"]) <= 60
    assert headers["x-ratelimit-limit-requests"] == "2"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert answers[2].json()["error"]["code"] == "rate_limit_exceeded"
    assert (await proxy.ended(3))[2].key_id == key.id


async def test_a_call_that_has_ended_makes_room_for_another_one(started, upstream):
    secret, key = proxy_key(concurrent=1)
    proxy = await started(key)
    upstream.choose = lambda request: [WAIT_FOR_CLIENT_GONE]
    running = asyncio.create_task(proxy.client.post(PATH, json=CHAT, headers=bearer(secret)))
    await upstream.wait_for_requests(1)

    refused = await said(proxy, bearer(secret))
    running.cancel()
    await proxy.ended(2)
    upstream.choose = lambda request: [json_response(chat_answer())]
    after = await said(proxy, bearer(secret))

    assert refused == (429, "concurrency_limit_exceeded")
    assert after[0] == 200


@pytest.mark.parametrize(
    ("terms", "spent", "status"),
    [
        ({"usd_per_day": Decimal(5)}, Spent(Decimal("4.99"), Decimal(400)), 200),
        ({"usd_per_day": Decimal(5)}, Spent(Decimal(5), Decimal(5)), 429),
        ({"usd_per_month": Decimal(5)}, Spent(Decimal(0), Decimal("5.01")), 429),
    ],
)
async def test_a_key_that_has_spent_what_it_may_is_refused_with_when_that_ends(started, terms, spent, status):
    secret, key = proxy_key(spent=spent, **terms)
    proxy = await started(key)

    answer = await proxy.client.post(PATH, json=CHAT, headers=bearer(secret))

    assert answer.status_code == status
    if status == 429:
        assert answer.json()["error"]["code"] == "spend_limit_exceeded"
        assert "5 USD" in answer.json()["error"]["message"]
        assert int(answer.headers["retry-after"]) >= 1


async def test_a_key_with_a_limit_on_spending_makes_no_calls_whose_cost_nobody_would_know(started, upstream):
    (limited, one), (free, other) = proxy_key(usd_per_day=Decimal(5)), proxy_key()
    proxy = await started(one, other)

    outcomes = [
        await said(proxy, {**bearer(secret), "X-LLM-Log": word})
        for secret in (limited, free)
        for word in ("off", "metadata")
    ]

    assert outcomes == [(403, "record_needed")] * 2 + [(200, None)] * 2


@pytest.mark.parametrize(("unknown", "status"), [("refuse", 503), ("continue", 200)])
async def test_what_was_spent_by_an_old_snapshot_is_not_known(started, unknown, status):
    secret, key = proxy_key(usd_per_day=Decimal(5), spent=Spent(Decimal(9), Decimal(9)))
    proxy = await started(key, age_s=3600, limits_unknown=unknown)

    assert (await said(proxy, bearer(secret)))[0] == status
