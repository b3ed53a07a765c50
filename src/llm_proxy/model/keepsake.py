"""What people keep of the pages: a filter under a name, and a link that shows one thing to whoever has it.

The token of a link is its id and a signature of that: what nobody signed is looked up nowhere.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A list of calls under a name."""

    organization_id: str
    #: The only one of this name.
    name: str
    #: As it is written in the filter bar.
    filter: str
    #: Those that are shown; empty for those that are shown anyway.
    columns: tuple[str, ...] = ()
    created_at: datetime


class Shared(StrEnum):
    """What a link shows."""

    CALL = "call"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A link that shows one call or session, without a key, until it expires or is taken back."""

    id: str
    organization_id: str
    kind: Shared
    #: The id of what it shows.
    target: str
    created_at: datetime
    expires_at: datetime


def new_share_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(16)


def share_token(share_id: str, secret: bytes) -> str:
    """What stands in the link."""
    return f"{share_id}.{_signature(share_id, secret)}"


def shared_id(token: str, secret: bytes) -> str | None:
    """The id of the link that has this token; None if nobody here has signed it."""
    share_id, _, signature = token.rpartition(".")
    expected = _signature(share_id, secret).encode()
    return share_id if hmac.compare_digest(signature.encode(errors="replace"), expected) else None


def _signature(share_id: str, secret: bytes) -> str:
    # Said of what it is a signature, since the same secret signs other things.
    signed = hmac.digest(secret, b"share\n" + share_id.encode(errors="replace"), hashlib.sha256)
    return base64.urlsafe_b64encode(signed[:18]).decode()
