"""Where a call goes: which upstream, which path there, and which API it speaks."""

from dataclasses import dataclass
from typing import NamedTuple

from llm_proxy.attribution.path import path_options
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.transport.base import RawHeaders
from llm_proxy.proxy.upstreams import Upstream

#: What clients put behind the host; an upstream's base URL stands for it.
API_ROOT = b"/v1"
#: Headers that the proxy itself obeys.
_WISHES = {b"x-llm-provider": "provider", b"x-llm-log": "log"}
_WISH_LENGTHS = frozenset(len(name) for name in _WISHES)
_LOG_WORDS = frozenset({"full", "metadata", "off"})
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


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller says about its call: in headers, or in the path prefix for tools that can only set a base URL."""

    provider: str | None = None
    #: ``full``, ``metadata`` or ``off``.
    log: str = "full"


def wishes(headers: RawHeaders, path_context: str | None) -> Wishes:
    """A header beats the path prefix; a word that is not known changes nothing."""
    named = {
        _WISHES[lower]: value.decode("latin-1").strip().lower()
        for name, value in headers
        if len(name) in _WISH_LENGTHS and (lower := name.lower()) in _WISHES
    }
    if path_context is None and not named:
        return _NO_WISHES
    in_path = path_options(path_context) if path_context else {}
    log = next((word for word in (named.get("log"), in_path.get("log")) if word in _LOG_WORDS), "full")
    return Wishes(named.get("provider") or in_path.get("provider"), log)


_NO_WISHES = Wishes()


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
