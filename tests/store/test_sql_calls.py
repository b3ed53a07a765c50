"""Sums of calls add up, and reading ends in time; what is read of them is in test_sql_series.py."""

from llm_proxy.store.measures import Measures
from llm_proxy.store.sql_calls import Patience, Stretch, merge, newest_first, together

SECOND = 1_000_000


def test_what_is_in_either_of_two_sums_is_in_both_together():
    sums = {"a": {0: Measures(calls=1)}}

    merge(sums, {"a": {0: Measures(calls=2), 60: Measures(calls=3)}, None: {0: Measures(calls=4)}})

    assert sums == {"a": {0: Measures(calls=3), 60: Measures(calls=3)}, None: {0: Measures(calls=4)}}


def test_together_is_every_line_added_up():
    parts = {"a": {0: Measures(calls=1), 60: Measures(calls=2)}, None: {0: Measures(calls=4)}}

    whole = together(parts)

    assert whole == {None: {0: Measures(calls=5), 60: Measures(calls=2)}}
    assert parts["a"][0] == Measures(calls=1)


def test_the_newest_are_read_first_and_what_is_older_not_any_more_when_the_patience_is_over():
    read = []
    hours = [Stretch(0, 600 * SECOND), Stretch(3600 * SECOND, 7200 * SECOND, grain_us=3600 * SECOND)]

    def note(stretch, patience):
        read.append((stretch.since_us // SECOND, stretch.until_us // SECOND))
        return True

    impatient = newest_first(hours, note, Patience(0.0))
    all_of_it = newest_first(hours, note, Patience(None))

    assert (impatient, all_of_it) == (600 * SECOND, None)
    assert read == [(3600, 7200), (3600, 7200), (0, 600)]


def test_a_part_that_was_not_read_to_its_end_does_not_count():
    reached = newest_first([Stretch(0, 600 * SECOND)], lambda stretch, _: stretch.until_us > 500 * SECOND, Patience(60))

    assert 0 < reached <= 500 * SECOND
