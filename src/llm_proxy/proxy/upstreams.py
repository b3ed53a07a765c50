"""Upstreams: the APIs that calls can be sent to, how each takes its key, and how one is found by its name.

An upstream is a row of the table of providers at an address, or an address of which no more is known. Its key is a
finished header: a call that goes there with it carries no key of the client.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_proxy.errors import Refused
from llm_proxy.proxy.providers import PROVIDER_NAMES, Key, Provider, provider_named, provider_of_host
from llm_proxy.proxy.signature import Signer
from llm_proxy.proxy.transport.base import Origin

#: How a key is carried where nothing else is known (RFC 6750).
_BEARER = Key(header=b"authorization", scheme=b"Bearer ")
#: Where a signature will stand.
_SIGNATURE = (b"Authorization", b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """The key of an upstream as the header that carries it."""

    #: Where it speaks OpenAI's language.
    compatible: tuple[bytes, bytes]
    #: In its own API.
    native: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Upstream:
    """One provider's API, ready to be called."""

    name: str
    #: As the records name it.
    provider: str | None
    #: What is known of the provider; None if nothing is.
    row: Provider | None = None
    origin: Origin
    #: As the Host header names it.
    host: bytes
    #: Path of the base URL, without a slash at its end; stands for the ``/v1`` of OpenAI's language.
    base_path: bytes
    #: Path below which it has its own API, without a slash at its end.
    native_path: bytes = b""
    #: What the query says as ``api-version`` if the client's does not; None to add nothing.
    api_version: bytes | None = None
    #: None to pass the client's own key on.
    credential: Credential | None = None
    #: Makes a signature instead; the header that ``credential`` says is then what it is put in the place of.
    signer: Signer | None = None


class Upstreams:
    """All that can be called: those that are configured, one of them the default, and the providers that are known."""

    def __init__(self, default: Upstream, named: dict[str, Upstream], *, known: Iterable[Provider] = ()) -> None:
        """``known`` are those that can be called without being configured, with the client's own key."""
        self._default = default
        self._named = {default.name: default, **named}
        self._by_provider: dict[str, Upstream] = {}
        for upstream in self._named.values():
            if upstream.row is not None:
                self._by_provider.setdefault(upstream.row.name, upstream)
        for row in known:
            self._by_provider.setdefault(row.name, known_upstream(row))
        self._by_origin: dict[Origin, Upstream] = {}
        for upstream in (*self._named.values(), *self._by_provider.values()):
            self._by_origin.setdefault(upstream.origin, upstream)

    @property
    def default(self) -> Upstream:
        """Where calls go that say nothing else."""
        return self._default

    @property
    def configured(self) -> list[Upstream]:
        """All that are configured, the default first."""
        return list(self._named.values())

    def names(self) -> set[str]:
        """Every name that a path can begin with: a known provider has one also if it cannot be called."""
        return {*self._named, *PROVIDER_NAMES}

    def of(self, provider: str) -> Upstream | None:
        """The first upstream that is of this provider; None if it is neither configured nor to be called without."""
        return self._by_provider.get(provider)

    def at(self, origin: Origin) -> Upstream | None:
        """The first upstream that is there; None if there is none."""
        return self._by_origin.get(origin)

    def find(self, name: str) -> Upstream | None:
        """The one that is called ``name``, or is of the provider that is; None if none is or can be called."""
        row = provider_named(name)
        return self._named.get(name) or (self._by_provider.get(row.name) if row else None)

    def choose(self, name: str) -> Upstream:
        """The one that is called ``name``, or is of the provider that is. Raises Refused for an unknown name."""
        upstream = self.find(name)
        if upstream is not None:
            return upstream
        row = provider_named(name)
        if row is not None:
            raise Refused(
                f"the provider {row.name!r} is to be configured here, as upstreams.{row.name}, before it can be called",
                status=400,
                code="unknown_provider",
            )
        known = ", ".join(sorted(self._named))
        raise Refused(f"no upstream is called {name!r}; configured: {known}", status=400, code="unknown_provider")


def require_no_key(upstream: Upstream) -> None:
    """Raise Refused if ``upstream`` is known to want a key, of which there is none."""
    if upstream.row is not None and upstream.row.keys:
        option = "upstream_key_env" if upstream.name == "default" else f"upstreams.{upstream.name}.key_env"
        message = (
            f"no key of {upstream.row.name} is configured here for the upstream {upstream.name}, and the proxy key is"
            f" never sent there: set {option}, or send your own key where it belongs and the proxy key as X-LLM-Key"
        )
        raise Refused(message, status=401, code="no_provider_key")


def upstream_at(
    name: str,
    base_url: str | None,
    *,
    provider: str | None,
    key: str | None,
    native_url: str | None = None,
    api_version: str | None = None,
    region: str | None = None,
    key_header: str | None = None,
    aws: tuple[str, str, str | None] | None = None,
) -> Upstream:
    """The upstream of these settings. Raises ValueError, with a sentence, if they do not add up.

    ``aws`` is an access key id, its secret and a session token. Without a base URL it is the provider's own. What is
    known of the provider is found by its name, or by the host; if neither says anything, by the name of the upstream.
    """
    row = (provider_named(provider) if provider else None) or _row_at(base_url)
    row = row or (None if provider else provider_named(name))
    base = base_url or (row and _address_of(row, region))
    if not base:
        raise ValueError(_lacking(row))
    url = urlsplit(base)
    assert url.hostname is not None  # the type of the setting has seen to that
    base_path = url.path.rstrip("/")
    if row is not None and not base_path and row.base_url is None:
        base_path = row.compatible_path
    native_path = _native_path(row, base_path)
    if native_url is not None:
        native = urlsplit(native_url)
        if (native.scheme, native.netloc) != (url.scheme, url.netloc):
            raise ValueError("native_url must be at the host of base_url; another host is another upstream")
        native_path = native.path.rstrip("/")
    signer = _signer(aws, region, url.hostname) if aws else None
    credential = credential_of(row, key, header=key_header) if key else None
    return Upstream(
        name=name,
        provider=row.name if row and (provider is None or provider_named(provider)) else provider,
        row=row,
        origin=Origin(url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80)),
        host=url.netloc.encode("idna" if not url.netloc.isascii() else "ascii"),
        base_path=base_path.encode(),
        native_path=native_path.encode(),
        api_version=api_version.encode() if api_version else None,
        credential=Credential(compatible=_SIGNATURE, native=_SIGNATURE) if signer else credential,
        signer=signer,
    )


def known_upstream(row: Provider) -> Upstream:
    """The provider at its own address, for whoever has a key."""
    return upstream_at(row.name, row.base_url, provider=row.name, key=None)


def credential_of(row: Provider | None, key: str, *, header: str | None = None) -> Credential:
    """``key`` as ``row`` takes it, or in ``header``; as a bearer token where nothing is known."""
    if header is not None:
        name = header.lower().encode()
        way = _BEARER if name == _BEARER.header else Key(header=name)
        return Credential(compatible=_carried(way, key), native=_carried(way, key))
    native = next((way for way in row.keys if way.header and not way.is_signature), _BEARER) if row else _BEARER
    # Who has an API of its own besides takes OpenAI's clients as they are, with a bearer token.
    compatible = _BEARER if row and row.native_url else native
    return Credential(compatible=_carried(compatible, key), native=_carried(native, key))


def _signer(aws: tuple[str, str, str | None], region: str | None, host: str) -> Signer:
    # https://docs.aws.amazon.com/general/latest/gr/bedrock.html: bedrock-runtime.REGION.amazonaws.com
    labels = host.split(".")
    region = region or (labels[1] if host.endswith(".amazonaws.com") and len(labels) == 4 else None)
    if region is None:
        raise ValueError("region is required for a signature")
    access_key_id, secret_key, session_token = aws
    return Signer(access_key_id=access_key_id, secret_key=secret_key, session_token=session_token, region=region)


def _row_at(base_url: str | None) -> Provider | None:
    host = urlsplit(base_url).hostname if base_url else None
    return provider_of_host(host) if host else None


def _address_of(row: Provider, region: str | None) -> str | None:
    if row.base_url is None and row.regional_url is not None and region:
        return row.regional_url.format(region=region)
    return row.base_url


def _lacking(row: Provider | None) -> str:
    if row is None:
        return "is required, unless provider names one that is known"
    return f"is required, since that of {row.name} depends on " + ("region" if row.regional_url else "the account")


def _native_path(row: Provider | None, base_path: str) -> str:
    """Where the provider's own API begins: the base path without what stands there for OpenAI's language."""
    tail = row.compatible_path if row is not None else ""
    return base_path.removesuffix(tail if tail and base_path.endswith(tail) else "/v1")


def _carried(way: Key, key: str) -> tuple[bytes, bytes]:
    assert way.header is not None
    return b"-".join(word.capitalize() for word in way.header.split(b"-")), way.scheme + key.encode()
