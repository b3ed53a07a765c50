"""Whose the records are, and who may do what with them.

Everything belongs to one organisation, and may belong to one of its projects. A key is 256 random bits that are shown
once, when it is made; what is kept of it is its SHA-256, which tells nothing about so many bits, and enough characters
to recognise it by.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from llm_proxy.model.exchange import new_id
from llm_proxy.model.key_terms import NO_TERMS, Terms

_SECRET_BYTES = 32
#: What a key begins with, so that it is recognised as one of ours wherever it turns up.
MARK = "llmp_"
_SHOWN_CHARACTERS = 4
#: Of a name or a label.
MAX_NAME_CHARACTERS = 200


class Scope(StrEnum):
    """What a key may be used for; none of them includes another."""

    #: To relay calls.
    PROXY = "proxy"
    #: To push records, sessions and feedback.
    WRITE = "write"
    #: To look at what is recorded.
    READ = "read"
    #: To manage the keys and projects of the organisation.
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization:
    """A tenant: no other one sees what is its."""

    id: str
    #: No two have the same.
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A part of an organisation; Maxim calls it a log repository."""

    id: str
    organization_id: str
    #: No two of an organisation have the same.
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept and listed."""

    id: str
    organization_id: str
    #: None for a key of the whole organisation.
    project_id: str | None = None
    label: str | None = None
    scopes: frozenset[Scope]
    #: First and last characters.
    shown: str
    created_at: datetime
    #: To the minute; None if never.
    last_used_at: datetime | None = None
    #: From then on it is not valid; None if it always will be. A key that was revoked has expired.
    expires_at: datetime | None = None
    #: For calls that it relays.
    terms: Terms = NO_TERMS

    def is_valid(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownKey:
    """A key with what is needed to let somebody in by it."""

    key: ApiKey
    hash: bytes
    organization_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who asks, and for which organisation."""

    organization_id: str
    project_id: str | None = None
    scopes: frozenset[Scope]
    #: Whether it may act for any organisation: who runs the proxy itself.
    everywhere: bool = False
    #: Who it is to others, and to himself tomorrow: the label of the key, or else how it is shown.
    who: str = "whoever runs the proxy"

    def has_project(self, project_id: str | None) -> bool:
        """Whether what belongs to this project, or to none, is there for it: everything but for a key of a project."""
        return self.project_id is None or self.project_id == project_id


def new_secret() -> str:
    """A fresh key."""
    return MARK + secrets.token_urlsafe(_SECRET_BYTES)


def secret_hash(secret: str) -> bytes:
    """What is kept of a key in its place."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()


def new_key(
    secret: str,
    organization_id: str,
    *,
    scopes: frozenset[Scope],
    now: datetime,
    project_id: str | None = None,
    label: str | None = None,
    terms: Terms = NO_TERMS,
) -> ApiKey:
    """The key that ``secret`` is from ``now`` on."""
    return ApiKey(
        id=new_id(),
        organization_id=organization_id,
        project_id=project_id,
        label=label,
        scopes=scopes,
        shown=_shown(secret),
        created_at=now,
        terms=terms,
    )


def successor(old: ApiKey, secret: str, *, now: datetime) -> ApiKey:
    """The key that ``secret`` is in the place of ``old``."""
    return replace(old, id=new_id(), shown=_shown(secret), created_at=now, last_used_at=None, expires_at=None)


def checked_name(name: str) -> str:
    """``name`` as it is kept. Raises ValueError, with a message for whoever wrote it."""
    name = name.strip()
    if not name or not name.isprintable():
        raise ValueError("must be visible text of one line")
    if len(name) > MAX_NAME_CHARACTERS:
        raise ValueError(f"must not be longer than {MAX_NAME_CHARACTERS} characters")
    return name


def parse_scopes(text: str) -> frozenset[Scope]:
    """The scopes that ``text`` names, with commas between them. Raises ValueError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(Scope)]
    if unknown or not names:
        raise ValueError(f"{', '.join(unknown) or text!r} is no scope; there are {', '.join(Scope)}")
    return frozenset(map(Scope, names))


def _shown(secret: str) -> str:
    return f"{secret[: len(MARK) + _SHOWN_CHARACTERS]}…{secret[-_SHOWN_CHARACTERS:]}"
