"""Upstreams: the APIs that calls can be sent to, how each takes its key, and how one is found by its name.

An upstream is a row of the table of providers at an address, or an address of which no more is known. Its key is a
finished header: a call that goes there with it carries no key of the client.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from llm_proxy.errors import Refused
from llm_proxy.proxy.providers import Key, Provider, provider_named, provider_of_host
from llm_proxy.proxy.transport.base import Origin

#: How a key is carried where nothing else is known (RFC 6750).
_BEARER = Key(header=b"authorization", scheme=b"Bearer ")


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
    #: None to pass the client's own key on.
    credential: Credential | None = None


class Upstreams:
    """All that are configured, one of them the default."""

    def __init__(self, default: Upstream, named: dict[str, Upstream]) -> None:
        self._default = default
        self._named = {default.name: default, **named}

    @property
    def default(self) -> Upstream:
        """Where calls go that say nothing else."""
        return self._default

    def choose(self, name: str | None) -> Upstream:
        """The one that is called ``name``, or the default for None. Raises Refused for an unknown name."""
        if name is None:
            return self._default
        upstream = self._named.get(name)
        if upstream is None:
            known = ", ".join(sorted(self._named))
            raise Refused(f"no upstream is called {name!r}; configured: {known}", status=400, code="unknown_provider")
        return upstream


def upstream_at(name: str, base_url: str, *, provider: str | None, key: str | None) -> Upstream:
    """The upstream at ``base_url``; a known host tells its provider if ``provider`` does not."""
    url = urlsplit(base_url)
    assert url.hostname is not None  # whoever configures it has seen to that
    row = provider_named(provider) if provider else provider_of_host(url.hostname)
    return Upstream(
        name=name,
        provider=provider or (row.name if row else None),
        row=row,
        origin=Origin(url.scheme, url.hostname, url.port or (443 if url.scheme == "https" else 80)),
        host=url.netloc.encode("idna" if not url.netloc.isascii() else "ascii"),
        base_path=url.path.rstrip("/").encode(),
        credential=credential_of(row, key) if key else None,
    )


def credential_of(row: Provider | None, key: str) -> Credential:
    """``key`` as ``row`` takes it; as a bearer token where nothing is known."""
    native = next((way for way in row.keys if way.header and not way.is_signature), _BEARER) if row else _BEARER
    # Who has an API of its own besides takes OpenAI's clients as they are, with a bearer token.
    compatible = _BEARER if row and row.native_url else native
    return Credential(compatible=_carried(compatible, key), native=_carried(native, key))


def _carried(way: Key, key: str) -> tuple[bytes, bytes]:
    assert way.header is not None
    return b"-".join(word.capitalize() for word in way.header.split(b"-")), way.scheme + key.encode()
