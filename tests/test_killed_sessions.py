"""Promise 2 for sessions over WebSockets: the proxy is killed, then told to stop, in the middle of one each.

What either side has seen is written down here, beside the product, and compared with what is on record at the end.
"""

import asyncio
import json

import websockets
from websockets.asyncio.client import connect

from llm_proxy.decode.socket_events import session_events
from llm_proxy.model.completion import Status
from llm_proxy.model.exchange import Ending, Endpoint
from running import serve
from sockets import talking


class Upstream:
    """Answers each message, and remembers what it has heard of each session and how that ended."""

    def __init__(self):
        self.heard = {}
        self.closes = asyncio.Queue()

    async def talk(self, connection):
        heard = self.heard.setdefault(connection.request.path, [])
        try:
            async for message in connection:
                heard.append(message)
                await connection.send(json.dumps({"type": "answer", "to": len(heard)}))
        finally:
            await self.closes.put(connection.protocol.close_rcvd)


async def talked(session, messages):
    """Say so many things, and what came back until all was answered."""
    seen = []
    for number in range(messages):
        await session.send(json.dumps({"type": "question", "number": number, "text": "x" * 3000}))
        seen.append(await session.recv())
    return seen


async def closed(session):
    """The Close that the client gets; None if there was none."""
    try:
        while True:
            await session.recv()
    except websockets.ConnectionClosed as exc:
        return exc.rcvd


def said(record, *, by_client):
    """The texts of one side, as they are on record."""
    events = session_events(record.bodies)
    return [event.message.payload.decode() for event in events if event.by_client == by_client]


async def test_of_a_session_that_is_killed_or_told_to_stop_all_that_either_side_saw_is_on_record(tmp_path):
    upstream = Upstream()
    async with (
        talking(upstream.talk) as url,
        serve(tmp_path, url, env={"LLM_PROXY_TIMEOUTS__DRAIN_S": "0.1"}) as product,
    ):
        base = product.base_url.replace("http", "ws", 1)

        async with connect(f"{base}/realtime?model=killed", proxy=None) as session:
            seen_first = await talked(session, 20)
            await product.kill("proxy")
            killed = await closed(session)
        await asyncio.wait_for(upstream.closes.get(), 40)
        await product.child("proxy")
        await product.ended(1)
        async with connect(f"{base}/realtime?model=stopped", proxy=None) as session:
            seen_second = await talked(session, 20)
            stopping = asyncio.create_task(product.stop())
            stopped = await closed(session)
            await stopping
        at_upstream = await asyncio.wait_for(upstream.closes.get(), 40)
        first, second = await product.completions()

    assert killed is None
    assert (stopped.code, at_upstream.code) == (1001, 1001)
    assert {record.endpoint for record in (first, second)} == {Endpoint.REALTIME}
    assert {(record.ending, record.status) for record in (first, second)} == {(Ending.ABORTED, Status.FAILED)}
    assert second.failure_reason.endswith("both sides were told 1001")
    for record, seen, model in ((first, seen_first, "killed"), (second, seen_second, "stopped")):
        assert record.model == model
        assert said(record, by_client=False)[: len(seen)] == seen
        assert said(record, by_client=True)[:20] == upstream.heard[f"/v1/realtime?model={model}"]
