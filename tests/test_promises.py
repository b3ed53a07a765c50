"""The eight promises of the README, each held to the running product: real processes, real sockets, real files."""

import asyncio
import contextlib
import gzip
import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from llm_proxy.metrics import read_all
from running import CHAT, serve, until
from upstreams import (
    CLOSE,
    LAST_CHUNK,
    SSE_HEAD,
    WAIT_FOR_CLIENT_GONE,
    chat_answer,
    chat_chunk,
    chunk,
    json_response,
    response,
    streamed_chat,
)

STREAM = {**CHAT, "stream": True}
MIB = 2**20
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


# 1. Bytes in are bytes out.


async def test_1_bytes_in_are_bytes_out(upstream, tmp_path):
    random_bytes = random.Random(1).randbytes
    bodies = [b"", b"\0", random_bytes(1), random_bytes(70_000), gzip.compress(b"x" * 10_000), b'{"model": NaN}\r\n']

    async with serve(tmp_path, upstream.url) as product:
        for body in bodies:
            upstream.script(response(body[::-1], headers=[("X-Twice", "a"), ("x-twice", "b"), ("Odd", "\xff")]))
            request = product.client.build_request(
                "PUT", f"{product.base_url}/any%2Fpath/%7e?a=%20+&&b", content=body, headers=[("X-Odd-Case", "1")]
            )
            answer = await product.client.send(request, stream=True)

            assert b"".join([piece async for piece in answer.aiter_raw()]) == body[::-1]
            assert answer.headers.raw[:3] == [(b"X-Twice", b"a"), (b"x-twice", b"b"), (b"Odd", b"\xc3\xbf")]
            assert upstream.received[-1].request_line == b"PUT /v1/any%2Fpath/%7e?a=%20+&&b HTTP/1.1"
            assert upstream.received[-1].body == body
            assert upstream.received[-1].header("X-Odd-Case") == b"1"


@linux
async def test_1_bodies_of_50_mb_pass_in_both_directions_with_flat_memory(upstream, tmp_path):
    piece = random.Random(2).randbytes(MIB)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % (50 * MIB)

    async def upload():
        for _ in range(50):
            yield piece

    async with serve(tmp_path, upstream.url) as product:
        await product.chat()
        proxy = await product.child("proxy")
        before = peak_bytes(proxy)
        upstream.script(json_response({"id": "file-1"}))
        await product.client.post(f"{product.base_url}/files", content=upload())
        upstream.script(head, *[piece] * 50)
        down = 0
        async with product.client.stream("GET", f"{product.base_url}/files/file-1/content") as answer:
            async for got in answer.aiter_raw():
                down += len(got)
        upstream.script(json_response(chat_answer()))
        await product.client.post(f"{product.base_url}/chat/completions", content=b" " * (50 * MIB) + b"{}")
        grown = peak_bytes(proxy) - before
        records = await product.ended(4)

    assert upstream.received[1].body == piece * 50
    assert down == 50 * MIB
    assert len(upstream.received[3].body) == 50 * MIB + 2
    assert grown < 32 * MIB
    assert [record["request_bytes"] for record in records[1:]] == [50 * MIB, 0, 50 * MIB + 2]
    assert records[2]["response_bytes"] == 50 * MIB


def peak_bytes(process):
    """The most memory that the process has ever had resident."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def test_1_what_arrives_is_passed_on_at_once_and_no_page_holds_it_up(upstream, tmp_path):
    go_on = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(chat_chunk("one")), go_on, chunk(chat_chunk("two")), LAST_CHUNK)

    async with serve(tmp_path, upstream.url) as product:
        store = await product.child("store")
        store.suspend()  # as busy as a process can be
        page = asyncio.create_task(product.client.get(f"{product.url}/"))
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as answer:
            pieces = answer.aiter_raw()
            first = await anext(pieces)
            go_on.set()
            rest = b"".join([piece async for piece in pieces])
        still_busy = not page.done()
        store.resume()
        status = (await page).status_code

    assert b"one" in first
    assert b"two" not in first
    assert b"two" in rest
    assert still_busy
    assert status == 200


# 2. If the client saw a byte, the log has it.


async def test_2_what_the_client_saw_is_on_record_whoever_is_killed(upstream, tmp_path):
    upstream.script(SSE_HEAD, chunk(chat_chunk("seen")), asyncio.Event())

    async with serve(tmp_path, upstream.url) as product:
        async with product.client.stream("POST", f"{product.base_url}/chat/completions", json=STREAM) as answer:
            pieces = answer.aiter_raw()
            seen = await anext(pieces)
            for process in product.processes():
                process.kill()
            with pytest.raises(httpx.TransportError):
                assert [piece async for piece in pieces] == []
        await product.gone()

    async with serve(tmp_path, upstream.url) as product:
        await product.ended(1)
        (completion,) = await product.completions()

    assert completion.id == answer.headers["x-llm-proxy-id"]
    assert (completion.ending, completion.bodies.response_body) == ("aborted", seen)


# 3. One call, one record, one ending.


async def test_3_each_call_has_one_record_and_one_ending(upstream, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed_port = nobody.getsockname()[1]
    config = tmp_path / "llm-proxy.toml"
    config.write_text(f'[upstreams.closed]\nbase_url = "http://127.0.0.1:{closed_port}/v1"\n')
    partial = [SSE_HEAD, chunk(chat_chunk("partial"))]
    env = {"LLM_PROXY_TIMEOUTS__IDLE_S": "1"}
    expected = {}

    async with serve(tmp_path, upstream.url, "--config", str(config), env=env) as product:

        async def call(ending, *script, **options):
            if script:
                upstream.script(*script)
            with contextlib.suppress(httpx.TransportError):
                async with product.client.stream(
                    "POST", f"{product.base_url}/chat/completions", json=STREAM, **options
                ) as answer:
                    expected[answer.headers["x-llm-proxy-id"]] = ending
                    async for _ in answer.aiter_raw():
                        if ending == "client_disconnected":
                            break
                        if ending == "aborted":
                            await product.kill("proxy")

        await call("complete", *streamed_chat("whole"))
        await call("upstream_error", json_response({"error": {"message": "no"}}, status="400 Bad Request"))
        await call("upstream_unreachable", headers={"x-llm-provider": "closed"})
        await call("upstream_timeout", asyncio.Event())
        await call("upstream_broke_off", *partial, CLOSE)
        await call("client_disconnected", *partial, WAIT_FOR_CLIENT_GONE)
        await call("refused", headers={"x-llm-provider": "no-such-upstream"})
        await call("aborted", *partial, asyncio.Event())
        records = await product.ended(len(expected))

    assert {record["id"]: record["ending"] for record in records} == expected
    assert len(set(expected.values())) == len(records) == 8
    for record in records:
        assert record["status"] == ("finished" if record["ending"] == "complete" else "failed")
        if record["ending"] in ("upstream_broke_off", "client_disconnected", "aborted"):
            assert record["response"]["choices"][0]["message"]["content"] == "partial"


# 4. Exactly one row.


async def test_4_a_call_that_is_delivered_again_has_one_row(upstream, tmp_path):
    go_on = asyncio.Event()

    async with serve(tmp_path, upstream.url) as product:
        answers = [await product.chat() for _ in range(5)]
        upstream.script(go_on, *upstream.default)
        running = asyncio.create_task(product.chat())  # keeps the journal's file from being deleted
        await product.ended(5)
        await until(lambda: list(product.data_dir.glob("journal/*/*.done")), "a note of what is stored")
        await product.kill("store")
        for noted in product.data_dir.glob("journal/*/*.done"):
            noted.unlink(missing_ok=True)
        await product.child("store")
        go_on.set()
        answers.append(await running)
        records = await product.ended(6)
        await until(lambda: read_all(product.data_dir / "counters")["stored"] >= 11, "another delivery of the five")

    assert [record["id"] for record in records] == [answer.headers["x-llm-proxy-id"] for answer in answers]
    assert {record["status"] for record in records} == {"finished"}


# 5. Unknown is null, never 0.


async def test_5_what_is_not_known_is_null(upstream, tmp_path):
    upstream.script(response(b"no JSON at all"))
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        closed = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"

    async with serve(tmp_path, upstream.url, env={"LLM_PROXY_UPSTREAMS__CLOSED__BASE_URL": closed}) as product:
        await product.client.post(f"{product.base_url}/chat/completions", content=b"no JSON either")
        await product.chat(headers={"x-llm-provider": "closed"})
        garbled, unreachable = await product.ended(2)
        started = asyncio.Event()
        upstream.script(started)
        running = asyncio.create_task(product.chat())
        (in_flight,) = await product.started(1)
        running.cancel()
        started.set()

    nowhere = {"usage": None, "session_id": None, "user_id": None, "trace_id": None, "session_name": None}
    assert nowhere.items() <= garbled.items()
    assert (garbled["model"], garbled["response_model"], garbled["stream"]) == (None, None, None)
    assert garbled["ttft_s"] is None
    assert nowhere.items() <= unreachable.items()
    assert (unreachable["ttft_s"], unreachable["longest_gap_s"]) == (None, None)
    unknown = ("ending", "http_status", "duration", "ttfb_s", "ttft_s", "usage", "response_bytes", "response")
    assert {name: in_flight[name] for name in unknown} == dict.fromkeys(unknown)


# 6. Secrets are never at rest.


async def test_6_no_key_is_at_rest_or_in_the_log(upstream, tmp_path):
    keys = {name: f"sk-{name}-0123456789abcdef" for name in ("bearer", "x", "azure", "google", "query", "own", "basic")}
    calls = [
        {"headers": {"authorization": f"Bearer {keys['bearer']}"}},
        {"headers": {"x-api-key": keys["x"]}},
        {"headers": {"api-key": keys["azure"], "cookie": f"session={keys['azure']}"}},
        {"headers": {"x-goog-api-key": keys["google"], "helicone-auth": f"Bearer {keys['google']}"}},
        {"headers": {"proxy-authorization": f"Basic {keys['basic']}", "x-portkey-api-key": keys["basic"]}},
        {"params": {"key": keys["query"], "api_key": keys["query"], "alt": "sse"}},
    ]
    env = {"OPERATORS_KEY": keys["own"], "LLM_PROXY_LOG__LEVEL": "debug"}
    config = tmp_path / "llm-proxy.toml"
    config.write_text(f'[upstreams.own]\nbase_url = "{upstream.url}"\nkey_env = "OPERATORS_KEY"\n')

    async with serve(tmp_path, upstream.url, "--config", str(config), env=env) as product:
        for call in calls:
            await product.chat(**call)
        await product.chat(headers={"x-llm-provider": "own"})
        await product.chat(headers={"x-llm-provider": "nobody", "x-api-key": keys["x"]})
        upstream.script(CLOSE)
        await product.chat(headers={"authorization": f"Bearer {keys['bearer']}"})
        hung = asyncio.Event()
        upstream.script(hung)
        running = asyncio.create_task(product.chat(**calls[0]))
        await upstream.wait_for_requests(9)
        await product.ended(9)
        at_rest = {path: path.read_bytes() for path in product.data_dir.rglob("*") if path.is_file()}
        hung.set()
        running.cancel()
        shown = json.dumps(await product.records())
        page = (await product.client.get(f"{product.url}/")).text
    said = product.printed() + product.log.read_text()

    assert upstream.received[0].header("authorization") == f"Bearer {keys['bearer']}".encode()
    assert upstream.received[6].header("authorization") == f"Bearer {keys['own']}".encode()
    assert len([path for path in at_rest if path.suffix == ".seg" or "journal" in path.parts]) >= 1
    for key in keys.values():
        part = key[:-4]  # the last four characters are what a fingerprint may show
        assert [path.name for path, content in at_rest.items() if part.encode() in content] == []
        assert part not in shown + page + said
    assert "…" in shown or "cdef" in shown


# 7. The account balances.


async def test_7_the_account_balances_after_mixed_load(upstream, tmp_path):
    def answer(request):
        name = json.loads(request.body)["messages"][0]["content"]
        return {
            "plain": [json_response(chat_answer())],
            "streamed": streamed_chat("a", "b"),
            "failing": [json_response({}, status="500 Internal Server Error")],
            "broken off": [SSE_HEAD, chunk(chat_chunk("a")), CLOSE],
            "off": [json_response(chat_answer())],
        }[name]

    async def call(name):
        body = {"model": "m", "messages": [{"role": "user", "content": name}]}
        with contextlib.suppress(httpx.TransportError):
            await product.chat(body, headers={"x-llm-log": "off"} if name == "off" else {})

    upstream.choose = answer
    names = ["plain", "streamed", "failing", "broken off", "off"] * 8
    async with serve(tmp_path, upstream.url, "--workers", "2") as product:
        await asyncio.gather(*(call(name) for name in names))
        await product.ended(32)
        numbers = await product.numbers(stored_total=32)

    assert (numbers["accepted_total"], numbers["stored_total"]) == (32, 32)
    assert (numbers["waiting"], numbers["in_flight"], numbers["dead_total"]) == (0, 0, 0)
    endings = {name: value for name, value in numbers.items() if name.startswith("ended_total") and value}
    assert endings == {
        'ended_total{ending="complete"}': 24,  # with those of which only the count is kept
        'ended_total{ending="upstream_error"}': 8,
        'ended_total{ending="upstream_broke_off"}': 8,
    }
    assert numbers['dropped_total{reason="log_off"}'] == 8
    assert len(upstream.received) == numbers["accepted_total"] + 8


# 8. Fail open, loudly.


async def test_8_a_full_journal_stops_no_call_and_is_said_at_readyz(upstream, tmp_path):
    env = {"LLM_PROXY_JOURNAL__SEGMENT_BYTES": "65536", "LLM_PROXY_JOURNAL__MAX_BYTES": "200000"}
    big = {**CHAT, "messages": [{"role": "user", "content": "x" * 100_000}]}

    async with serve(tmp_path, upstream.url, env=env) as product:
        store = await product.child("store")
        store.suspend()
        statuses = {(await product.chat(big)).status_code for _ in range(6)}
        ready = await product.client.get(f"{product.url}/readyz")
        health = await product.client.get(f"{product.url}/healthz")
        numbers = await product.numbers()
        store.resume()
        recorded = await product.ended(int(numbers["accepted_total"]))
        await ready_again(product)
        await product.chat()
        await product.ended(len(recorded) + 1)

    assert statuses == {200}
    assert (ready.status_code, health.status_code) == (503, 200)
    assert "calls are not recorded" in ready.text
    assert numbers['dropped_total{reason="journal_full"}'] > 0
    assert numbers["accepted_total"] + numbers['dropped_total{reason="journal_full"}'] == 6


async def ready_again(product):
    while (await product.client.get(f"{product.url}/readyz")).status_code != 200:  # noqa: ASYNC110
        await asyncio.sleep(0.05)  # another process sets no event of ours


async def test_8_who_must_not_have_an_unrecorded_call_has_it_refused(upstream, tmp_path):
    env = {
        "LLM_PROXY_JOURNAL__SEGMENT_BYTES": "65536",
        "LLM_PROXY_JOURNAL__MAX_BYTES": "100000",
        "LLM_PROXY_JOURNAL__WHEN_FULL": "refuse",
    }
    big = {**CHAT, "messages": [{"role": "user", "content": "x" * 200_000}]}

    async with serve(tmp_path, upstream.url, env=env) as product:
        (await product.child("store")).suspend()
        answers = [await product.chat(big) for _ in range(2)]
        (await product.child("store")).resume()

    assert [answer.status_code for answer in answers] == [200, 503]
    assert answers[1].json()["error"]["code"] == "unrecorded"
    assert len(upstream.received) == 1


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MiB at the place of the data directory."""
    data = tmp_path / "data"
    data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "none", str(data)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can only be mounted by root; the full journal is tested without")
    yield data
    subprocess.run(["umount", "--lazy", str(data)], check=True)


async def test_8_a_full_disk_stops_no_call_and_is_said_at_readyz(upstream, tmp_path, small_disk):
    filler = small_disk / "filler"
    # Longer than what is left of the last page of a file, which is there even on a full disk.
    long = {**CHAT, "messages": [{"role": "user", "content": "x" * 10_000}]}

    async with serve(tmp_path, upstream.url) as product:
        first = await product.chat()
        await product.ended(1)
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        during = [await product.chat(long) for _ in range(3)]
        ready = await product.client.get(f"{product.url}/readyz")
        await product.kill("proxy")  # and one that is started on a full disk goes on like that
        during.append(await product.chat(long))
        filler.unlink()
        await ready_again(product)
        last = await product.chat()
        records = await product.ended(2)
        numbers = await product.numbers()

    assert [answer.status_code for answer in [first, *during, last]] == [200] * 6
    assert ready.status_code == 503
    assert "No space left on device" in ready.text
    recorded = {record["id"] for record in records}
    assert {first.headers["x-llm-proxy-id"], last.headers["x-llm-proxy-id"]} <= recorded
    assert numbers['dropped_total{reason="journal_unwritable"}'] >= 1
    assert not [line for line in product.logged() if "crash loop" in line["event"]]
