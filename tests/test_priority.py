"""With processes that wait for the end of their standard input."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llm_proxy.priority import give_way


@contextlib.contextmanager
def waiting(*, own_session):
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=own_session,
    )
    try:
        yield process.pid
    finally:
        process.communicate()


def session_of(pid):
    try:
        return Path(f"/proc/{pid}/autogroup").read_text().partition(" ")[2]
    except FileNotFoundError:
        pytest.skip("this kernel does not weigh sessions")


def test_it_gives_way_by_so_much_more_than_until_now():
    with waiting(own_session=True) as pid:
        before = os.getpriority(os.PRIO_PROCESS, pid)

        give_way(2, pid=pid)
        give_way(3, pid=pid)

        assert os.getpriority(os.PRIO_PROCESS, pid) == before + 5


def test_its_session_gives_way_as_well_where_the_kernel_weighs_sessions_and_not_processes():
    with waiting(own_session=True) as pid:
        way = os.getpriority(os.PRIO_PROCESS, pid) + 3

        give_way(3, pid=pid)

        assert session_of(pid) == f"nice {way}\n"


def test_a_session_of_others_stays_as_it_is():
    with waiting(own_session=False) as pid:
        before = session_of(pid)

        give_way(3, pid=pid)

        assert session_of(pid) == before


def test_one_that_has_ended_gives_way_no_more():
    with waiting(own_session=True) as pid:
        pass

    give_way(3, pid=pid)
