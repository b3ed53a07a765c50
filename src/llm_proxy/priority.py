"""How much of the processor a process leaves to others, where it does not suffice for all."""

import contextlib
import os
import time
from pathlib import Path

#: By how much a store gives way (nice(2)) to those that answer calls. The less weight it has, the rarer it gets the
#: core of a proxy that has work, which then waits a tick of the kernel for it; and the later a call is on record where
#: others leave no core idle: see docs/performance.md.
STORE = 10
#: By how much what can wait gives way, to a store as well. Still more would not do: who is to write to a SQLite file
#: that it has locked waits for one that is hardly let run.
WHAT_CAN_WAIT = 13
#: Linux may weigh sessions against each other, and by how nice they are only the processes of one; each child is
#: a session of its own. This is how nice that is (sched(7), "The autogroup feature"), where there is such a thing.
_SESSION = "/proc/{}/autogroup"
#: It takes one at a time in so many seconds from those who are not root; as often it is tried.
_SESSION_PAUSE_S, _SESSION_TRIES = 0.1, 20


def give_way(by: int, *, pid: int | None = None) -> None:
    """Let others go first, by so much more than until now; ``pid`` is this process unless it is another one."""
    pid = pid or os.getpid()
    with contextlib.suppress(OSError):  # it has ended
        way = os.getpriority(os.PRIO_PROCESS, pid) + by
        os.setpriority(os.PRIO_PROCESS, pid, way)
        if os.getsid(pid) == pid:  # otherwise others of its session would give way, too
            _give_way_as_session(way, pid)


def _give_way_as_session(way: int, pid: int) -> None:
    for _ in range(_SESSION_TRIES):
        try:
            Path(_SESSION.format(pid)).write_text(str(way))
            break
        except BlockingIOError:
            time.sleep(_SESSION_PAUSE_S)
