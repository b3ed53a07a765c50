"""Calls counted per key, over several processes, on files."""

import os
import time

import pytest

from llm_proxy.proxy import rates as module
from llm_proxy.proxy.rates import Rates, RatesSeen, forget_running

KEY, OTHER = bytes(range(16)), bytes(range(1, 17))
#: The beginning of a minute.
MINUTE = 1_800_000_000.0 // 60 * 60


@pytest.fixture
def two(tmp_path):
    names = ["proxy-0", "proxy-1"]
    return Rates(tmp_path, "proxy-0", names), Rates(tmp_path, "proxy-1", names)


def test_processes_see_what_the_others_have_counted_and_each_key_by_itself(two):
    first, second = two

    for rates in (first, first, second):
        assert rates.begin(KEY, MINUTE)
    first.end(KEY)

    assert [(rates.look(KEY, MINUTE).calls, rates.look(KEY, MINUTE).running) for rates in two] == [(3, 2), (3, 2)]
    assert (first.look(OTHER, MINUTE).calls, first.look(OTHER, MINUTE).running) == (0, 0)


@pytest.mark.parametrize(("later_s", "calls"), [(0, 10), (59, 10), (60, 10), (75, 7.5), (90, 5), (119.9, 0), (180, 0)])
def test_a_call_counts_for_a_minute(two, later_s, calls):
    rates, _ = two
    for _ in range(10):
        rates.begin(KEY, MINUTE)

    assert rates.look(KEY, MINUTE + later_s).calls == pytest.approx(calls, abs=0.1)


def test_a_limit_eases_within_the_minute(two):
    rates, _ = two
    for _ in range(10):
        rates.begin(KEY, MINUTE)

    assert rates.look(KEY, MINUTE + 20).eases_in_s == pytest.approx(40)
    assert rates.look(KEY, MINUTE + 61).eases_in_s == pytest.approx(6)


def test_what_ran_when_a_process_was_killed_runs_no_more_after_its_start(tmp_path, two):
    first, second = two
    first.begin(KEY, MINUTE)

    Rates(tmp_path, "proxy-0", ["proxy-0", "proxy-1"])

    assert second.look(KEY, MINUTE).running == 0


def test_what_was_counted_within_the_last_minute_counts_on_after_a_start(tmp_path):
    earlier = Rates(tmp_path, "proxy-0")
    now = time.time()
    for key, at in ((KEY, now), (KEY, now), (OTHER, now - 300)):
        earlier.begin(key, at)

    later = Rates(tmp_path, "proxy-0")

    assert (later.look(KEY, now).calls, later.look(KEY, now).running) == (2, 0)
    assert later.look(OTHER, now - 300).calls == 0


def test_of_a_process_that_has_ended_nothing_runs_and_its_calls_still_count(tmp_path, two):
    first, second = two
    now = time.time()
    first.begin(KEY, now)

    forget_running(tmp_path, "proxy-0")
    forget_running(tmp_path, "nobody")

    assert (second.look(KEY, now).calls, second.look(KEY, now).running) == (1, 0)


def test_a_call_that_was_not_counted_ends_without_harm(two):
    rates, _ = two

    rates.end(KEY)

    assert rates.look(KEY, MINUTE).running == 0


def test_a_full_table_counts_no_further_keys(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CELLS", 4)
    rates = Rates(tmp_path, "proxy-0")
    known = [os.urandom(16) for _ in range(4)]

    counted = [rates.begin(key, MINUTE) for key in [*known, KEY]]

    assert counted == [True] * 4 + [False]
    assert rates.look(known[3], MINUTE).calls == 1
    assert rates.look(KEY, MINUTE).calls == 0


def test_who_only_looks_sees_what_all_have_counted_and_changes_nothing(tmp_path, two):
    for rates in two:
        rates.begin(KEY, MINUTE)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    seen = RatesSeen(tmp_path, ["proxy-0", "proxy-1", "proxy-2"])
    began = seen.begin(KEY, MINUTE)
    seen.end(KEY)

    assert (began, seen.look(KEY, MINUTE).calls, seen.look(KEY, MINUTE).running) == (True, 2, 2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
