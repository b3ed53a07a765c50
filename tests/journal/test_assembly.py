from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.frames import ANSWER, OPENING, Recording, wire
from llm_proxy.journal.assembly import Assembly
from llm_proxy.journal.format import Answer, Closing, Frame, FrameParser, Frames, Kind, Opening, Timing, Tried, encode
from llm_proxy.model.exchange import Attempt, Ending, Endpoint, Exchange


def assemble(*frames: Frames) -> Assembly:
    opening, *following = FrameParser().feed(wire(*frames))
    assembly = Assembly(opening)
    for frame in following:
        assembly.add(frame)
    return assembly


def frame(kind: Kind, payload: bytes, time_us: int = 7) -> Frame:
    return Frame(kind, bytes(16), time_us, payload)


def test_the_frames_of_a_call_become_the_exchange_that_it_was():
    call = Recording(
        Opening(
            method="POST",
            target=b"/v1/chat/completions?x=%20",
            endpoint=Endpoint.CHAT,
            headers=[(b"X-A", b"1"), (b"x-a", "ä".encode()), (b"Authorization", None), (b"X-L", b"\xe4")],
            path_context="tags=a",
            upstream="default",
            provider="openai",
            client="127.0.0.1",
            key_fingerprint="f…1234",
        )
    )

    exchange = assemble(
        call.open(b'{"a":1}'),
        call.answer(),
        call.chunk(b"one", 1_000_000),
        call.chunk(b"four", 3_500_000),
        call.close(Ending.UPSTREAM_BROKE_OFF, "the connection ended"),
    ).exchange()

    assert exchange.id == call.id
    assert exchange.started_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (exchange.method, exchange.target) == ("POST", "/v1/chat/completions?x=%20")
    assert (exchange.path_context, exchange.endpoint) == ("tags=a", Endpoint.CHAT)
    assert (exchange.upstream, exchange.provider) == ("default", "openai")
    assert (exchange.client, exchange.key_fingerprint) == ("127.0.0.1", "f…1234")
    assert exchange.request_headers == (("X-A", "1"), ("x-a", "ä"), ("Authorization", None), ("X-L", "ä"))
    assert (exchange.request_body, exchange.request_bytes) == (b'{"a":1}', 2)
    assert (exchange.http_status, exchange.response_headers) == (200, (("Content-Type", "text/event-stream"),))
    assert (exchange.response_body, exchange.response_bytes) == (b"onefour", 7)
    assert (list(exchange.chunks.times_us), list(exchange.chunks.sizes)) == ([1_000_000, 3_500_000], [3, 4])
    assert (exchange.ending, exchange.reason) == (Ending.UPSTREAM_BROKE_OFF, "the connection ended")
    assert (exchange.connect_s, exchange.first_byte_s, exchange.ended_s) == (0.0015, 0.00002, 0.00009)
    assert exchange.truncated is False


def test_of_a_call_that_still_runs_what_is_not_known_is_none():
    call = Recording()

    exchange = assemble(call.open()).exchange()

    unknown = (exchange.http_status, exchange.response_body, exchange.response_bytes, exchange.request_bytes)
    assert unknown == (None, None, None, None)
    assert (exchange.ending, exchange.ended_s, exchange.first_byte_s, exchange.connect_s) == (None, None, None, None)


def test_what_was_shown_of_a_running_call_does_not_change_afterwards():
    call = Recording()
    assembly = assemble(call.open(), call.answer(), call.chunk(b"one"))
    early = assembly.exchange()

    assembly.add(frame(Kind.CHUNK, b"two"))

    assert (early.response_body, list(early.chunks.sizes)) == (b"one", [3])


def test_an_aborted_call_keeps_its_partial_answer_and_ends_at_its_last_frame():
    call = Recording()
    assembly = assemble(call.open(), call.answer(), call.chunk(b"Once upon", 5_000_000))

    assembly.abort()
    exchange = assembly.exchange()

    assert (exchange.ending, exchange.response_body) == (Ending.ABORTED, b"Once upon")
    assert exchange.reason is not None
    assert (exchange.ended_s, exchange.request_bytes) == (5.0, None)


def test_bodies_that_are_not_kept_are_none_and_their_sizes_known():
    call = Recording(Opening(method="GET", target=b"/", endpoint=Endpoint.OTHER, headers=[], bodies=False))

    exchange = assemble(call.open(b""), call.answer(), call.skipped(1000), call.skipped(24), call.close()).exchange()

    assert (exchange.request_body, exchange.response_body) == (None, None)
    assert (exchange.response_bytes, list(exchange.chunks.sizes)) == (1024, [1000, 24])


def test_the_body_of_an_error_is_kept_though_bodies_are_not():
    call = Recording(Opening(method="GET", target=b"/", endpoint=Endpoint.OTHER, headers=[], bodies=False))

    exchange = assemble(call.open(b""), call.answer(Answer(404, [])), call.chunk(b"no"), call.close()).exchange()

    assert exchange.response_body == b"no"


def test_pieces_of_an_answer_whose_head_is_lost_are_kept():
    call = Recording()

    exchange = assemble(call.open(), call.chunk(b"data: 1\n\n"), call.close()).exchange()

    assert (exchange.http_status, exchange.response_body, exchange.response_bytes) == (None, b"data: 1\n\n", 9)


def test_a_call_that_ran_while_a_frame_was_damaged_is_not_shown_as_whole():
    call = Recording()
    assembly = assemble(call.open(), call.answer(), call.chunk(b"one"))

    assembly.suffer()
    assembly.add(frame(Kind.CLOSE, encode(Closing(Ending.COMPLETE))))

    assert assembly.exchange().truncated is True


def test_words_of_a_newer_version_are_taken_for_what_is_known():
    opening = Frame(Kind.OPEN, bytes(16), 0, encode(["POST", b"/v1/new", "brand.new", []]))
    assembly = Assembly(opening)

    assembly.add(frame(Kind.CLOSE, encode(["evaporated", "it was hot"])))
    exchange = assembly.exchange()

    assert (exchange.endpoint, exchange.ending, exchange.reason) == (Endpoint.OTHER, Ending.ABORTED, "it was hot")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"\xc1",
        b"\x91\xa2\xff\xff",
        b"\x95\xa1a\xc4\x01a\xa1a\x90" + b"\x91" * 100_000,
        b"\x94\xa1\xff\xc4\x00\xa0\x90",
    ],
    ids=["nothing", "no msgpack", "no text", "too deep", "no UTF-8"],
)
def test_payloads_that_cannot_be_read_leave_their_part_unknown(payload):
    assembly = Assembly(Frame(Kind.OPEN, UUID(int=5).bytes, 2**64 - 1, payload))

    assembly.add(frame(Kind.RESPONSE, payload))
    assembly.add(frame(Kind.CLOSE, payload))
    exchange = assembly.exchange()

    assert exchange.id == str(UUID(int=5))
    assert (exchange.endpoint, exchange.ending) == (Endpoint.OTHER, Ending.ABORTED)


_payloads = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([encode(OPENING), encode(ANSWER), encode(Closing(Ending.COMPLETE))]),
    st.recursive(
        st.none() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5), st.lists
    ).map(encode),
)
_frames = st.builds(
    Frame,
    kind=st.integers(0, 9),
    exchange_id=st.just(bytes(16)),
    time_us=st.integers(0, 2**64 - 1),
    payload=_payloads,
)


@given(st.lists(_frames, min_size=1, max_size=8))
def test_nothing_that_frames_say_raises(frames):
    assembly = Assembly(frames[0])

    for one in frames[1:]:
        assembly.add(one)

    assert isinstance(assembly.exchange(), Exchange)


def test_each_attempt_is_told_with_its_times():
    assembly = Assembly(frame(Kind.OPEN, b"unreadable", 0))
    failed = Tried("a", "openai", None, 1_000_000, 429, None, None, 50_000, [(b"Retry-After", b"1")], b"{}", 250_000)

    assembly.add(frame(Kind.ATTEMPT, encode(failed), 1_500_000))
    assembly.add(frame(Kind.ATTEMPT, b"unreadable", 1_600_000))
    assembly.add(frame(Kind.ATTEMPT, encode(Tried("b", None, "m", 1_750_000, failure="f", reason="r")), 2_000_000))

    assert assembly.exchange().attempts == (
        Attempt(
            upstream="a",
            provider="openai",
            started_s=1.0,
            ended_s=1.5,
            http_status=429,
            connect_s=0.05,
            headers=(("Retry-After", "1"),),
            body=b"{}",
            wait_s=0.25,
        ),
        Attempt(upstream="b", model="m", started_s=1.75, ended_s=2.0, failure="f", reason="r"),
    )


def test_how_a_request_went_out_is_told_step_by_step():
    timing = Timing(900, 40, 300, 200, 100, 50)
    tried = Tried("a", None, None, 10, timing=timing)

    assembly = assemble(Recording().open())
    assembly.add(frame(Kind.ATTEMPT, encode(tried)))
    assembly.add(frame(Kind.RESPONSE, encode(Answer(200, [], timing=timing))))

    exchange = assembly.exchange()
    for told in (exchange, exchange.attempts[0]):
        assert (told.sent_s, told.overhead_s, told.queued_s) == (0.0009, 0.00004, 0.0003)
        assert (told.connect_s, told.dns_s, told.tcp_s, told.tls_s) == (0.00035, 0.0002, 0.0001, 0.00005)


def test_of_a_connection_that_was_not_made_nothing_is_told():
    exchange = assemble(Recording().open(), Recording().answer(Answer(200, [], timing=Timing(900, 40)))).exchange()

    assert (exchange.sent_s, exchange.connect_s, exchange.dns_s, exchange.queued_s) == (0.0009, None, None, None)
