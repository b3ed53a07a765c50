"""The promises of the relay on every native route: bytes of any kind, in both directions, and the table of headers."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attribution.test_vocabulary import is_for_the_gateway, sent_name, sent_value, understood
from decode.frames import event
from llm_proxy.attribution.vocabulary import HEADERS, Tells
from llm_proxy.understand import understand
from llm_proxy.wiring.proxy import header_rules
from upstreams import LAST_CHUNK, chunk

SSE, AWS, JSON = "text/event-stream", "application/vnd.amazon.eventstream", "application/json"
#: The routes, and as what each streams.
ROUTES = {
    "/anthropic/v1/messages": SSE,
    "/v1beta/models/g:streamGenerateContent?alt=sse": SSE,
    "/v1beta/models/g:streamGenerateContent": JSON,
    "/openai/deployments/d/chat/completions?api-version=1": SSE,
    "/model/m/converse-stream": AWS,
    "/model/m/invoke-with-response-stream": AWS,
    "/groq/openai/v1/chat/completions": SSE,
    "/together/v1/responses": SSE,
    "/huggingface/v1/completions": SSE,
}
PROVIDERS = ("anthropic", "google", "azure", "bedrock", "groq", "together", "huggingface")
FRAMES = st.builds(
    event, st.sampled_from(["messageStart", "contentBlockDelta", "chunk", "metadata"]), st.binary(max_size=99)
)
EVENTS = st.builds(lambda data: b"event: e\r\ndata: " + data + b"\n\n", st.binary(max_size=99))
#: What a stream is made of: whole events, parts of them, and anything.
PIECES = st.one_of(
    FRAMES, EVENTS, FRAMES.map(lambda frame: frame[: len(frame) // 2]), st.binary(min_size=1, max_size=300)
)


@pytest.fixture
async def everybody(start_proxy, upstream, transport_name):
    """A proxy before an upstream that is all providers; the default is somewhere else."""
    return await start_proxy(
        "http://127.0.0.1:1/v1",
        transport=transport_name,
        named=dict.fromkeys(PROVIDERS, upstream.url),
        providers={name: name for name in PROVIDERS},
        rules=header_rules(),
    )


@given(route=st.sampled_from(sorted(ROUTES)), asked=st.lists(PIECES, max_size=4), said=st.lists(PIECES, max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_streams_of_any_bytes_go_through_both_ways_and_are_on_record(upstream, everybody, route, asked, said):
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {ROUTES[route]}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    upstream.script(head, *map(chunk, said), LAST_CHUNK)

    async def pieces():
        for piece in asked:
            yield piece

    got = await everybody.client.post(route, content=pieces())

    assert got.content == b"".join(said)
    assert upstream.received[-1].body == b"".join(asked)
    exchange = (await everybody.ended(len(upstream.received)))[-1]
    assert (exchange.request_body or b"", exchange.response_body or b"") == (b"".join(asked), b"".join(said))
    record = understand(exchange)
    assert "decoder failed" not in (record.decode_problem or "")


async def test_the_table_of_headers_holds_on_every_native_route(upstream, everybody):
    # Who chooses an upstream or an address goes elsewhere; who wants no record has none.
    elsewhere = (Tells.UPSTREAM, Tells.TARGET, Tells.OMIT_CALL)
    rows = [(header, route) for header in HEADERS if header.tells not in elsewhere for route in list(ROUTES)[::2]]

    for header, route in rows:
        lines = {sent_name(header): sent_value(header)}
        await everybody.client.post(route, content=b"{}", headers={"User-Agent": "", **lines})

    exchanges = await everybody.ended(len(rows))
    for (header, route), exchange, received in zip(rows, exchanges, upstream.received, strict=True):
        name, value = sent_name(header), sent_value(header)
        assert understood(header, understand(exchange).context), (name, route)
        assert {key.lower(): kept for key, kept in exchange.request_headers}[name.lower()] == value, (name, route)
        assert received.header(name) == (None if is_for_the_gateway(name) else value.encode()), (name, route)
