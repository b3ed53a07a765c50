"""What people keep of the pages: a filter under a name, and a link that shows one thing to whoever has it."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedView:
    """A list of calls under a name."""

    organization_id: str
    #: Whose view it is; None is of the whole organisation.
    project_id: str | None = None
    #: The only one of this name, there.
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
    #: It shows only calls of this project; None is of the whole organisation.
    project_id: str | None = None
    kind: Shared
    #: The id of what it shows.
    target: str
    created_at: datetime
    expires_at: datetime


def new_share_id() -> str:
    """An id that nobody guesses."""
    return secrets.token_urlsafe(16)
