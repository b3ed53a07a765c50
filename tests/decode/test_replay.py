"""What a recorded stream said, piece by piece; the oracle is what the decoders put together of the same bytes."""

import gzip
import re
from array import array

import pytest

from decode.exchanges import SAMPLES, delta_stream, exchange_of, sample
from llm_proxy.decode.dispatch import decode
from llm_proxy.decode.replay import replayed
from llm_proxy.model.completion import Bodies
from llm_proxy.model.exchange import Chunks, Endpoint
from llm_proxy.ui.conversation import Kind, conversation

ENDPOINTS = {
    "chat": Endpoint.CHAT,
    "text": Endpoint.TEXT,
    "messages": Endpoint.MESSAGES,
    "responses": Endpoint.RESPONSES,
    "generate": Endpoint.GENERATE_CONTENT,
    "converse": Endpoint.CONVERSE,
    "invoke": Endpoint.INVOKE_MODEL,
}
#: But for answers that are not one text, and a stream that has none but at its end.
STREAMS = [
    path.name
    for path in sorted([*SAMPLES.glob("*.sse"), *SAMPLES.glob("*.eventstream")])
    if path.name.partition("_")[0] in ENDPOINTS and not re.search("two_choices|audio|codex", path.name)
]
KINDS = {"text": (Kind.TEXT, Kind.REFUSAL), "reasoning": (Kind.REASONING,)}


def bodies_of(body, pieces=(), *, headers=(("Content-Type", "text/event-stream"),)):
    """A response that came in these pieces, one each tenth of a second."""
    sizes = list(map(len, pieces)) or [len(body)]
    times = [100_000 * (place + 1) for place in range(len(sizes))]
    return Bodies(
        response_body=body, response_headers=headers, chunks=Chunks(times_us=array("Q", times), sizes=array("Q", sizes))
    )


@pytest.mark.parametrize("name", STREAMS)
def test_what_is_said_again_is_what_the_decoder_put_together(name):
    media_type = "application/vnd.amazon.eventstream" if name.endswith("eventstream") else "text/event-stream"
    exchange = exchange_of(ENDPOINTS[name.partition("_")[0]], sample(name), content_type=media_type)
    said = conversation(None, decode(exchange).response)

    beats = replayed(bodies_of(sample(name), headers=exchange.response_headers))

    for kind, kinds in KINDS.items():
        expected = [part.text for turn in said if turn.answered for part in turn.parts if part.kind in kinds]
        expected = [text for text in expected if "encrypted" not in text]
        told = "".join(beat.text for beat in beats if beat.kind == kind)
        assert "".join(told.split()) == "".join("".join(expected).split())


def test_each_piece_has_the_time_at_which_the_last_byte_of_its_event_came():
    first, second = delta_stream({"content": "a"}, end=b""), delta_stream({"content": "b"}, end=b"")

    beats = replayed(bodies_of(first + second, [first[:5], first[5:] + second[:-1], second[-1:]]))

    assert [(beat.at_s, beat.text) for beat in beats] == [(0.2, "a"), (0.3, "b")]


def test_the_times_of_a_coded_stream_are_those_of_the_wire():
    wire = gzip.compress(delta_stream({"content": "a"}, end=b"")) + gzip.compress(delta_stream({"content": "b"}))
    headers = (("Content-Type", "text/event-stream"), ("Content-Encoding", "gzip"))
    first = len(gzip.compress(delta_stream({"content": "a"}, end=b"")))

    beats = replayed(bodies_of(wire, [wire[:first], wire[first:]], headers=headers))

    assert [(beat.at_s, beat.text) for beat in beats] == [(0.1, "a"), (0.2, "b")]


@pytest.mark.parametrize(
    "bodies",
    [
        Bodies(),
        bodies_of(b'{"choices": []}', headers=(("Content-Type", "application/json"),)),
        bodies_of(b"data: [[[[\n\ndata: {}\n\ndata: \xff\n\n"),
        bodies_of(b'data: {"choices": [3, {"delta": [1]}], "delta": 1, "candidates": {}}\n\n'),
        bodies_of(b""),
    ],
)
def test_what_says_nothing_is_no_beat(bodies):
    assert replayed(bodies) == ()
