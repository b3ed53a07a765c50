"""Copy one upstream response to the client as it arrives, and into the capture.

Never changes a byte, never parses, unless the proxy itself has asked a stream for its usage. A piece is in the journal
before it is sent, and so is the end: a client that has seen the last byte finds the call on record as ended. A client
that takes its time slows the upstream down.
"""

from llm_proxy.errors import ClientDisconnected
from llm_proxy.model.exchange import Ending
from llm_proxy.proxy.capture import Capture
from llm_proxy.proxy.cycle import WireCycle
from llm_proxy.proxy.headers import HeaderPolicy
from llm_proxy.proxy.stream_usage import UsageFilter, is_readable
from llm_proxy.proxy.transport.base import RawHeaders, UpstreamResponse


async def relay(
    response: UpstreamResponse,
    policy: HeaderPolicy,
    capture: Capture,
    wire: WireCycle,
    *,
    own: RawHeaders,
    trim: bool = False,
) -> None:
    """Relay ``response`` to its end; ``own`` headers are put behind its own. Raises what the upstream's end raises.

    ``trim`` keeps from the client what tells the usage of a stream, which it has not asked for.
    """
    headers, recorded = policy.response(response.headers)
    capture.answer(response.status, recorded)
    if response.status >= 400:
        capture.keep_bodies()
    # The head waits for nothing; what has arrived with it leaves with it.
    piece = response.available()
    done = _note(piece, response, capture)
    usage_filter = UsageFilter() if trim and is_readable(response.status, response.headers) else None
    if usage_filter is not None:
        piece = usage_filter.passed(piece, last=done)
    await wire.begin(response.status, headers + own, piece, more=not done)
    while not done:
        if wire.disconnected:
            raise ClientDisconnected("the client closed its connection")
        piece = await response.read()
        done = _note(piece, response, capture)
        if usage_filter is not None:
            piece = usage_filter.passed(piece, last=done)
        if piece or done:
            await wire.go_on(piece, more=not done)


def _note(piece: bytes, response: UpstreamResponse, capture: Capture) -> bool:
    """Have ``piece`` in the journal, and the end if it was the last one; whether it was."""
    if piece:
        capture.chunk(piece)
    if response.complete:
        capture.end(Ending.UPSTREAM_ERROR if response.status >= 400 else Ending.COMPLETE)
        return True
    capture.commit()
    return False
