"""Where a call goes: which upstream, which path there, and which API it speaks."""

from typing import NamedTuple

from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.upstreams import Upstream

#: What clients put behind the host; an upstream's base URL stands for it.
API_ROOT = b"/v1"
#: By method and path behind the root; what is not here is relayed just the same, as OTHER.
_ENDPOINTS = {
    (b"POST", b"/chat/completions"): Endpoint.CHAT,
    (b"POST", b"/completions"): Endpoint.TEXT,
    (b"POST", b"/embeddings"): Endpoint.EMBEDDINGS,
    (b"POST", b"/responses"): Endpoint.RESPONSES,
}


class Target(NamedTuple):
    """One place that a call can be sent to, with all that is particular to it."""

    upstream: Upstream
    #: Path and query there, as they go on the wire.
    target: bytes
    #: Which API it is.
    endpoint: Endpoint
    #: The header that takes the place of the client's keys; None to pass those on.
    credential: tuple[bytes, bytes] | None = None
    #: To be written into the body; None to leave it as it is.
    model: str | None = None


def endpoint_of(method: bytes, path: bytes) -> Endpoint:
    """Which API a path (below API_ROOT, without the query) belongs to."""
    return _ENDPOINTS.get((method, path), Endpoint.OTHER)


def target_at(upstream: Upstream, method: bytes, path: bytes, query: bytes) -> Target:
    """``path`` below API_ROOT at ``upstream``; nothing in it is decoded or normalised."""
    target = upstream.base_path + path
    return Target(
        upstream=upstream,
        target=b"%b?%b" % (target, query) if query else target,
        endpoint=endpoint_of(method, path),
        credential=upstream.credential.compatible if upstream.credential else None,
    )
