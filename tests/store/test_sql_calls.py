"""Sums of calls add up; what is read of them is in test_sql_series.py."""

from llm_proxy.store.measures import Measures
from llm_proxy.store.sql_calls import merge, together


def test_what_is_in_either_of_two_sums_is_in_both_together():
    sums = {"a": {0: Measures(calls=1)}}

    merge(sums, {"a": {0: Measures(calls=2), 60: Measures(calls=3)}, None: {0: Measures(calls=4)}})

    assert sums == {"a": {0: Measures(calls=3), 60: Measures(calls=3)}, None: {0: Measures(calls=4)}}


def test_together_is_every_line_added_up():
    parts = {"a": {0: Measures(calls=1), 60: Measures(calls=2)}, None: {0: Measures(calls=4)}}

    whole = together(parts)

    assert whole == {None: {0: Measures(calls=5), 60: Measures(calls=2)}}
    assert parts["a"][0] == Measures(calls=1)
