from collections import Counter

import httpx
from starlette.applications import Starlette

from llm_proxy.api import ops
from llm_proxy.errors import StoreUnavailable


async def get(path, check):
    app = Starlette(routes=ops.routes(check=check, numbers=lambda: Counter(stored=3)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://store") as client:
        return await client.get(path)


async def fine():
    pass


async def away():
    raise StoreUnavailable("PostgreSQL at db:5432/llm: connection refused")


async def test_it_is_ready_while_its_work_can_be_done():
    answer = await get("/readyz", fine)

    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert answer.headers["cache-control"] == "no-store"


async def test_what_is_away_makes_it_not_ready_and_is_named_but_it_lives():
    ready, alive = await get("/readyz", away), await get("/healthz", away)

    assert (ready.status_code, ready.text) == (503, "PostgreSQL at db:5432/llm: connection refused\n")
    assert (alive.status_code, alive.text) == (200, "ok\n")


async def test_numbers_are_told_as_prometheus_wants_them():
    answer = await get("/metrics", fine)

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "\nllm_proxy_stored_total 3\n" in answer.text
