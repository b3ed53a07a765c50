"""What the supervisor tells a child process to be, one line of JSON on its lifeline; and when others take its place."""

import msgspec

#: What the supervisor says later, on the lifeline: others have taken the child's place.
RETIRE = b"retire\n"


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One child process."""

    #: ``proxy``, ``shipper``, ``worker``, ``store`` or ``housekeeper``.
    role: str
    #: Number among the processes of its role that were started with it; the first has duties for all of them.
    index: int
    #: ``Settings.to_json()``.
    settings: str
    #: Where the store's socket is; None if no store runs beside this.
    runtime_dir: str | None = None
    #: The inherited listening socket, if this one has a port.
    listen_fd: int | None = None
    #: Whether a store takes in the journal of this host; otherwise a shipper does.
    takes_journal: bool = False

    #: Where the proxies beside this take calls, without a slash at its end; None if there are none.
    calls_url: str | None = None

    #: Number among all processes of its role that run: those of an earlier configuration may not have ended; None if it
    #: is ``index``.
    number: int | None = None
    #: The inherited ends of the queue of connections (handover.py), the one that is read first.
    handover_fds: tuple[int, int] | None = None
    #: Whether one of an earlier configuration runs until this one is ready.
    replaces: bool = False
    #: Names of the proxies that ran or were started when this one was, with its own.
    proxies: tuple[str, ...] = ()
    #: Whether what it does can wait: it is started after the others, and gives way to them.
    can_wait: bool = False

    @property
    def name(self) -> str:
        """What no other process of the same command has, and what is of it carries."""
        return f"{self.role}-{self.index if self.number is None else self.number}"

    def to_line(self) -> bytes:
        """One line of JSON."""
        return msgspec.json.encode(self) + b"\n"
