"""What the supervisor tells a child process to be: one line of JSON on the child's lifeline."""

import msgspec


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One child process."""

    #: ``proxy``, ``shipper``, ``worker`` or ``store``.
    role: str
    #: Number among the processes of its role.
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

    def to_line(self) -> bytes:
        """One line of JSON."""
        return msgspec.json.encode(self) + b"\n"
