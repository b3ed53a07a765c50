"""What instrumented programs tell of their work: sessions of traces, and in these spans, generations and the rest.

An entity is told in pieces, in any order, each of them perhaps twice: a ``Statement`` is one piece, and folding.py puts
the pieces together. Members have the names of Maxim's batch API. Unknown is None.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum

from llm_proxy.model.completion import JsonObject, JsonValue

#: Of one thing, in one piece. Maxim names no limit; more than that is a mistake, and of no use for finding anything.
MAX_TAGS = 1000


class Kind(StrEnum):
    """What an entity is, in the words of Maxim's batch API."""

    SESSION = "session"
    TRACE = "trace"
    SPAN = "span"
    GENERATION = "generation"
    RETRIEVAL = "retrieval"
    TOOL_CALL = "toolCall"
    EVENT = "event"


class Stage(IntEnum):
    """Which of two pieces counts where they differ, whatever their times: a thing is changed after its start."""

    BEGUN = 0
    CHANGED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One piece of what is told of one entity."""

    kind: Kind
    id: str
    stage: Stage = Stage.CHANGED
    #: When it was heard, in microseconds of UTC since 1970; no two of one request have the same.
    heard_at_us: int
    members: JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What tells an entity from all others of its organisation."""

    repository: str
    kind: Kind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody thinks of a trace or session."""

    score: float | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Which evaluators are asked to look at it, and with which variables; kept, and run by nobody here."""

    evaluators: tuple[str, ...]
    variables: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error that was told of."""

    message: str | None = None
    code: str | None = None
    type: str | None = None
    id: str | None = None
    metadata: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that belongs to it, by reference: somewhere else by its ``url``, or uploaded here under its ``key``."""

    id: str
    name: str | None = None
    url: str | None = None
    key: str | None = None
    mime_type: str | None = None
    size_bytes: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Everything that is known of one entity; what its kind does not have is empty."""

    key: Key
    name: str | None = None
    #: Parents. A generation, for one, may name its trace, or a span of it, or both.
    session_id: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    #: As it was told, or when it was first heard of.
    started_at: datetime
    ended_at: datetime | None = None
    tags: dict[str, str] = field(default_factory=dict)
    metadata: JsonObject = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    #: Of a trace, span or retrieval; the output of a retrieval is what it found.
    input: JsonValue = None
    output: JsonValue = None
    feedback: tuple[Feedback, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    failures: tuple[Failure, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    #: Of a generation.
    provider: str | None = None
    model: str | None = None
    messages: tuple[JsonValue, ...] = ()
    parameters: JsonObject = field(default_factory=dict)
    cost: dict[str, float] = field(default_factory=dict)
    prompt_id: str | None = None
    prompt_version_id: str | None = None
    #: Of a generation, or of a tool call as JSON text.
    result: JsonValue = None
    #: Of a tool call; the arguments are JSON text.
    description: str | None = None
    arguments: str | None = None
    #: Members that are in no list of ours.
    other: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A generation, and the trace and session that it was found to belong to."""

    generation: Entity
    trace_id: str | None = None
    session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that was uploaded under a key; its bytes lie under their hash."""

    key: str
    hash: str
    mime_type: str
    size_bytes: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityQuery:
    """Which sessions or traces to list; every condition that is set must hold. Newest first unless ``oldest_first``."""

    organization_id: str
    repository: str
    kind: Kind
    since: datetime | None = None
    until: datetime | None = None
    session_id: str | None = None
    #: Text that must occur in what was told of it, whatever its case.
    search: str | None = None
    #: Whether all, or any, of the conditions on tags must hold; each has alternatives.
    all_tags: bool = True
    tags: tuple[tuple[tuple[str, str], ...], ...] = ()
    oldest_first: bool = False
    offset: int = 0
    limit: int = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityPage:
    """Some of what matches, and how many there are."""

    entities: tuple[Entity, ...] = ()
    total: int = 0
