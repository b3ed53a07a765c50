"""Calls that are sent to the proxy's own port."""

import asyncio

import pytest

from llm_proxy.ui.sending import NotSent, Sender
from ports import free_port
from upstreams import Upstream, chunk

HEAD = b"HTTP/1.1 201 Created\r\nX-LLM-Proxy-Id: 7\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_it_comes_back_when_the_answer_begins_and_reads_on_to_its_end():
    proxy, go_on = Upstream(), asyncio.Event()
    await proxy.start()
    # More than lies between the two if nobody reads.
    proxy.script(HEAD, chunk(b"a"), go_on, *[chunk(b"b" * 2**20)] * 16, chunk(b""))
    sender = Sender(proxy.url.removesuffix("/v1"))

    sent = await sender.send("/v1/x", {"x-api-key": "k"}, b"{}")
    begun = (sent.id, sent.status)
    go_on.set()
    async with asyncio.timeout(30):
        await asyncio.gather(*sender.running())

    assert begun == ("7", 201)
    assert proxy.received[0].header("x-api-key") == b"k"
    assert proxy.received[0].body == b"{}"
    await proxy.stop()


async def test_where_nobody_listens_nothing_is_sent():
    with pytest.raises(NotSent, match="the proxy did not answer"):
        await Sender(f"http://127.0.0.1:{free_port()}").send("/v1/x", {}, b"")
