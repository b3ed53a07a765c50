"""The one public port: health, the account, pages of the store, and calls."""

import asyncio
import contextlib
import re

import pytest

from conftest import CHAT, PATIENCE_S
from journal.disks import files_no_longer_than
from llm_proxy.journal.writer import JournalLimits
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.credentials import Fingerprints
from llm_proxy.proxy.front import StorePages
from llm_proxy.proxy.headers import HeaderPolicy, HeaderRules
from llm_proxy.proxy.transport.base import Origin
from upstreams import CLOSE, LAST_CHUNK, SSE_HEAD, WAIT_FOR_CLIENT_GONE, Upstream, chunk, response

GET = b"GET /pages HTTP/1.1\r\nHost: h:8080\r\nConnection: close\r\n\r\n"


@pytest.fixture
def pages(upstream, make_transport, transport_name):
    """The pages of a store which is ``upstream``."""
    transport = make_transport(transport_name)
    origin = Origin("http", upstream.host, upstream.port)
    return StorePages(transport=transport, origin=origin, policy=HeaderPolicy(HeaderRules(), Fingerprints(b"secret")))


@pytest.fixture
async def with_pages(start_proxy, upstream, pages):
    """A proxy of which the store is ``upstream``."""
    return await start_proxy(upstream.url, pages=pages)


async def test_health_is_about_taking_calls_and_readiness_about_recording_them(start_proxy, upstream):
    proxy = await start_proxy(upstream.url)

    with files_no_longer_than(0):
        healthy = await proxy.client.get("/healthz")
        ready = await proxy.client.get("/readyz")
    ready_again = await proxy.client.get("/readyz")

    assert (healthy.status_code, healthy.text) == (200, "ok\n")
    assert ready.status_code == 503
    assert ready.text.startswith("calls are not recorded: ")
    assert (ready_again.status_code, ready_again.text) == (200, "ok\n")


async def test_a_full_journal_is_not_ready(start_proxy, upstream):
    proxy = await start_proxy(upstream.url, journal=JournalLimits(fsync="never", max_bytes=0))

    ready = await proxy.client.get("/readyz")

    assert ready.status_code == 503
    assert "cap" in ready.text


async def test_metrics_show_the_account(proxy):
    await proxy.client.post("/v1/chat/completions", json=CHAT)

    answer = await proxy.client.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert re.search(r"^llm_proxy_accepted_total 1$", answer.text, re.MULTILINE)
    assert re.search(r'^llm_proxy_ended_total\{ending="complete"\} 1$', answer.text, re.MULTILINE)


async def test_nothing_but_calls_is_recorded(with_pages):
    for path in ["/healthz", "/readyz", "/metrics", "/", "/anything", "/v2/models", "/v1"]:
        await with_pages.client.get(path)

    assert with_pages.recorded() == []
    assert with_pages.ledger.get("accepted") == 0


@pytest.mark.parametrize(
    "path", ["/v1/logs/batch", "/v1/logging", "/v1/log-repositories", "/v1/log-repositories/logs/search?a=%20"]
)
async def test_what_the_store_has_below_v1_goes_there(upstream, with_pages, path):
    await with_pages.client.post(path, content=b"{}")

    assert upstream.received[0].request_line == f"POST {path} HTTP/1.1".encode()
    assert upstream.received[0].body == b"{}"
    assert with_pages.recorded() == []


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/logs/batch/x", "/v1/logging/x", "/v1/log-repository", "/v1/batches"])
async def test_what_only_looks_like_it_is_a_call(with_pages, path):
    await with_pages.client.post(path, content=b"{}")

    assert [exchange.target for exchange in with_pages.recorded()] == [path]


@pytest.mark.parametrize(
    "path", ["/", "/anthropic", "/openai", "/v1beta", "/model", "/api/v1/x", "/static/x", "/Groq/v1/x", "/x/v1/y"]
)
async def test_what_begins_with_no_name_of_an_upstream_is_a_page(upstream, with_pages, path):
    await with_pages.client.get(path)

    assert upstream.received[0].request_line == f"GET {path} HTTP/1.1".encode()
    assert with_pages.recorded() == []


async def test_a_context_with_no_path_behind_it_is_refused_and_on_record(proxy):
    answer = await proxy.client.get("/~tags=a")

    assert answer.status_code == 404
    [exchange] = await proxy.ended()
    assert (exchange.ending, exchange.path_context) == (Ending.REFUSED, "tags=a")


@pytest.mark.parametrize("path", ["/v1/models", "/~tags=a/v1/models", "/%7Etags=a/v1/models", "/~tags=a%2Fb/v1/models"])
async def test_calls_are_found_below_v1_with_or_without_a_context(upstream, proxy, path):
    answer = await proxy.raw(f"GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert upstream.received[0].request_line == b"GET /v1/models HTTP/1.1"
    [exchange] = await proxy.ended()
    assert exchange.path_context == (path.split("/")[1].replace("%7E", "~")[1:] if "tags" in path else None)


async def test_a_page_is_relayed_byte_for_byte_both_ways(upstream, with_pages):
    upstream.script(response(b"<html>", headers=[("Set-Cookie", "a=b"), ("ETag", '"x"')]))

    answer = await with_pages.raw(b"POST /p%20q?a=%41 HTTP/1.1\r\nHost: h:8080\r\nCookie: c\r\nContent-Length: 2\r\n"
                                  b"X-LLM-Tags: t\r\nConnection: close\r\n\r\nhi")  # fmt: skip

    request = upstream.received[0]
    assert request.request_line == b"POST /p%20q?a=%41 HTTP/1.1"
    assert request.headers == [
        (b"Host", b"h:8080"),
        (b"Cookie", b"c"),
        (b"Content-Length", b"2"),
        (b"X-LLM-Tags", b"t"),
    ]
    assert request.body == b"hi"
    assert answer == (
        b'HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nETag: "x"\r\nContent-Length: 6\r\nconnection: close\r\n\r\n<html>'
    )


async def test_an_upload_to_a_page_is_passed_on_in_pieces(upstream, with_pages):
    async def pieces():
        for number in range(20):
            yield bytes([number]) * 10_000

    answer = await with_pages.client.post("/import", content=pieces())

    assert answer.status_code == 200
    assert upstream.received[0].body == b"".join([part async for part in pieces()])


async def test_a_store_that_is_down_costs_only_its_pages(upstream, with_pages):
    await upstream.stop()

    page = await with_pages.client.get("/")
    health = await with_pages.client.get("/healthz")

    assert page.status_code == 503
    assert page.json()["error"]["code"] == "store_unavailable"
    assert health.status_code == 200


async def test_a_page_that_breaks_off_is_broken_off(upstream, with_pages):
    upstream.script(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b"half"), CLOSE)

    answer = await with_pages.raw(GET)

    assert chunk(b"half") in answer
    assert not answer.endswith(LAST_CHUNK)


async def test_a_reader_of_a_page_who_leaves_takes_the_request_with_him(upstream, with_pages):
    upstream.script(WAIT_FOR_CLIENT_GONE)
    _, writer = await with_pages.connect()
    writer.write(GET)
    await upstream.wait_for_requests(1)

    writer.close()

    await asyncio.wait_for(upstream.received[0].client_gone.wait(), PATIENCE_S)


async def test_at_shutdown_a_page_that_does_not_end_is_let_go_and_one_that_does_is_not(upstream, pages, start_proxy):
    proxy = await start_proxy(upstream.url, pages=pages)
    last = asyncio.Event()
    upstream.script(SSE_HEAD, chunk(b": here\n\n"), WAIT_FOR_CLIENT_GONE)
    endless, to_endless = await proxy.connect()
    to_endless.write(GET)
    await endless.readuntil(b": here\n\n")
    upstream.script(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab", last, b"cd")
    ending, to_ending = await proxy.connect()
    to_ending.write(GET)
    await ending.readuntil(b"ab")

    pages.let_go()

    async with asyncio.timeout(PATIENCE_S):
        with contextlib.suppress(ConnectionResetError):
            assert LAST_CHUNK not in await endless.read()
        last.set()
        assert await ending.read() == b"cd"
    to_endless.close()
    to_ending.close()


async def test_the_store_may_be_behind_a_unix_socket(start_proxy, make_transport, transport_name, tmp_path):
    store = Upstream()
    await store.start(socket_path=str(tmp_path / "store.sock"))
    origin = Origin("http", "store", 80, str(tmp_path / "store.sock"))
    policy = HeaderPolicy(HeaderRules(), Fingerprints(b"secret"))
    pages = StorePages(transport=make_transport(transport_name), origin=origin, policy=policy)
    proxy = await start_proxy("http://127.0.0.1:1/v1", pages=pages)

    answers = [await proxy.client.get("/logs") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert store.received[0].request_line == b"GET /logs HTTP/1.1"
    assert store.connections == 1
    await store.stop()
