import gzip
import json
from array import array
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import SAMPLES, exchange_of, sample
from llm_proxy.decode import dispatch
from llm_proxy.decode.dispatch import DECODERS, decode
from llm_proxy.decode.sse import parse_events
from llm_proxy.model.completion import Decoded
from llm_proxy.model.exchange import Chunks, Endpoint

STREAMS = sorted(path.name for path in SAMPLES.glob("*.sse"))
CODINGS = [None, "gzip", "deflate", "br", "zstd", "gzip, br", "identity", "nonsense"]


ENDPOINTS = {
    "chat": Endpoint.CHAT,
    "generate": Endpoint.GENERATE_CONTENT,
    "images": Endpoint.IMAGES,
    "messages": Endpoint.MESSAGES,
    "responses": Endpoint.RESPONSES,
    "speech": Endpoint.SPEECH,
    "text": Endpoint.TEXT,
    "transcription": Endpoint.TRANSCRIPTION,
}


def endpoint_of(name: str) -> Endpoint:
    return ENDPOINTS[name.partition("_")[0].removesuffix(".sse")]


def test_every_endpoint_has_a_decoder():
    assert set(DECODERS) == set(Endpoint)


@given(
    endpoint=st.sampled_from(Endpoint),
    request=st.none() | st.binary(max_size=80),
    response=st.none() | st.lists(st.binary(max_size=80), max_size=4),
    content_type=st.sampled_from(["text/event-stream", "application/json", "", "a,b", "\xff"]),
    coding=st.sampled_from(CODINGS),
    status=st.none() | st.sampled_from([200, 404, 500]),
    method=st.sampled_from(["POST", "GET", ""]),
    target=st.sampled_from(["", "/", "?", "/v1/responses/x/cancel?stream=%ff&stream=true"]) | st.text(max_size=10),
)
def test_random_bytes_never_raise(endpoint, request, response, content_type, coding, status, method, target):
    exchange = exchange_of(
        endpoint,
        response,
        request=request,
        content_type=content_type,
        coding=coding,
        http_status=status,
        method=method,
        target=target,
    )

    found = decode(exchange)

    assert f"the {endpoint} decoder failed" not in (found.problem or "")
    msgspec.json.encode([found.request, found.response, found.preview])


@given(
    name=st.sampled_from(STREAMS),
    cuts=st.lists(st.integers(0, 4000), max_size=8),
    coding=st.sampled_from([None, "gzip"]),
)
def test_how_the_wire_was_cut_changes_nothing_but_times(name, cuts, coding):
    wire = gzip.compress(sample(name)) if coding else sample(name)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    pieces = [wire[start:end] for start, end in pairwise(edges)]

    whole = decode(exchange_of(endpoint_of(name), wire, coding=coding))
    cut = decode(exchange_of(endpoint_of(name), pieces, coding=coding))

    assert (cut.response, cut.usage, cut.error, cut.finish_reasons) == (
        whole.response,
        whole.usage,
        whole.error,
        whole.finish_reasons,
    )
    assert (cut.preview, cut.stream_ended, cut.problem) == (whole.preview, whole.stream_ended, whole.problem)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_broke_off_at_any_byte_is_read_as_far_as_its_whole_events(name):
    stream, endpoint = sample(name), endpoint_of(name)
    ends = [0, *(event.end for event in parse_events(stream))]

    for cut in range(len(stream)):
        whole_events = max(end for end in ends if end <= cut)
        torn, tidy = (decode(exchange_of(endpoint, stream[:size])) for size in (cut, whole_events))
        if torn.response != tidy.response:  # then the next event lacks only its blank line
            assert min(end for end in ends if end > cut) - cut <= len(b"\r\n\r\n")
        assert torn.problem is None


@pytest.mark.parametrize("coding", ["gzip", None])
def test_the_first_token_is_timed_on_the_wire(coding):
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    comment = b": wait\n\n"
    body = gzip.compress(comment + event) if coding else comment + event
    pieces = [body[:4], body[4:-1], body[-1:]]

    found = decode(exchange_of(Endpoint.CHAT, pieces, coding=coding))

    assert found.first_token_s == (0.2 if coding else 0.3)  # the last byte of gzip is part of its checksum


def test_a_stream_whose_arrival_was_not_noted_has_no_first_token():
    exchange = exchange_of(Endpoint.CHAT, sample("chat_text.sse"), chunks=Chunks(times_us=array("Q"), sizes=array("Q")))

    assert decode(exchange).first_token_s is None


def test_a_body_is_read_up_to_the_limit():
    bomb = gzip.compress(b'{"a": "' + bytes(10**6) + b'"}')

    found = decode(exchange_of(Endpoint.CHAT, bomb, coding="gzip"), max_decoded_bytes=1000)

    assert found.response is None
    assert found.problem == (
        "the response body is larger than 1000 bytes without its content coding; the rest is left out"
    )


def test_the_request_is_understood_when_the_answer_is_not():
    request = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True}

    found = decode(exchange_of(Endpoint.CHAT, b"\x00\x01", request=request, content_type="application/json"))

    assert (found.request, found.model, found.stream, found.preview) == (request, "m", True, "Hi")
    assert found.problem is not None


@pytest.mark.parametrize("endpoint", [Endpoint.CHAT, Endpoint.RESPONSES])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[{"index":0,"a":', "}]"), ('{"error":', "}")]
)
@pytest.mark.parametrize("levels", [40, 90, 95, 100, 1000, 100_000])
def test_deep_nesting_is_read_or_refused_even_on_a_deep_stack(endpoint, opening, closing, levels):
    deep = opening * levels + "1" + closing * levels
    chat = f'data: {{"choices":[{{"delta":{{"a":{deep}}}}}]}}\n\n' * 2
    response = f'data: {{"type":"response.output_item.added","item":{{"content":[{{"a":{deep}}}]}}}}\n\n' * 2
    exchange = exchange_of(endpoint, (chat + response).encode(), request=deep.encode())

    found = under(300, lambda: decode(exchange))

    assert "decoder failed" not in (found.problem or "")
    msgspec.json.encode(found.response)


def under(frames: int, call: Callable[[], Decoded]) -> Decoded:
    return call() if frames == 0 else under(frames - 1, call)


def test_a_request_that_cannot_be_read_leaves_its_members_unknown():
    found = decode(exchange_of(Endpoint.CHAT, sample("chat_text.json"), request=b'{"model": "m"'))

    assert (found.request, found.model, found.stream) == (None, None, None)
    assert found.response == json.loads(sample("chat_text.json"))


def test_a_call_in_flight_shows_what_was_asked():
    exchange = exchange_of(Endpoint.CHAT, None, request={"model": "m"}, http_status=None, ending=None)

    assert decode(exchange) == Decoded(kind="chat", model="m", stream=False, request={"model": "m"})


@pytest.mark.parametrize("fault", [RecursionError("deep"), MemoryError(), KeyError("k"), TypeError("t")])
def test_a_decoder_that_fails_costs_no_more_than_its_findings(monkeypatch, fault):
    def fail(*_: object) -> Decoded:
        raise fault

    monkeypatch.setitem(dispatch.DECODERS, Endpoint.CHAT, fail)

    found = decode(exchange_of(Endpoint.CHAT, b"{}"))

    assert found.problem is not None
    assert found.problem.startswith(f"the chat.completions decoder failed: {type(fault).__name__}")
