"""One piece of what a program tells of a call of its own: what it says counts, what it leaves out stays as it is."""

from dataclasses import dataclass, field

from llm_proxy.model.completion import JsonObject, JsonValue, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRow:
    """What is None was not told."""

    #: ``chat`` or ``prompt``.
    kind: str | None = None
    status: Status | None = None
    tags: tuple[str, ...] | None = None
    request: JsonObject | None = None
    response: JsonObject | None = None
    stacktrace: JsonValue = None
    session_id: str | None = None
    duration_s: float | None = None
    failure_kind: str | None = None
    failure_reason: str | None = None
    #: What has no place of its own in a record, by its name.
    facts: JsonObject = field(default_factory=dict)
