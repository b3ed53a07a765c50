"""Every error that crosses a file of ours; the type says what to do about it.

::

    LlmProxyError
     ├─ ConfigError            the settings are wrong: tell the operator, do not start
     ├─ Refused                the caller's fault: answer it with ``status`` and ``code``
     ├─ ClientDisconnected     the caller has gone: stop, there is nobody to answer
     ├─ UpstreamError          the upstream's fault: answer it with ``status`` and ``code``
     │   ├─ UpstreamUnreachable    no connection: 502
     │   ├─ UpstreamTimeout        no connection, or no byte, in time: 504
     │   └─ UpstreamBrokeOff       ended or garbled before its answer was complete: 502
     ├─ JournalUnwritable      the disk is full or gone: go on, count it
     │   └─ JournalFull            the size cap is reached
     ├─ QueueUnavailable       the queue is down, full or slow: keep what there is and try again
     ├─ EnvelopeUnreadable     never will work: bury the bytes
     ├─ NotImportable          the caller's file is not what it should be: say so
     ├─ StoreUnavailable       try the same batch again
     └─ StoreRejected          never will work: bury the record
"""

from typing import TypeAlias

#: Names and values.
Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]


class LlmProxyError(Exception):
    """Root of the tree."""


class ConfigError(LlmProxyError):
    """A setting is unknown, of the wrong type or impossible; the message is one line with source, key and reason."""


class Refused(LlmProxyError):
    """The call is not relayed, and it is the caller who can mend it."""

    def __init__(self, message: str, *, status: int, code: str, answer_headers: Headers = ()) -> None:
        """``answer_headers`` are those of the answer, besides the usual ones."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.answer_headers = answer_headers


class ClientDisconnected(LlmProxyError):
    """The caller closed its connection before its answer was complete."""


class UpstreamError(LlmProxyError):
    """The upstream gave no complete answer; ``status`` and ``code`` are what the caller is told."""

    status = 502
    code = "upstream_error"


class UpstreamUnreachable(UpstreamError):
    """No connection could be made: name, address, port or TLS."""

    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamError):
    """Nothing came for longer than the configured time."""

    status = 504
    code = "upstream_timeout"


class UpstreamBrokeOff(UpstreamError):
    """The connection ended, or its bytes were no HTTP, before the answer was complete."""

    code = "upstream_broke_off"


class JournalUnwritable(LlmProxyError):
    """The journal can take no more frames: disk full, not writable, or its size cap is reached."""

    #: As the account counts it: ``journal_unwritable`` or ``journal_full``.
    reason = "journal_unwritable"


class JournalFull(JournalUnwritable):
    """The size cap is reached."""

    reason = "journal_full"


class QueueUnavailable(LlmProxyError):
    """The queue cannot be reached, is full or does not answer; the same call may work later."""


class EnvelopeUnreadable(LlmProxyError):
    """The bytes are no exchange: of another version, or damaged."""


class NotImportable(LlmProxyError):
    """A file is not of the format that it should be of; the message is one line that says which file and why."""


class StoreUnavailable(LlmProxyError):
    """The store cannot be reached or is busy; the same call may work later."""


class StoreRejected(LlmProxyError):
    """The store will never take this record; the message says which and why."""
