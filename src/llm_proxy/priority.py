"""How much of the processor a process leaves to others, where it does not suffice for all, and how soon it gets it."""

import contextlib
import ctypes
import os
import struct
import sys

#: By how much a store gives way (nice(2)) to those that answer calls. The less weight it has, the rarer it gets the
#: core of a proxy that has work, which then waits a tick of the kernel for it; and the later a call is on record where
#: others leave no core idle: see docs/performance.md.
STORE = 10
#: By how much what can wait gives way, to a store as well. Still more would not do: who is to write to a SQLite file
#: that it has locked waits for one that is hardly let run.
WHAT_CAN_WAIT = 13

#: The number of sched_setattr(2), of which glibc has had a function only since 2.41, by machine.
_SCHED_SETATTR = {"x86_64": 314, "aarch64": 274, "riscv64": 274}
#: Of ``struct sched_attr``: size, policy, flags, nice, priority, and runtime, deadline and period in nanoseconds.
_ATTRIBUTES = struct.Struct("=IIQiIQQQ")
#: The shortest turn that Linux grants.
_TURN_NS = 100_000


def give_way(by: int, *, pid: int | None = None) -> None:
    """Let others go first, by so much more than until now; ``pid`` is this process unless it is another one.

    Linux may weigh sessions against each other (sched(7), "The autogroup feature"), and by how nice they are only the
    processes of one: those of one supervisor are therefore in the same.
    """
    pid = pid or os.getpid()
    with contextlib.suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + by)


def take_short_turns() -> bool:
    """Let this thread, and those that it starts, have the processor often and briefly; whether that could be asked for.

    Linux (6.12 and newer) then takes the processor from one with longer turns the moment this one has something to do,
    where otherwise it lets that one go on until its turn is over, for some milliseconds. The share of each stays as it
    is (Documentation/scheduler/sched-eevdf.rst). An older one takes no notice, and who was started with another policy
    (chrt(1)) keeps it.
    """
    number = _SCHED_SETATTR.get(os.uname().machine) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return False
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = _ATTRIBUTES.pack(_ATTRIBUTES.size, os.SCHED_OTHER, 0, nice, 0, _TURN_NS, 0, 0)
    return bool(ctypes.CDLL(None).syscall(number, 0, attributes, 0) == 0)
