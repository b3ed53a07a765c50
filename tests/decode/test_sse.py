from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decode.exchanges import SAMPLES
from llm_proxy.decode.sse import Event, EventParser, looks_like_events, parse_events

STREAMS = sorted(path.name for path in SAMPLES.glob("*.sse"))
#: Bytes of which streams are made, so that random ones hit the rules and not only the rubbish.
STREAM_BYTES = st.lists(
    st.sampled_from(
        [
            b"data",
            b":",
            b" ",
            b"\r",
            b"\n",
            b"\r\n",
            b"event",
            b"id",
            b"retry",
            b"7",
            b"x",
            b"\0",
            b"\xef\xbb\xbf",
            b"\xe2\x80\xa8",
            b"\xff",
        ]
    ),
    max_size=40,
).map(b"".join)


def parse_in_pieces(pieces: list[bytes]) -> list[Event]:
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return events + parser.close()


@pytest.mark.parametrize("name", STREAMS)
def test_a_sample_cut_at_any_byte_has_the_same_events(name):
    stream = (SAMPLES / name).read_bytes()
    whole = parse_events(stream)

    for cut in range(len(stream) + 1):
        assert parse_in_pieces([stream[:cut], stream[cut:]]) == whole


@pytest.mark.parametrize("name", STREAMS)
def test_a_sample_byte_by_byte_has_the_same_events(name):
    stream = (SAMPLES / name).read_bytes()

    assert parse_in_pieces([stream[place : place + 1] for place in range(len(stream))]) == parse_events(stream)


@given(stream=STREAM_BYTES | st.binary(max_size=60), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_how_a_stream_is_cut_never_changes_its_events(stream, cuts):
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]

    assert parse_in_pieces(pieces) == parse_events(stream)


@given(stream=STREAM_BYTES)
def test_the_bytes_up_to_the_end_of_an_event_contain_it_and_no_later_one(stream):
    events = parse_events(stream)

    for number, event in enumerate(events, start=1):
        assert parse_events(stream[: event.end]) == events[:number]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_at_cr_lf_or_crlf(end):
    stream = end.join([b"event: ping", b"data: 1", b"", b"data: 2", b"", b""])

    events = parse_events(stream)

    assert [(event.name, event.data) for event in events] == [("ping", b"1"), ("message", b"2")]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_no_other_character_ends_a_line(separator):
    stream = f"data: a{separator}b\n\n".encode()

    assert [event.data for event in parse_events(stream)] == [f"a{separator}b".encode()]


def test_data_lines_of_an_event_are_joined_by_lf():
    assert parse_events(b"data: a\ndata:\ndata:  b\n\n")[0].data == b"a\n\n b"


def test_only_one_space_behind_the_colon_is_dropped():
    assert [event.data for event in parse_events(b"data:x\n\ndata: x\n\ndata:  x\n\n")] == [b"x", b"x", b" x"]


def test_a_field_without_a_colon_has_an_empty_value():
    assert parse_events(b"data\n\n") == [Event(data=b"", end=6)]


def test_comments_and_unknown_fields_are_no_events():
    assert parse_events(b": OPENROUTER PROCESSING\n\nfoo: bar\n\n :data: x\n\n") == []


def test_an_event_without_data_is_not_delivered_and_its_name_is_forgotten():
    assert [event.name for event in parse_events(b"event: ping\n\ndata: 1\n\n")] == ["message"]


def test_an_id_stays_until_it_is_changed_and_one_with_a_null_is_ignored():
    events = parse_events(b"id: 1\ndata: a\n\ndata: b\n\nid: 2\0\ndata: c\n\nid\ndata: d\n\n")

    assert [event.last_id for event in events] == ["1", "1", "1", ""]


@pytest.mark.parametrize(("value", "retry_ms"), [(b"3000", 3000), (b"3s", None), (b"", None), (b"9" * 5000, None)])
def test_a_retry_counts_only_if_it_is_a_number_that_can_be_meant(value, retry_ms):
    parser = EventParser()

    parser.feed(b"retry: " + value + b"\n")

    assert parser.retry_ms == retry_ms


def test_a_byte_order_mark_is_skipped_once_and_counted():
    mark = b"\xef\xbb\xbf"

    events = parse_events(mark + b"data: 1\n\n" + mark + b"data: 2\n\n")

    assert events == [Event(data=b"1", end=12)]


def test_what_the_end_cuts_off_is_delivered_as_not_complete():
    events = parse_events(b'data: 1\n\nevent: error\ndata: {"a"')

    assert [(event.name, event.data, event.complete) for event in events] == [
        ("message", b"1", True),
        ("error", b'{"a"', False),
    ]
    assert events[-1].end == 32


def test_a_last_event_that_lacks_only_its_blank_line_is_delivered_as_not_complete():
    assert [(event.data, event.complete) for event in parse_events(b"data: [DONE]\n")] == [(b"[DONE]", False)]


def test_a_stream_of_one_long_line_takes_linear_time():
    piece = b"x" * 1000
    parser = EventParser()

    parser.feed(b"data: ")
    for _ in range(20_000):  # quadratic would copy 200 GB
        parser.feed(piece)
    events = parser.feed(b"\n\n")

    assert len(events[0].data) == 20_000_000


@pytest.mark.parametrize(
    "start", [b"data: {}", b"data:{}", b"event: a", b": hi", b"\xef\xbb\xbfid: 1", b"\n\nretry: 1"]
)
def test_fields_and_comments_look_like_events(start):
    assert looks_like_events(start)


@pytest.mark.parametrize("start", [b"", b'{"data": 1}', b"[]", b'"data: "', b"database", b"<html>", b"data is here"])
def test_json_and_prose_do_not_look_like_events(start):
    assert not looks_like_events(start)
