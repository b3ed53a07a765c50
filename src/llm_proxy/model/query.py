"""What can be asked of the store, and what it answers with."""

from dataclasses import dataclass
from datetime import datetime

from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page ended: the next one starts behind this record, in the order of the list."""

    started_at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionQuery:
    """Every condition that is set must hold; newest first."""

    organization_id: str = DEFAULT_ORGANIZATION
    #: The record must have all of these.
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    #: Matches the model asked for or the one that answered.
    model: str | None = None
    status: Status | None = None
    #: Started at or after / before this time; aware.
    since: datetime | None = None
    until: datetime | None = None
    #: Case-insensitive text that must occur in the decoded request or response.
    search: str | None = None
    after: Cursor | None = None
    #: None is without limit.
    limit: int | None = 50
    #: Whether records come with their bodies.
    with_bodies: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Records in the order of the query; ``next`` is None on the last page."""

    completions: tuple[Completion, ...]
    next: Cursor | None = None
