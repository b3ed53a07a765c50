"""What the supervisor tells a child process to be: one line of JSON on the child's lifeline."""

import msgspec


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """One child process."""

    #: ``proxy`` or ``store``.
    role: str
    #: Number among the processes of its role.
    index: int
    #: ``Settings.to_json()``.
    settings: str
    #: Where the store's socket is.
    runtime_dir: str
    #: The inherited listening socket of a proxy.
    listen_fd: int | None = None

    def to_line(self) -> bytes:
        """One line of JSON."""
        return msgspec.json.encode(self) + b"\n"
