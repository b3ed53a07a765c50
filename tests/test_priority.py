"""With processes that wait for the end of their standard input."""

import contextlib
import ctypes
import os
import platform
import struct
import subprocess
import sys

import pytest

from llm_proxy.priority import give_way, take_short_turns


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


#: The number of sched_getattr(2), which tells what was asked for.
SCHED_GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}


@pytest.mark.skipif(
    sys.platform != "linux" or os.uname().machine not in SCHED_GETATTR, reason="of Linux on the machines that we know"
)
def test_turns_are_as_short_as_linux_grants_and_nothing_else_is_asked_for():
    told = ask_in_another_process("print(take_short_turns(), *attributes())").split()

    _, policy, _, nice, _, turn_ns, *_ = map(int, told[1:])
    assert (told[0], policy, nice) == ("True", os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0))
    if tuple(map(int, platform.release().split(".")[:2])) >= (6, 12):
        assert turn_ns == 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="of Linux")
def test_who_was_started_with_another_policy_keeps_it():
    line = "os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)); print(take_short_turns())"

    assert ask_in_another_process(f"{line}; print(os.sched_getscheduler(0))").split() == ["False", str(os.SCHED_BATCH)]


def test_where_turns_cannot_be_asked_for_nothing_happens(monkeypatch):
    monkeypatch.setattr(sys, "platform", "another")

    assert not take_short_turns()


def attributes():
    """Those of this thread: size, policy, flags, nice, priority, and nanoseconds of a turn, a deadline and a period."""
    told = ctypes.create_string_buffer(48)
    assert ctypes.CDLL(None).syscall(SCHED_GETATTR[os.uname().machine], 0, told, 48, 0) == 0
    return struct.unpack("=IIQiIQQQ", told)


def ask_in_another_process(line):
    command = [sys.executable, "-c", f"from tests.test_priority import *; {line}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
