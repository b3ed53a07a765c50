"""The calls of a session in time."""

from datetime import timedelta

from llm_proxy.ui.timeline import WIDTH, end_of, timeline
from records import NOON, bare, record


def at(second, took):
    return record(id=str(second), started_at=NOON + timedelta(seconds=second), duration_s=took)


def test_calls_that_run_at_the_same_time_lie_one_over_the_other():
    picture = timeline([at(0, 10), at(5, 2), at(8, 2), at(10, 10)])

    assert [bar.lane for bar in picture.bars] == [0, 1, 1, 0]
    assert picture.lanes == 2
    assert picture.bars[0].x == 0
    assert picture.bars[-1].x + picture.bars[-1].width <= WIDTH


def test_one_call_is_no_picture():
    assert timeline([at(0, 1)]) is None


def test_a_call_that_took_longer_than_time_itself_ends_when_it_began():
    assert end_of(record(duration_s=1e300)) == end_of(bare()) == NOON
