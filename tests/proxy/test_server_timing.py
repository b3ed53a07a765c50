"""What an answer says of its own time."""

import re
from pathlib import Path

import pytest

from conftest import CHAT
from llm_proxy.journal.format import Timing
from llm_proxy.proxy.server_timing import server_timing
from upstreams import CLOSE, chat_answer, json_response

ASKING = {"X-LLM-Server-Timing": "1"}
ALL = Timing(sent_us=900, overhead_us=40, queued_us=300, dns_us=250, tcp_us=200, tls_us=110)


def names_in(value):
    return [metric.partition(";")[0] for metric in value.split(", ")]


def test_each_step_is_told_in_milliseconds_and_in_its_order():
    assert server_timing(ALL, now_us=2400) == [
        (
            b"Server-Timing",
            b"queue;dur=0.300, dns;dur=0.250, connect;dur=0.200, tls;dur=0.110, wait;dur=1.500, overhead;dur=0.040",
        )
    ]


@pytest.mark.parametrize(
    ("timing", "expected"),
    [
        (None, []),
        (Timing(), []),
        (Timing(dns_us=5_000_000), [(b"Server-Timing", b"dns;dur=5000.000")]),
        (Timing(sent_us=0, overhead_us=0), [(b"Server-Timing", b"wait;dur=1.000, overhead;dur=0.000")]),
    ],
)
def test_what_is_not_known_is_left_out(timing, expected):
    assert server_timing(timing, now_us=1000) == expected


def test_every_metric_is_in_the_document():
    text = (Path(__file__).parents[2] / "docs" / "headers.md").read_text(encoding="utf-8")
    table = text.partition("| Metric | What it is |")[2].partition("\n\n")[0]

    [(_, value)] = server_timing(ALL, now_us=2400)

    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == names_in(value.decode())


async def test_only_who_asks_is_told_and_the_upstreams_own_word_stands_beside_it(upstream, start_proxy):
    proxy = await start_proxy(f"http://localhost:{upstream.port}/v1", transport="http1")
    upstream.script(json_response(chat_answer(), headers=[("Server-Timing", "db;dur=53")]))
    upstream.script(json_response(chat_answer(), headers=[("Server-Timing", "db;dur=53")]))

    unasked = await proxy.client.post("/v1/chat/completions", json=CHAT)
    asked = await proxy.client.post("/v1/chat/completions", json=CHAT, headers=ASKING)
    fresh = await proxy.client.post("/v1/chat/completions", json=CHAT, headers=ASKING)

    assert unasked.headers.get_list("server-timing") == ["db;dur=53"]
    theirs, ours = asked.headers.get_list("server-timing")
    assert theirs == "db;dur=53"
    assert names_in(ours) == ["wait", "overhead"]
    assert len(fresh.headers.get_list("server-timing")) == 1
    assert [request.header("x-llm-server-timing") for request in upstream.received] == [None, None, None]


async def test_what_failed_is_told_in_the_answer_of_the_proxy_and_on_record(upstream, start_proxy):
    proxy = await start_proxy(f"http://localhost:{upstream.port}/v1", transport="http1")
    upstream.script(CLOSE)

    broken = await proxy.client.post("/v1/chat/completions", json=CHAT, headers=ASKING)
    refused = await proxy.client.get("/v1/models", headers={**ASKING, "X-LLM-Provider": "nobody"})

    assert names_in(broken.headers["server-timing"]) == ["dns", "connect", "wait", "overhead"]
    assert "server-timing" not in refused.headers
    one, other = await proxy.ended(2)
    assert one.connect_s == pytest.approx(one.dns_s + one.tcp_s)
    assert one.connect_s + one.overhead_s <= one.sent_s <= one.ended_s
    assert (one.tls_s, one.queued_s) == (None, None)
    assert (other.sent_s, other.overhead_s, other.connect_s) == (None, None, None)
