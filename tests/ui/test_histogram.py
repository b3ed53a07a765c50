"""How calls in time are drawn."""

from datetime import timedelta

import pytest

from llm_proxy.model.query import Bucket
from llm_proxy.ui.histogram import BARS, HEIGHT, drawn, span
from records import NOON


@pytest.mark.parametrize(
    ("took", "parts"),
    [
        (timedelta(seconds=3), 4),
        (timedelta(minutes=15), 61),
        (timedelta(hours=24), 49),
        (timedelta(days=7), 57),
        (timedelta(days=365), 53),
        (timedelta(days=20_000), 60),
    ],
)
def test_the_time_is_divided_as_people_divide_it(took, parts):
    start, end, count = span(NOON - took, NOON)

    assert start <= NOON - took
    assert end > NOON
    assert abs(count - parts) <= 1
    assert count <= BARS + 1


def test_a_bar_is_as_high_as_its_part_of_the_most_and_what_is_there_is_seen():
    buckets = [
        Bucket(since=NOON + timedelta(minutes=place), calls=calls, failed=failed)
        for place, (calls, failed) in enumerate([(1000, 500), (0, 0), (1, 1)])
    ]

    histogram = drawn(buckets, NOON + timedelta(minutes=3))

    first, last = histogram.bars
    assert (first.height, first.failed_height) == (HEIGHT / 2, HEIGHT / 2)
    assert (last.height, last.failed_height) == (0, 1.5)
    assert last.title.endswith("1 calls, 1 failed")
    assert histogram.summary.startswith("1,001 calls, 501 failed")
