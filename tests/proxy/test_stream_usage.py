import json
from itertools import pairwise

import httpx
import pytest

from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.stream_usage import UsageFilter, asking_for_usage, is_readable
from upstreams import CLOSE, LAST_CHUNK, SSE_HEAD, chunk, json_response

TEXT = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}],"usage":null}'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"total_tokens":3}}'
USAGE = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}'
DONE = b"data: [DONE]"
COMMENT = b": keep-alive"


def stream(*events, end=b"\n"):
    return b"".join(event + end + end for event in events)


def through(text, *cuts):
    usage_filter = UsageFilter()
    places = [0, *cuts, len(text)]
    pieces = [usage_filter.feed(text[a:b]) for a, b in pairwise(places)]
    return b"".join(pieces) + usage_filter.finish()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"stream":true}', b'{"stream":true,"stream_options":{"include_usage":true}}'),
        (b'{ "stream" : true }\n', b'{ "stream" : true ,"stream_options":{"include_usage":true}}\n'),
        (
            b'{"stream_options": null, "stream": true}',
            b'{"stream_options": {"include_usage":true}, "stream": true}',
        ),
        (
            b'{"stream_options": {"include_obfuscation": false}, "stream": true}',
            b'{"stream_options": {"include_obfuscation": false,"include_usage":true}, "stream": true}',
        ),
        (b'{"stream_options":{ },"stream":true}', b'{"stream_options":{ "include_usage":true},"stream":true}'),
    ],
)
def test_the_question_is_added_and_nothing_else_is_changed(body, expected):
    assert asking_for_usage(body) == expected
    assert json.loads(expected)["stream_options"]["include_usage"] is True


@pytest.mark.parametrize(
    "body",
    [
        b'{"stream":true,"stream_options":{"include_usage":false}}',
        b'{"stream":true,"stream_options":{"include_usage":true}}',
        b'{"stream":true,"stream_options":{"include_usage":null}}',
        b'{"stream":true,"stream_options":"odd"}',
        b'{"stream":false}',
        b'{"stream":"true"}',
        b"{}",
        b"[]",
        b"",
        b"\x1f\x8b\x08",
        b'{"stream":true',
    ],
)
def test_who_says_something_about_it_or_asks_for_no_stream_is_left_alone(body):
    assert asking_for_usage(body) is None


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("tail", [b"", b"data: cut o", b"\n"], ids=["whole", "broken off", "one more line"])
def test_exactly_the_one_event_is_taken_out_wherever_the_stream_is_cut(end, tail):
    sent = stream(COMMENT, TEXT, LAST, USAGE, DONE, end=end) + tail
    expected = stream(COMMENT, TEXT, LAST, DONE, end=end) + tail

    assert {through(sent, cut) for cut in range(len(sent) + 1)} == {expected}
    assert through(sent, *range(1, len(sent))) == expected


@pytest.mark.parametrize(
    "event",
    [
        TEXT,
        LAST,
        b'data: {"choices":[],"prompt_filter_results":[]}',
        b'data: {"choices":[],"usage":null}',
        b'data: {"usage":{"total_tokens":3}}',
        b'event: usage\ndata: {"type":"message_delta","usage":{}}',
        b'data: "usage"',
        b'data: {"usage"',
        b': "usage"',
    ],
)
def test_every_other_event_goes_on(event):
    assert through(stream(event)) == stream(event)


def test_an_event_goes_on_as_soon_as_it_is_whole():
    usage_filter = UsageFilter()

    assert usage_filter.feed(TEXT + b"\n\n" + LAST) == TEXT + b"\n\n"
    assert usage_filter.feed(b"\n\n") == LAST + b"\n\n"


def test_data_on_several_lines_is_one_text():
    event = b'data: {"choices": [],\ndata:"usage": {"total_tokens": 3}}'

    assert through(stream(event, DONE)) == stream(DONE)


def test_an_event_of_usage_without_its_empty_line_is_the_same_event():
    assert through(stream(TEXT) + USAGE) == stream(TEXT)


@pytest.mark.parametrize(
    ("status", "headers", "readable"),
    [
        (200, [(b"Content-Type", b"text/event-stream; charset=utf-8")], True),
        (200, [(b"content-type", b"application/json")], False),
        (200, [(b"Content-Type", b"text/event-stream"), (b"Content-Encoding", b"gzip")], False),
        (200, [(b"Content-Type", b"text/event-stream"), (b"content-length", b"10")], False),
        (400, [(b"Content-Type", b"text/event-stream")], False),
        (200, [], False),
    ],
)
def test_only_a_plain_stream_of_events_can_be_read(status, headers, readable):
    assert is_readable(status, headers) is readable


ASKING = {"model": "m", "messages": [], "stream": True}
SENT = [stream(TEXT), stream(LAST), stream(USAGE), stream(DONE)]


@pytest.fixture
async def asking_proxy(start_proxy, upstream, transport_name):
    upstream.default = [SSE_HEAD, *map(chunk, SENT), LAST_CHUNK]
    return await start_proxy(
        upstream.url, transport=transport_name, asks_for_usage=True, providers={"default": "openai"}
    )


async def test_a_stream_is_asked_and_the_client_gets_what_it_would_have_got_without(upstream, asking_proxy):
    body = b'{ "stream": true, "model":"m" }'

    answer = await asking_proxy.client.post("/v1/chat/completions", content=body, headers={"X-Any": "1"})

    assert answer.content == stream(TEXT, LAST, DONE)
    received = upstream.received[0]
    assert received.body == b'{ "stream": true, "model":"m" ,"stream_options":{"include_usage":true}}'
    assert received.header("content-length") == str(len(received.body)).encode()
    assert received.header("accept-encoding") is None
    assert received.header("x-any") == b"1"
    [exchange] = await asking_proxy.ended()
    assert exchange.request_body == body
    assert exchange.response_body == b"".join(SENT)
    assert exchange.ending is Ending.COMPLETE


@pytest.mark.parametrize(
    "said",
    [{"stream_options": {"include_usage": True}}, {"stream_options": {"include_usage": False}}, {"stream": False}],
    ids=["asks", "forbids", "no stream"],
)
async def test_a_client_that_says_what_it_wants_gets_all_that_comes(upstream, asking_proxy, said):
    body = json.dumps(ASKING | said).encode()

    answer = await asking_proxy.client.post("/v1/chat/completions", content=body)

    assert answer.content == b"".join(SENT)
    assert upstream.received[0].body == body
    assert upstream.received[0].header("accept-encoding") is not None


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"asks_for_usage": False, "providers": {"default": "openai"}}, "/v1/chat/completions"),
        ({"asks_for_usage": True, "providers": {"default": "mistral"}}, "/v1/chat/completions"),
        ({"asks_for_usage": True}, "/v1/chat/completions"),
        ({"asks_for_usage": True, "providers": {"default": "openai"}}, "/v1/responses"),
    ],
    ids=["off", "not taken", "not known", "another API"],
)
async def test_nothing_is_asked_where_that_is_off_or_not_known_to_be_taken(upstream, start_proxy, options, path):
    upstream.default = [SSE_HEAD, *map(chunk, SENT), LAST_CHUNK]
    proxy = await start_proxy(upstream.url, **options)

    answer = await proxy.client.post(path, json=ASKING)

    assert json.loads(upstream.received[0].body) == ASKING
    assert answer.content == b"".join(SENT)


async def test_a_stream_that_breaks_off_gives_the_client_every_whole_event(upstream, asking_proxy):
    upstream.script(SSE_HEAD, chunk(stream(TEXT) + b"data: half"), CLOSE)

    received = bytearray()

    async def read():
        async with asking_proxy.client.stream("POST", "/v1/chat/completions", json=ASKING) as answer:
            async for piece in answer.aiter_raw():
                received.extend(piece)

    with pytest.raises(httpx.RemoteProtocolError):
        await read()

    assert received == stream(TEXT)
    [exchange] = await asking_proxy.ended()
    assert exchange.response_body == stream(TEXT) + b"data: half"


async def test_an_error_is_relayed_as_it_is(upstream, asking_proxy):
    upstream.script(json_response({"error": {"usage": {}, "choices": []}}, status="400 Bad Request"))

    answer = await asking_proxy.client.post("/v1/chat/completions", json=ASKING)

    assert answer.json() == {"error": {"usage": {}, "choices": []}}
