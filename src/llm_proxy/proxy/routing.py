"""Where a call goes: which upstream, which path there, and which API it speaks."""

from dataclasses import dataclass

from llm_proxy.attribution.path import path_options
from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.transport.base import Origin, RawHeaders

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One provider's API, ready to be called."""

    name: str
    provider: str | None
    origin: Origin
    #: As the Host header names it.
    host: bytes
    #: Path of the base URL, without a slash at its end; takes the place of API_ROOT.
    base_path: bytes
    #: Value of the Authorization header if the key is ours; None to pass the client's own on.
    authorization: bytes | None = None


class Upstreams:
    """All that are configured, one of them the default."""

    def __init__(self, default: Upstream, named: dict[str, Upstream]) -> None:
        self._default = default
        self._named = {default.name: default, **named}

    def choose(self, name: str | None) -> Upstream:
        """The one that is called ``name``, or the default for None. Raises Refused for an unknown name."""
        if name is None:
            return self._default
        upstream = self._named.get(name)
        if upstream is None:
            known = ", ".join(sorted(self._named))
            raise Refused(f"no upstream is called {name!r}; configured: {known}", status=400, code="unknown_provider")
        return upstream


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


def upstream_target(upstream: Upstream, path: bytes, query: bytes) -> bytes:
    """The request target at the upstream for ``path`` below API_ROOT; nothing in it is decoded or normalised."""
    target = upstream.base_path + path
    return b"%b?%b" % (target, query) if query else target
