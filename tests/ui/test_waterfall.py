"""Where the time of a call went."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_proxy.model.exchange import Attempt, Chunks
from llm_proxy.ui.waterfall import HEIGHT, MAX_BARS, WIDTH, waterfall
from records import bare, record

#: From the last byte of the request to the first one sent on.
WAY = {"overhead_s": 0.01, "queued_s": 0.005, "dns_s": 0.015, "tcp_s": 0.03, "tls_s": 0.05}


def chunks(*times_s, sizes=None):
    return Chunks(
        times_us=array("Q", [int(time * 1e6) for time in times_s]), sizes=array("Q", sizes or [10] * len(times_s))
    )


def lanes(completion, pieces=None):
    return {lane.label: lane for lane in waterfall(completion, pieces or Chunks())}


def test_a_streamed_call_has_a_lane_for_each_of_its_times():
    call = record(duration_s=2.0, sent_s=0.15, ttfb_s=0.5, ttft_s=0.6, **WAY)

    found = lanes(call, chunks(0.6, 0.8, 1.8))

    assert {label: lane.value for label, lane in found.items()} == {
        "Request": "40 ms",
        "Our own part": "10 ms",
        "Turn": "5.0 ms",
        "DNS": "15 ms",
        "TCP": "30 ms",
        "TLS": "50 ms",
        "Waiting": "350 ms",
        "First token": "600 ms",
        "Answer": "3 pieces",
        "Longest gap": "1.00 s",
        "Total": "2.00 s",
    }


def test_bars_are_where_their_times_are():
    call = record(duration_s=2.0, sent_s=0.1, ttfb_s=0.5, ttft_s=1.0)

    found = lanes(call, chunks(0.5, 1.5, sizes=[5, 10]))

    (wait,), (gap,), (total,) = found["Waiting"].bars, found["Longest gap"].bars, found["Total"].bars
    assert (wait.x, wait.x + wait.width) == pytest.approx((WIDTH * 0.05, WIDTH * 0.25), abs=3)
    assert (gap.x, gap.x + gap.width) == pytest.approx((WIDTH * 0.25, WIDTH * 0.75), abs=3)
    assert (total.x, total.width) == (0, WIDTH)
    assert [bar.height for bar in found["Answer"].bars] == [HEIGHT / 2, HEIGHT]


def test_a_connection_that_was_there_already_has_no_lanes():
    call = bare(duration_s=2.0, sent_s=0.1, overhead_s=0.05, ttfb_s=0.5)

    found = lanes(call)

    assert list(found) == ["Request", "Our own part", "Waiting", "Total"]


def test_a_request_that_was_never_sent_shows_where_it_stuck():
    call = bare(duration_s=2.0, dns_s=0.5, tcp_s=1.5, ttfb_s=2.0)

    found = lanes(call)

    assert list(found) == ["DNS", "TCP", "Total"]
    ((dns,), (tcp,)) = found["DNS"].bars, found["TCP"].bars
    assert (dns.x, tcp.x + tcp.width) == pytest.approx((0, WIDTH), abs=3)


def test_what_an_older_version_recorded_is_drawn_as_it_was():
    found = lanes(bare(duration_s=2.0, connect_s=0.1, ttfb_s=0.5))

    assert {label: lane.value for label, lane in found.items()} == {
        "Connect": "100 ms",
        "Waiting": "400 ms",
        "Total": "2.00 s",
    }


def test_each_attempt_has_a_line_with_its_steps():
    tried = (
        Attempt(upstream="a", started_s=0.1, ended_s=0.5, sent_s=0.3, tcp_s=0.1, tls_s=0.05),
        Attempt(upstream="b", started_s=0.6, ended_s=0.6, failure="left_alone"),
        Attempt(upstream="c", started_s=0.7, ended_s=1.0, dns_s=0.3, failure="upstream_unreachable"),
    )
    call = bare(duration_s=1.0)

    found = {lane.label: lane for lane in waterfall(call, Chunks(), tried)}

    assert [(label, lane.value) for label, lane in found.items()] == [
        ("Attempt 1", "400 ms"),
        ("Attempt 2", "0.0 ms"),
        ("Attempt 3", "300 ms"),
        ("Total", "1.00 s"),
    ]
    assert [bar.style for bar in found["Attempt 1"].bars] == ["tcp", "tls", "wait"]
    assert [bar.style for bar in found["Attempt 3"].bars] == ["dns"]
    tcp, tls, wait = found["Attempt 1"].bars
    assert (tcp.x, tls.x, wait.x, wait.x + wait.width) == pytest.approx((150, 250, 300, 500), abs=3)


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


@given(
    _seconds,
    _seconds,
    _seconds,
    st.lists(st.floats(0, 1e6), max_size=5),
    st.fixed_dictionaries(dict.fromkeys(("connect_s", "sent_s", *WAY), _seconds)),
    st.floats(0, 1e9),
)
def test_no_bar_leaves_the_picture(duration, first_byte, first_token, times, way, started):
    call = record(duration_s=duration, ttfb_s=first_byte, ttft_s=first_token, **way)
    tried = Attempt(upstream="a", started_s=started, ended_s=started, **way)

    for lane in waterfall(call, chunks(*times), [tried]):
        for bar in lane.bars:
            assert 0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.2
            assert bar.width > 0
            assert 0 <= bar.y <= bar.y + bar.height <= HEIGHT + 0.2
