"""Keys for calls from the command line to the proxy of a running ``serve``, with Redis and without."""

import asyncio
import json
import stat

import pytest

from llm_proxy.wiring.keys_known import write_snapshot
from redis_service import RedisServer
from running import PATIENCE_S, serve, until


def made(product, organization, *terms):
    arguments = ["--organization", organization, "--scope", "proxy,read,write", "--format", "json", *terms]
    done = product.command("keys", "create", *arguments, "--data-dir", str(product.data_dir))
    assert done.returncode == 0, done.stderr
    key = json.loads(done.stdout)
    return key, {"authorization": f"Bearer {key['key']}"}


async def calls(product, headers, wanted=200):
    """Call until the answer has this status."""
    while (answer := await product.chat(headers=headers)).status_code != wanted:
        assert answer.status_code in (200, 401, 429, 503), answer.text
    return answer


async def seen(product, headers, call_id):
    """What a key sees, once this call is stored."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await product.client.get(f"{product.url}/api/v1/completions", headers=headers)
            if any(one["id"] == call_id and one["ending"] for one in answer.json()["completions"]):
                return answer.json()["completions"]
            await asyncio.sleep(0.05)


def listed(product):
    done = product.command("keys", "list", "--json", "--data-dir", str(product.data_dir))
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(params=["embedded", "redis"])
def environment(request, tmp_path):
    if request.param == "embedded":
        yield {}
        return
    server = RedisServer(tmp_path / "redis")
    yield {"LLM_PROXY_REDIS_URL": server.url}
    server.stop()


async def test_each_organisation_sees_its_own_calls_and_a_key_that_ended_ends_them(upstream, tmp_path, environment):
    async with serve(tmp_path, upstream.url, env=environment) as product:
        (acme, as_acme), (_, as_other) = made(product, "acme", "--tag", "team-a"), made(product, "other")
        first = (await calls(product, as_acme)).headers["x-llm-proxy-id"]
        second = (await calls(product, as_other)).headers["x-llm-proxy-id"]
        nobodys = (await product.chat()).headers["x-llm-proxy-id"]
        await product.ended(1)

        mine, others = await seen(product, as_acme, first), await seen(product, as_other, second)
        product.command("keys", "revoke", acme["id"], "--data-dir", str(product.data_dir))
        await calls(product, as_acme, wanted=401)

        assert {one["key_id"] for one in mine} == {acme["id"]}
        assert all("team-a" in one["tags"] for one in mine)
        assert not {one["id"] for one in mine} & {one["id"] for one in others}
        assert nobodys not in [one["id"] for one in [*mine, *others]]
        for one in (first, nobodys):
            for path in (f"completions/{one}", f"completions/{one}/raw/request"):
                assert (await product.client.get(f"{product.url}/api/v1/{path}", headers=as_other)).status_code == 404
        await until(lambda: listed(product)[0]["last_used_at"], "the key's last use")


async def test_what_the_calls_of_a_key_have_cost_ends_them(upstream, tmp_path):
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps({"gpt-4o": {"input_cost_per_token": 1, "output_cost_per_token": 1}}))
    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_PRICING__FILE": str(prices)}) as product:
        _, headers = made(product, "acme", "--usd-per-day", "5")
        await calls(product, headers)

        answer = await calls(product, headers, wanted=429)

        assert answer.json()["error"]["code"] == "spend_limit_exceeded"


def test_a_snapshot_is_for_its_owner_only_and_takes_the_place_of_the_one_before(tmp_path):
    path = tmp_path / "keys.snapshot"

    write_snapshot(path, b"first")
    write_snapshot(path, b"second")

    assert path.read_bytes() == b"second"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["keys.snapshot"]


async def test_keys_that_are_needed_are_needed_by_every_call(upstream, tmp_path):
    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_AUTH__CALLS": "keys"}) as product:
        refused = await product.chat(headers={"authorization": "Bearer sk-any"})
        _, headers = made(product, "acme")
        relayed = await calls(product, headers)
        await until((product.data_dir / "keys.snapshot").exists, "the snapshot")

        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "missing_key"
        assert relayed.status_code == 200
