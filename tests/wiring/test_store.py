import asyncio
import contextlib
import fcntl
import stat

import httpx

from llm_proxy.wiring.layout import DataDir
from running import CHAT, serve, until


async def test_what_the_journal_held_at_the_start_is_taken_in(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        (await product.child("store")).suspend()
        answer = await product.chat()
        for process in product.processes():
            process.kill()
        await product.gone()
    assert await product.records() == []

    async with serve(tmp_path, upstream.url) as product:
        (record,) = await product.ended(1)

    assert record["id"] == answer.headers["x-llm-proxy-id"]


async def test_a_store_process_waits_until_an_earlier_one_has_let_go_of_the_data(upstream, tmp_path):
    data = DataDir(tmp_path / "data")
    data.prepare()
    event = "waiting for an earlier store process to end"

    with contextlib.ExitStack() as earlier:
        earlier.enter_context(data.claimed("store"))
        async with serve(tmp_path, upstream.url, ready=False) as product:
            await until(lambda: event in product.log.read_text(), "a word about the earlier process")
            assert "export" not in product.printed()
            earlier.close()
            await until(lambda: "export" in product.printed(), "its greeting")


async def test_a_call_in_flight_is_on_record_as_started(upstream, tmp_path):
    go_on = asyncio.Event()
    upstream.script(go_on, *upstream.default)

    async with serve(tmp_path, upstream.url) as product:
        call = asyncio.create_task(product.chat())
        (running,) = await product.started(1)
        go_on.set()
        await call
        (ended,) = await product.ended(1)

    assert (running["status"], running["ending"], running["duration"]) == ("started", None, None)
    assert running["request"] == CHAT
    assert ended["id"] == running["id"]
    assert ended["status"] == "finished"


async def test_pages_and_records_are_served_at_the_one_port(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        answer = await product.chat()
        await product.ended(1)
        page = await product.client.get(f"{product.url}/")
        listed = await product.client.get(f"{product.url}/api/v1/completions")
        one = await product.client.get(f"{product.url}/api/v1/completions/{answer.headers['x-llm-proxy-id']}")
        missing = await product.client.get(f"{product.url}/no/such/page", headers={"Accept": "text/html"})
        for_programs = await product.client.get(f"{product.url}/no/such/page")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "gpt-4o" in page.text
    assert [record["id"] for record in listed.json()["completions"]] == [answer.headers["x-llm-proxy-id"]]
    assert one.json()["request"] == CHAT
    assert (missing.status_code, for_programs.status_code, for_programs.text) == (404, 404, "Not Found")
    assert "There is no such page." in missing.text
    assert missing.headers["content-security-policy"] == page.headers["content-security-policy"]


async def test_while_it_is_down_pages_say_so_and_calls_do_not_care(upstream, tmp_path):
    async with serve(tmp_path, upstream.url) as product:
        # Its lock is held by somebody else, so that the next one cannot come up.
        await product.kill("store")
        with (product.data_dir / "store.lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            page = await product.client.get(f"{product.url}/api/v1/completions")
            answer = await product.chat()
            health = await product.client.get(f"{product.url}/healthz")
            ready = await product.client.get(f"{product.url}/readyz")
        await product.ended(1)
        later = await product.client.get(f"{product.url}/api/v1/completions")

    error = page.json()["error"]
    assert page.status_code == 503
    assert error["code"] == "store_unavailable"
    assert error["message"].startswith("the store is starting or down")
    assert (answer.status_code, health.status_code, ready.status_code) == (200, 200, 200)
    assert later.status_code == 200


async def test_its_socket_is_nobody_elses_and_goes_with_it(upstream, tmp_path):
    async with serve(tmp_path, upstream.url, env={"TMPDIR": str(tmp_path)}) as product:
        (runtime,) = tmp_path.glob("llm-proxy-*")
        mode = stat.S_IMODE(runtime.stat().st_mode)
        transport = httpx.AsyncHTTPTransport(uds=str(runtime / "store.sock"))
        async with httpx.AsyncClient(transport=transport) as client:
            page = await client.get("http://localhost/")
        product.process.kill()
        await product.gone()

    assert page.status_code == 200
    assert mode == 0o700
    assert not runtime.exists()
