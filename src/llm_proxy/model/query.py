"""What can be asked of the store, and what it answers with."""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion, Status

#: Of a time that is told by how long ago it was.
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGO = re.compile(r"([0-9]{1,12})([smhdw])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where a page ended: the next one starts behind this record, in the order of the list."""

    started_at: datetime
    id: str


class Attribute(StrEnum):
    """What a call may be asked for by, besides what lists are kept by; a text, but for the last ones."""

    #: Asked for, or answered by.
    MODEL = "model"
    TAG = "tag"
    STATUS = "status"
    USER = "user"
    SESSION = "session"
    TRACE = "trace"
    PROVIDER = "provider"
    UPSTREAM = "upstream"
    #: A fingerprint, or its last characters.
    KEY = "key"
    ENDPOINT = "endpoint"
    ENDING = "ending"
    #: The kind of a failure.
    ERROR = "error"
    #: By its id.
    PROJECT = "project"
    # Those that are numbers.
    HTTP = "http"
    #: In seconds, as the next one.
    LATENCY = "latency"
    TTFT = "ttft"
    #: Both kinds together.
    TOKENS = "tokens"
    INPUT = "input"
    OUTPUT = "output"
    #: In USD.
    COST = "cost"
    #: How many there are: of a session, user or trace alone.
    CALLS = "calls"


#: Those that have an order.
NUMBERS = frozenset(list(Attribute)[list(Attribute).index(Attribute.HTTP) :])


class Comparison(StrEnum):
    """How what a call has stands to what is asked for; what is unknown only ``IS_NOT``."""

    IS = "="
    IS_NOT = "!="
    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that must hold."""

    of: Attribute
    comparison: Comparison
    #: A number for what is one, and else a text.
    value: str | float


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionQuery:
    """Every condition that is set must hold; newest first."""

    organization_id: str = DEFAULT_ORGANIZATION
    #: Only calls of this project.
    project_id: str | None = None
    #: The order turned round, for a list; ``after`` then leads to newer ones.
    oldest_first: bool = False
    #: The record must have all of these.
    tags: tuple[str, ...] = ()
    session_id: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    #: Matches the model asked for or the one that answered.
    model: str | None = None
    status: Status | None = None
    #: Started at or after / before this time; aware.
    since: datetime | None = None
    until: datetime | None = None
    #: What must hold besides; each is looked up in the records that the members above leave.
    conditions: tuple[Condition, ...] = ()
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """How many calls began in a part of a time, and how many of these failed; None if they were not all counted."""

    since: datetime
    calls: int | None
    failed: int | None


class Grouping(StrEnum):
    """What calls are summed up by where they are listed as what they belong to."""

    SESSION = "session"
    USER = "user"
    TRACE = "trace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many calls, how they ended, and what they took; tokens and cost are None if no call is known to have any."""

    calls: int
    failed: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_output_tokens: int | None = None
    #: Of those calls of which it is known.
    cost_usd: Decimal | None = None
    #: Of how many it is not.
    calls_without_cost: int

    @property
    def tokens(self) -> int | None:
        """Both ways together, also where no answer said so."""
        if self.total_tokens is not None or self.input_tokens is None or self.output_tokens is None:
            return self.total_tokens
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupQuery:
    """Which sessions, users or traces to list by their calls within these times; what was used last comes first.

    Sessions and traces that programs told of, and that no call names, are there by the time at which they began.
    Where something is asked of a call, what comes first is that of which such a call is the newest.
    """

    organization_id: str
    #: Only calls of this project, and what was told of in the log repository of its id.
    project_id: str | None = None
    by: Grouping
    #: Only this one.
    id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    #: One of its calls must be so; whose, when, and how many pages of them there are is said by the others.
    some: CompletionQuery | None = None
    #: None of its calls may be so.
    none: tuple[Condition, ...] = ()
    #: Its calls together must be so.
    sums: tuple[Condition, ...] = ()
    #: A place in the order of the newest calls.
    after: Cursor | None = None
    limit: int = 50
    #: After so many seconds a page ends where it is, and the next one goes on; None is as long as it takes.
    patience_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A session, user or trace, by its calls."""

    id: str
    #: Of a session, or of what has no calls, if it has one.
    name: str | None = None
    #: Of what has no calls, both are when it began.
    first_at: datetime
    last_at: datetime
    #: When what has no calls ended, if somebody told it.
    ended_at: datetime | None = None
    #: When the newest call began that is what was asked of one; None if nothing was.
    matched_at: datetime | None = None
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPage:
    """Groups in the order of the query; ``next`` is None on the last page.

    Where the patience was over, there are fewer than the limit, or none, and still a next page.
    """

    groups: tuple[Group, ...] = ()
    next: Cursor | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TagUse:
    """A tag, and how many calls have it."""

    tag: str
    calls: int
    first_at: datetime
    last_at: datetime


class SpendBy(StrEnum):
    """What spend is told by."""

    #: Of UTC.
    DAY = "day"
    #: The one asked for.
    MODEL = "model"
    PROVIDER = "provider"
    #: A call counts for each of its tags.
    TAG = "tag"
    USER = "user"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendQuery:
    """The calls to sum up, without limit and place; by what, one or more; and behind which row to go on."""

    calls: CompletionQuery
    by: tuple[SpendBy, ...]
    after: tuple[date | str | None, ...] | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendRow:
    """What the calls that have the same values in what spend is told by took together."""

    #: As many, and in that order, as the query tells it by; None is unknown, or has none.
    of: tuple[date | str | None, ...]
    tally: Tally


def parse_time(text: str, *, now: datetime) -> datetime:
    """The time that ``text`` tells: how long before ``now`` (``90s``, ``15m``, ``2h``, ``7d``, ``4w``), or in ISO 8601.

    Without an offset it is UTC. Raises ValueError, with a message for whoever wrote ``text``.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(seconds=int(ago[1]) * _SECONDS[ago[2]])
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise ValueError(f"{text!r} is no time; write 15m, 2h, 7d or 2026-01-31T12:00:00Z") from exc
