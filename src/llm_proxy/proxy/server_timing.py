"""Where the time went, for a client that asks: Server-Timing (https://www.w3.org/TR/server-timing/), in milliseconds.

What did not happen, or is not known, is left out. The header stands beside one of the upstream, which keeps its own.
"""

from llm_proxy.journal.format import Timing
from llm_proxy.proxy.transport.base import RawHeaders


def server_timing(timing: Timing | None, *, now_us: int) -> RawHeaders:
    """The header, ``now_us`` after the call began; none if nothing went upstream."""
    if timing is None:
        return []
    wait_us = None if timing.sent_us is None else now_us - timing.sent_us
    durations_us = {
        b"queue": timing.queued_us,
        b"dns": timing.dns_us,
        b"connect": timing.tcp_us,
        b"tls": timing.tls_us,
        b"wait": wait_us,
        b"overhead": timing.overhead_us,
    }
    metrics = [b"%b;dur=%.3f" % (name, us / 1000) for name, us in durations_us.items() if us is not None]
    return [(b"Server-Timing", b", ".join(metrics))] if metrics else []
