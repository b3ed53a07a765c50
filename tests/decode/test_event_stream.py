"""The oracle is botocore's own parser of event streams."""

import struct
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import SAMPLES
from decode.frames import frame
from llm_proxy.decode.event_stream import Frame, events_of, is_event_stream, parse_frames

STREAMS = sorted(SAMPLES.glob("*.eventstream"))


def as_botocore_sees_it(stream: bytes):
    buffer = EventStreamBuffer()
    buffer.add_data(stream)
    return [(message.headers, message.payload) for message in buffer]


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.name)
def test_frames_are_those_of_botocore_wherever_the_stream_is_cut(path):
    stream = path.read_bytes()
    assert len(as_botocore_sees_it(stream)) > 2

    for cut in range(len(stream) + 1):
        frames, problem = parse_frames(stream[:cut])
        assert problem is None
        assert [(one.headers, one.payload) for one in frames] == as_botocore_sees_it(stream[:cut])


def test_the_end_of_a_frame_is_where_the_next_one_begins():
    one, other = frame({"a": "b"}, b"x"), frame({}, b"")

    assert [found.end for found in parse_frames(one + other)[0]] == [len(one), len(one + other)]


@pytest.mark.parametrize("path", STREAMS[:1], ids=lambda path: path.name)
def test_a_byte_that_was_changed_ends_the_reading_with_its_reason(path):
    stream = path.read_bytes()
    first = parse_frames(stream)[0][0].end

    for at in range(first, parse_frames(stream)[0][1].end):
        damaged = stream[:at] + bytes([stream[at] ^ 1]) + stream[at + 1 :]
        frames, problem = parse_frames(damaged)
        assert (len(frames), f"at byte {first}" in problem) == (1, True)


def test_headers_of_every_type_are_passed_over_but_strings():
    def header(name: bytes, kind: int, value: bytes) -> bytes:
        return bytes([len(name)]) + name + bytes([kind]) + value

    headers = b"".join(
        [
            header(b"t", 0, b""),
            header(b"f", 1, b""),
            header(b"b", 2, b"\x01"),
            header(b"s", 3, b"\x00\x01"),
            header(b"i", 4, bytes(4)),
            header(b"l", 5, bytes(8)),
            header(b"y", 6, b"\x00\x02ab"),
            header(b"s7", 7, b"\x00\x02ab"),
            header(b"w", 8, bytes(8)),
            header(b"u", 9, bytes(16)),
        ]
    )
    stream = framed(headers, b"p")

    assert parse_frames(stream) == ([Frame({"s7": "ab"}, b"p", len(stream))], None)
    assert len(as_botocore_sees_it(stream)[0][0]) == 10


@pytest.mark.parametrize("headers", [b"\x01a\x0a", b"\x05ab", b"\x01a\x07\x00\x05ab", b"\x01a\x04\x00"])
def test_headers_that_are_none_are_a_problem(headers):
    assert parse_frames(framed(headers, b"")) == ([], "has unreadable headers in the frame at byte 0")


@pytest.mark.parametrize(("length", "headers_length"), [(15, 0), (16, 1), (2**31, 0)])
def test_a_length_that_cannot_be_is_a_problem(length, headers_length):
    prelude = struct.pack(">II", length, headers_length)

    frames, problem = parse_frames(prelude + struct.pack(">I", crc32(prelude)) + bytes(100))

    assert (frames, problem) == ([], "has an impossible length in the frame at byte 0")


def framed(headers: bytes, payload: bytes) -> bytes:
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
    return body + struct.pack(">I", crc32(body))


def test_an_event_has_the_name_of_its_type_and_a_failure_is_an_error_body():
    stream = b"".join(
        [
            frame({":message-type": "event", ":event-type": "messageStart"}, b"{}"),
            frame({":message-type": "exception", ":exception-type": "throttlingException"}, b'{"message":"slow"}'),
            frame({":message-type": "error", ":error-code": "500", ":error-message": "oh"}, b""),
        ]
    )

    events = events_of(parse_frames(stream)[0])

    assert [(event.name, event.data) for event in events] == [
        ("messageStart", b"{}"),
        ("error", b'{"error":{"type":"throttlingException","message":"slow"}}'),
        ("error", b'{"error":{"type":"500","message":"oh"}}'),
    ]


def test_the_content_type_tells_such_a_stream():
    assert is_event_stream((("Content-Type", "application/vnd.amazon.eventstream"),))
    assert not is_event_stream((("Content-Type", "text/event-stream"),))


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(stream):
    parse_frames(stream)
