import random

import pytest
from websockets.frames import Frame, Opcode

from llm_proxy.proxy.frame_ends import FrameEnds

LENGTHS = [0, 1, 125, 126, 127, 65_535, 65_536]


def frames_of(lengths, *, mask):
    return [Frame(Opcode.BINARY, bytes(length)).serialize(mask=mask) for length in lengths]


@pytest.mark.parametrize("mask", [True, False])
def test_the_end_of_each_frame_is_known_whatever_its_length(mask):
    ends = FrameEnds()
    for frame in frames_of(LENGTHS, mask=mask):
        ends.feed(frame[:-1])
        assert not ends.at_end
        ends.feed(frame[-1:])
        assert ends.at_end
    assert not ends.closed


@pytest.mark.parametrize("mask", [True, False])
def test_frames_may_be_cut_anywhere(mask):
    wire = b"".join(frames_of(LENGTHS[:5], mask=mask)) + Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=mask)
    generator = random.Random(1)
    for _ in range(50):
        ends, rest = FrameEnds(), wire
        while rest:
            size = generator.randint(1, 20)
            ends.feed(rest[:size])
            rest = rest[size:]
        assert ends.at_end
        assert ends.closed


def test_a_close_is_known_by_its_head_and_data_that_looks_like_one_is_none():
    ends = FrameEnds()
    ends.feed(Frame(Opcode.BINARY, b"\x88\x02\x03\xe8").serialize(mask=False))
    assert not ends.closed

    ends.feed(b"\x88\x02")

    assert ends.closed
    assert not ends.at_end
