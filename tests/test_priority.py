"""With processes that wait for the end of their standard input."""

import contextlib
import os
import subprocess
import sys

from llm_proxy.priority import give_way


@contextlib.contextmanager
def waiting():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.communicate()


def test_it_gives_way_by_so_much_more_than_until_now():
    with waiting() as pid:
        before = os.getpriority(os.PRIO_PROCESS, pid)

        give_way(2, pid=pid)
        give_way(3, pid=pid)

        assert os.getpriority(os.PRIO_PROCESS, pid) == min(before + 5, 19)


def test_one_that_has_ended_gives_way_no_more():
    with waiting() as pid:
        pass

    give_way(3, pid=pid)
