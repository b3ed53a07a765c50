"""Where a call goes: which upstream, which path there, and which API it speaks."""

import re
from typing import NamedTuple

from llm_proxy.errors import Refused
from llm_proxy.model.exchange import Endpoint
from llm_proxy.proxy.addresses import API_ROOT, Address
from llm_proxy.proxy.credentials import split_key
from llm_proxy.proxy.providers import ANYBODY, Provider, endpoint_at
from llm_proxy.proxy.upstreams import Upstream, Upstreams

_NO_CALL = "only paths below /v1, below the name of an upstream, and those of a provider's own API are relayed"
_BELOW_API_ROOT = API_ROOT + b"/"
_PREFIXED_MODEL = re.compile(rb"/models/([A-Za-z0-9_-]+)(?:/|%2[Ff])(.+)")
_API_VERSION = re.compile(rb"(?:^|&)api-version=")
#: What clients of OpenAI's language call, with a key as they carry it.
_COMPATIBLE_ENDPOINTS = frozenset(
    {
        Endpoint.CHAT,
        Endpoint.TEXT,
        Endpoint.EMBEDDINGS,
        Endpoint.RESPONSES,
        Endpoint.MODERATIONS,
        Endpoint.IMAGES,
        Endpoint.SPEECH,
        Endpoint.TRANSCRIPTION,
        Endpoint.REALTIME,
    }
)


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
    #: Whether the client's keys are left out though nothing takes their place: they are for elsewhere.
    strips_keys: bool = False


def choose(upstreams: Upstreams, address: Address | None, name: str | None) -> Upstream:
    """The upstream that a call is for: ``name`` beats the path. Raises Refused if there is none."""
    if address is None:
        raise Refused(_NO_CALL, status=404, code="not_found")
    if name is None and address.name == "openai" and (upstream := _azure_alone(upstreams)) is not None:
        return upstream
    if name is not None or address.name is not None:
        return upstreams.choose(name or address.name or "")
    if address.provider is None:
        return upstreams.default
    return _of_provider(upstreams, address, address.provider)


def by_prefix(upstreams: Upstreams, model: str | None) -> tuple[Upstream, str] | None:
    """The upstream that stands before the slash in ``model``, and what stands behind; None if none is called so."""
    name, slash, rest = (model or "").partition("/")
    upstream = upstreams.find(name) if slash and rest else None
    return (upstream, rest) if upstream is not None else None


def by_path_prefix(upstreams: Upstreams, path: bytes) -> tuple[Upstream, bytes] | None:
    """The same for ``/models/NAME/model``, in which the slash may be encoded; what stands behind is a path again."""
    found = _PREFIXED_MODEL.fullmatch(path)
    upstream = upstreams.find(found[1].decode()) if found else None
    return (upstream, b"/models/" + found[2]) if found and upstream is not None else None


def _of_provider(upstreams: Upstreams, address: Address, provider: str) -> Upstream:
    """Where a path is sent that only ``provider`` has, or whoever speaks its language as well."""
    default = upstreams.default
    configured = next((upstream for upstream in upstreams.configured if _is_of(upstream, provider)), None)
    if configured is not None:
        return configured
    if not address.is_native and (default.row is None or _serves(default.row, address)):
        return default
    known = upstreams.of(provider)
    if known is None:
        raise Refused(
            f"such paths are of {provider}, which is to be configured here before it can be called,"
            f" for example as upstreams.{provider}",
            status=404,
            code="unknown_provider",
        )
    return known


def _azure_alone(upstreams: Upstreams) -> Upstream | None:
    """The upstream of Azure, if it is configured and OpenAI is not: ``/openai/v1`` is then Azure's own path.

    https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle: the API without versions.
    """
    azure = None
    for upstream in upstreams.configured:
        if upstream.name == "openai" or _is_of(upstream, "openai"):
            return None
        if azure is None and _is_of(upstream, "azure"):
            azure = upstream
    return azure


def _is_of(upstream: Upstream, provider: str) -> bool:
    return upstream.row is not None and upstream.row.name == provider


def _serves(row: Provider, address: Address) -> bool:
    return endpoint_at(row, b"POST", API_ROOT + address.path) is not Endpoint.OTHER


def target_at(upstream: Upstream, address: Address, method: bytes, query: bytes) -> Target:
    """What ``address`` asks for, at ``upstream``; nothing in it is decoded or normalised."""
    row = upstream.row or ANYBODY
    path, is_native = address.path, address.is_native
    if is_native and row.native_url is None and path.startswith(_BELOW_API_ROOT):
        path, is_native = path[len(API_ROOT) :], False  # who has no API of its own has its base URL there
    target = (upstream.native_path if is_native else upstream.base_path) + path
    endpoint = endpoint_at(row, method, target.removeprefix(upstream.native_path))
    if endpoint is Endpoint.OTHER and not is_native:  # at a base URL of somebody's own
        endpoint = endpoint_at(ANYBODY, method, API_ROOT + path)
    credential = _credential(upstream, endpoint, is_native=is_native)
    if query and credential is not None:
        query, _ = split_key(query)
    if upstream.api_version is not None and not _API_VERSION.search(query):
        query = b"&".join(filter(None, [query, b"api-version=" + upstream.api_version]))
    return Target(
        upstream=upstream,
        target=b"%b?%b" % (target, query) if query else target,
        endpoint=endpoint,
        credential=credential,
    )


def _credential(upstream: Upstream, endpoint: Endpoint, *, is_native: bool) -> tuple[bytes, bytes] | None:
    if upstream.credential is None:
        return None
    # Anthropic has both its APIs at the same place.
    is_apart = upstream.base_path != upstream.native_path + API_ROOT
    if endpoint in _COMPATIBLE_ENDPOINTS or (is_apart and not is_native):
        return upstream.credential.compatible
    return upstream.credential.native
