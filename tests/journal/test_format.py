import random
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from journal.frames import Recording, wire
from llm_proxy.journal.format import (
    HEADER_BYTES,
    MAGIC,
    MAX_PAYLOAD_BYTES,
    Answer,
    Closing,
    Frame,
    FrameParser,
    Frames,
    Kind,
    Opening,
    decode_answer,
    decode_closing,
    decode_opening,
    encode,
    heads,
)

payloads = st.binary(max_size=40) | st.sampled_from([b"", MAGIC, MAGIC * 3, b"LP", b"x" * 20 + MAGIC[:2]])
frames = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    exchange_id=st.binary(min_size=16, max_size=16),
    time_us=st.integers(0, 2**64 - 1),
    payload=payloads,
)


def bytes_of(frame: Frame) -> bytes:
    frames = Frames(frame.exchange_id)
    frames.add(Kind(frame.kind), frame.time_us, frame.payload)
    return b"".join(frames.parts)


def parse(*pieces: bytes) -> tuple[list[Frame], int]:
    """All frames and the number of damaged bytes."""
    parser = FrameParser()
    found = [frame for piece in pieces for frame in parser.feed(piece)]
    found += parser.finish()
    assert parser.pending_bytes == 0
    return found, parser.damaged_bytes


def two_exchanges() -> tuple[bytes, list[Frame]]:
    """A short segment, and what is in it."""
    one, other = Recording(), Recording()
    written = wire(one.open(), other.open(b""), one.answer(), one.chunk(b"data: 1\n\n"), other.close(), one.close())
    found, damaged = parse(written)
    assert (len(found), damaged) == (8, 0)
    return written, found


@given(st.lists(frames, max_size=5), st.lists(st.integers(0, 400), max_size=8))
def test_every_split_of_the_bytes_gives_the_same_frames(written, cuts):
    content = b"".join(map(bytes_of, written))
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]

    found, damaged = parse(*(content[start:end] for start, end in pairwise(edges)))

    assert found == written
    assert damaged == 0


def test_byte_by_byte_is_a_split_too():
    content, whole = two_exchanges()

    found, damaged = parse(*(content[at : at + 1] for at in range(len(content))))

    assert (found, damaged) == (whole, 0)


def test_a_bit_flipped_anywhere_costs_the_frame_it_is_in_and_no_other():
    content, whole = two_exchanges()
    lengths = [HEADER_BYTES + len(frame.payload) for frame in whole]
    owner = [number for number, length in enumerate(lengths) for _ in range(length)]

    for at in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[at] ^= 1 << bit

            found, damaged = parse(bytes(flipped))

            assert found == whole[: owner[at]] + whole[owner[at] + 1 :], (at, bit)
            assert damaged == lengths[owner[at]]


def test_of_a_tail_torn_at_any_byte_the_whole_frames_come_out_and_the_rest_is_counted():
    content, whole = two_exchanges()
    ends = [0]
    for frame in whole:
        ends.append(ends[-1] + HEADER_BYTES + len(frame.payload))

    for length in range(len(content)):
        found, damaged = parse(content[:length])

        count = max(number for number, end in enumerate(ends) if end <= length)
        assert found == whole[:count]
        assert damaged == length - ends[count]


@pytest.mark.parametrize("length", [1, 3, 4, 36, 37, 4096])
def test_a_tail_of_nul_bytes_is_damage_and_no_frame(length):
    content, whole = two_exchanges()

    found, damaged = parse(content + bytes(length))

    assert (found, damaged) == (whole, length)


@given(before=st.lists(frames, max_size=3), garbage=st.binary(max_size=80), after=st.lists(frames, max_size=3))
@example(before=[], garbage=MAGIC, after=[Frame(5, bytes(16), 0, b"")])
@example(before=[], garbage=MAGIC + (2**20).to_bytes(4, "little"), after=[Frame(5, bytes(16), 0, b"")])
@example(before=[], garbage=b"LPJ", after=[Frame(5, bytes(16), 0, b"")])
def test_around_inserted_garbage_whole_frames_come_out(before, garbage, after):
    content = b"".join(map(bytes_of, before)) + garbage + b"".join(map(bytes_of, after))

    found, damaged = parse(content)

    assert found == before + after
    assert damaged == len(garbage)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([MAGIC, MAGIC + bytes(33)]), max_size=8))
def test_nothing_raises_and_every_byte_is_accounted_for(pieces):
    found, damaged = parse(*pieces)

    assert damaged + sum(HEADER_BYTES + len(frame.payload) for frame in found) == sum(map(len, pieces))


def test_a_reader_may_leave_after_any_frame_and_come_back():
    content, whole = two_exchanges()
    parser = FrameParser()
    found = []

    piece = content + content[:50]  # the last one is torn
    while (frame := next(iter(parser.feed(piece)), None)) is not None:
        found.append(frame)
        piece = b""

    assert found[: len(whole)] == whole
    assert parser.pending_bytes == 50 - (len(wire_of(found[len(whole) :])))


def wire_of(some: list[Frame]) -> bytes:
    return b"".join(map(bytes_of, some))


def test_a_length_beyond_the_limit_is_not_waited_for():
    content, whole = two_exchanges()
    claims = bytes_of(Frame(Kind.CHUNK, bytes(16), 0, b""))
    claims = claims[:4] + (MAX_PAYLOAD_BYTES + 1).to_bytes(4, "little") + claims[8:]
    parser = FrameParser()

    found = list(parser.feed(claims + content))

    assert found == whole
    assert parser.damaged_bytes == len(claims)


def test_many_false_beginnings_are_passed_in_reasonable_time():
    claims = (MAGIC + (2**20).to_bytes(4, "little")) * 20_000
    content, whole = two_exchanges()

    found, damaged = parse(claims + content)

    assert (found, damaged) == (whole, len(claims))


@given(st.builds(Opening, method=st.text(), target=st.binary(), endpoint=st.text(), headers=st.just([(b"a", None)])))
def test_what_is_encoded_is_decoded(opening):
    assert decode_opening(encode(opening)) == opening


def test_structs_of_an_older_version_are_readable():
    assert decode_opening(encode(["GET", b"/", "other", []])).bodies is True
    assert decode_answer(encode([200, []])) == Answer(200, [])
    assert decode_closing(encode(["complete"])) == Closing("complete")


def test_structs_of_a_newer_version_are_readable_as_far_as_they_are_known():
    assert decode_closing(encode(["complete", None, 5, False, None, {"new": [1]}])) == Closing("complete", None, 5)


def test_random_headers_of_frames_are_told_from_frames():
    chance = random.Random(7)
    for _ in range(200):
        content = MAGIC + chance.randbytes(chance.randrange(100))

        found, damaged = parse(content)

        assert found == []
        assert damaged == len(content)


@given(st.lists(frames, max_size=5), st.integers(0, 20))
def test_the_heads_of_whole_frames_are_found_without_their_payloads(written, cut):
    content = b"".join(map(bytes_of, written))
    torn = content[: max(len(content) - cut, 0)]

    whole, _ = parse(torn)

    assert list(heads(torn)) == [(frame.kind, frame.exchange_id, frame.time_us) for frame in whole]


def test_heads_behind_damage_are_found():
    written, found = two_exchanges()

    read = list(heads(b"rubbish" + written[:3] + written))

    assert read == [(frame.kind, frame.exchange_id, frame.time_us) for frame in found]
