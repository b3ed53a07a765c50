"""How much of the processor a process leaves to others, where it does not suffice for all."""

import contextlib
import os

#: By how much a store gives way (nice(2)) to those that answer calls. The less weight it has, the rarer it gets the
#: core of a proxy that has work, which then waits a tick of the kernel for it; and the later a call is on record where
#: others leave no core idle: see docs/performance.md.
STORE = 10
#: By how much what can wait gives way, to a store as well. Still more would not do: who is to write to a SQLite file
#: that it has locked waits for one that is hardly let run.
WHAT_CAN_WAIT = 13


def give_way(by: int, *, pid: int | None = None) -> None:
    """Let others go first, by so much more than until now; ``pid`` is this process unless it is another one.

    Linux may weigh sessions against each other (sched(7), "The autogroup feature"), and by how nice they are only the
    processes of one: those of one supervisor are therefore in the same.
    """
    pid = pid or os.getpid()
    with contextlib.suppress(OSError):  # it has ended
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, pid) + by)
