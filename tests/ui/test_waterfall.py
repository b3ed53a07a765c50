"""Where the time of a call went."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.exchange import Chunks
from llm_proxy.ui.waterfall import HEIGHT, MAX_BARS, WIDTH, waterfall
from records import bare, record


def chunks(*times_s, sizes=None):
    return Chunks(
        times_us=array("Q", [int(time * 1e6) for time in times_s]), sizes=array("Q", sizes or [10] * len(times_s))
    )


def lanes(completion, pieces=None):
    return {lane.label: lane for lane in waterfall(completion, pieces or Chunks())}


def test_a_streamed_call_has_a_lane_for_each_of_its_times():
    call = record(duration_s=2.0, connect_s=0.1, ttfb_s=0.5, ttft_s=0.6)

    found = lanes(call, chunks(0.6, 0.8, 1.8))

    assert {label: lane.value for label, lane in found.items()} == {
        "Connect": "100 ms",
        "First byte": "500 ms",
        "First token": "600 ms",
        "Answer": "3 pieces",
        "Longest gap": "1.00 s",
        "Total": "2.00 s",
    }


def test_bars_are_where_their_times_are():
    call = record(duration_s=2.0, connect_s=0.1, ttfb_s=0.5, ttft_s=1.0)

    found = lanes(call, chunks(0.5, 1.5, sizes=[5, 10]))

    (wait,), (gap,), (total,) = found["First byte"].bars, found["Longest gap"].bars, found["Total"].bars
    assert (wait.x, wait.x + wait.width) == pytest.approx((WIDTH * 0.05, WIDTH * 0.25), abs=3)
    assert (gap.x, gap.x + gap.width) == pytest.approx((WIDTH * 0.25, WIDTH * 0.75), abs=3)
    assert (total.x, total.width) == (0, WIDTH)
    assert [bar.height for bar in found["Answer"].bars] == [HEIGHT / 2, HEIGHT]


def test_of_a_call_that_still_runs_there_is_no_picture():
    assert waterfall(bare(), Chunks()) == ()


def test_what_is_not_known_has_no_lane():
    assert list(lanes(bare(duration_s=1.0))) == ["Total"]


def test_thousands_of_pieces_are_a_few_hundred_bars():
    call = record(duration_s=5.0)

    found = lanes(call, chunks(*(number / 1000 for number in range(5000))))

    assert len(found["Answer"].bars) == MAX_BARS
    assert found["Answer"].value == "5,000 pieces"


_seconds = st.none() | st.floats(0, 1e9)


@given(_seconds, _seconds, _seconds, _seconds, st.lists(st.floats(0, 1e6), max_size=5))
def test_no_bar_leaves_the_picture(duration, connect, first_byte, first_token, times):
    call = record(duration_s=duration, connect_s=connect, ttfb_s=first_byte, ttft_s=first_token)

    for lane in waterfall(call, chunks(*times)):
        for bar in lane.bars:
            assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.2
            assert bar.width > 0
            assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT + 0.2
