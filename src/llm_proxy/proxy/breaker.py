"""Leave an upstream alone that fails, until one call has found out that it works again.

::

    closed ── so many failures in so much time ──▶ open ── after a time ──▶ half open: one call is let through
       ▲                                             ▲                           │
       └────────────── it went well ─────────────────┼───────────────────────────┤
                                                     └───────── it failed ───────┘

Each process has its own. Pure but for the log: the time is given, on a monotonic clock.
"""

from collections import deque
from enum import StrEnum

from llm_proxy.log import get_logger
from llm_proxy.metrics import Ledger

_log = get_logger(__name__)


class State(StrEnum):
    """Whether calls go through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """That of one upstream."""

    def __init__(self, name: str, *, failures: int, window_s: float, open_s: float, ledger: Ledger) -> None:
        self._name = name
        self._most = failures
        self._window_s = window_s
        self._open_s = open_s
        self._ledger = ledger
        self._failed_at: deque[float] = deque(maxlen=failures)
        self._opened_at: float | None = None
        self._is_probing = False

    def state(self, now: float) -> State:
        """What it does with calls at ``now``."""
        if self._opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if now - self._opened_at >= self._open_s else State.OPEN

    def admits(self, now: float) -> bool:
        """Whether a call would go through."""
        state = self.state(now)
        return state is State.CLOSED or (state is State.HALF_OPEN and not self._is_probing)

    def begin(self, now: float) -> "Passage | None":
        """Let a call through, if one may go; what became of it must be said to the passage."""
        if not self.admits(now):
            return None
        self._is_probing = self._opened_at is not None
        return Passage(self, is_probe=self._is_probing)

    def _close(self) -> None:
        self._opened_at, self._is_probing = None, False
        self._failed_at.clear()
        self._ledger.put("breakers_open", max(self._ledger.get("breakers_open") - 1, 0))
        self._ledger.put_left_alone(self._name, 0)
        _log.warning("an upstream works again; calls go to it", upstream=self._name)

    def _fail(self, now: float) -> None:
        if self._opened_at is not None:  # it began before that, and says nothing new
            return
        self._failed_at.append(now)
        if len(self._failed_at) == self._most and now - self._failed_at[0] <= self._window_s:
            self._opened_at = now
            self._ledger.add("breaker_openings")
            self._ledger.put("breakers_open", self._ledger.get("breakers_open") + 1)
            self._ledger.put_left_alone(self._name, 1)
            _log.warning(
                "an upstream fails; it is left alone for a while",
                upstream=self._name,
                failures=self._most,
                seconds=self._open_s,
            )

    def _end_probe(self, failed_at: float | None) -> None:
        self._is_probing = False
        if failed_at is not None:
            self._opened_at = failed_at


class Passage:
    """One call that was let through."""

    __slots__ = ("_breaker", "_is_probe")

    def __init__(self, breaker: Breaker, *, is_probe: bool) -> None:
        self._breaker = breaker
        self._is_probe = is_probe

    def succeed(self) -> None:
        """It went well."""
        if self._is_probe:
            self._breaker._close()  # noqa: SLF001 - two halves of one thing

    def fail(self, now: float) -> None:
        """It failed, and that was the upstream's fault."""
        if self._is_probe:
            self._breaker._end_probe(now)  # noqa: SLF001
        else:
            self._breaker._fail(now)  # noqa: SLF001

    def let_go(self) -> None:
        """It ended without telling anything about the upstream."""
        if self._is_probe:
            self._breaker._end_probe(None)  # noqa: SLF001


class Breakers:
    """One for each upstream."""

    def __init__(self, *, failures: int, window_s: float, open_s: float, ledger: Ledger) -> None:
        """``failures`` within ``window_s`` open one for ``open_s``."""
        self._limits = {"window_s": window_s, "open_s": open_s}
        self._failures = failures
        self._ledger = ledger
        self._by_name: dict[str, Breaker] = {}
        ledger.put("breakers_open", 0)  # the process before this one may have left some

    def of(self, upstream: str) -> Breaker:
        """That of the upstream of this name."""
        breaker = self._by_name.get(upstream)
        if breaker is None:
            breaker = self._by_name[upstream] = Breaker(
                upstream, failures=self._failures, ledger=self._ledger, **self._limits
            )
        return breaker
