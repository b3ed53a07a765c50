"""What a supervisor knows of a child, without one: see test_supervisor.py for those that run."""

import selectors
import signal
import sys
import time

from llm_proxy.assignment import Assignment
from llm_proxy.child_process import ChildProcess
from running import PATIENCE_S

NOBODY = Assignment(role="no_such_role", index=0, settings="{}", number=3)


def died(child, selector):
    child.start(selector)
    child.process.wait(PATIENCE_S)
    assert child.has_ended
    child.forget(selector)


def test_one_that_never_was_ready_is_hopeless_after_a_few_starts(capfd):
    child = ChildProcess(NOBODY)
    with selectors.DefaultSelector() as selector:
        hopes = []
        for _ in range(3):
            died(child, selector)
            hopes.append(child.hopeless)
        watched = len(selector.get_map())

    assert hopes == [False, False, True]
    assert watched == 0
    assert "No module named" in capfd.readouterr().err


def test_one_that_dies_before_it_is_told_what_to_do_has_died_like_any_other(capfd):
    too_much_to_be_told_at_once = Assignment(role="no_such_role", index=0, settings="x" * 2**24)
    child = ChildProcess(too_much_to_be_told_at_once)

    with selectors.DefaultSelector() as selector:
        died(child, selector)

    assert child.starts == 1
    assert not child.hopeless
    assert "No module named" in capfd.readouterr().err


def test_one_that_cannot_be_started_is_tried_again_later(monkeypatch, tmp_path):
    child = ChildProcess(NOBODY)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "away"))

    with selectors.DefaultSelector() as selector:
        hopes = []
        for _ in range(3):
            child.start(selector)
            hopes.append(child.hopeless)
        watched = len(selector.get_map())

    assert (child.process, child.lifeline, watched) == (None, None, 0)
    assert child.restart_at > time.monotonic()
    assert hopes == [False, False, True]


def test_pauses_before_a_restart_grow_and_five_deaths_in_a_row_are_a_crash_loop():
    child = ChildProcess(NOBODY)

    loops, pauses = [], []
    for _ in range(6):
        pauses.append(child.pause_s)
        loops.append(child.plan_restart() is not None)

    assert loops == [False] * 4 + [True] * 2
    assert pauses == sorted(set(pauses))


def test_one_that_does_not_run_can_be_told_anything():
    child = ChildProcess(NOBODY)

    child.signal(signal.SIGTERM)
    child.retire(7.0)

    assert (child.name, child.kill_at, child.has_ended, child.exit_status) == ("no_such_role-3", 7.0, False, None)
