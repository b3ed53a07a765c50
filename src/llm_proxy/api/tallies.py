"""How many calls, and what they took: a part of many answers. Unknown is null, never 0."""

from typing import TypedDict

from llm_proxy.api.operation import time_json
from llm_proxy.model.query import Group, Tally


class TallyFields(TypedDict):
    """Calls and what they took together."""

    calls: int
    failed: int
    input_tokens: int | None
    output_tokens: int | None
    total_tokens: int | None
    cached_input_tokens: int | None
    reasoning_output_tokens: int | None
    #: As text, since it is exact.
    cost_usd: str | None
    calls_without_cost: int


class GroupFields(TallyFields):
    """A session, user or trace, by its calls."""

    id: str
    name: str | None
    first_at: str
    last_at: str
    #: When the newest call began that is what was asked of one; null if nothing was.
    matched_at: str | None


def tally_json(tally: Tally) -> TallyFields:
    """The members that a tally is."""
    return {
        "calls": tally.calls,
        "failed": tally.failed,
        "input_tokens": tally.input_tokens,
        "output_tokens": tally.output_tokens,
        "total_tokens": tally.total_tokens,
        "cached_input_tokens": tally.cached_input_tokens,
        "reasoning_output_tokens": tally.reasoning_output_tokens,
        "cost_usd": None if tally.cost_usd is None else format(tally.cost_usd, "f"),
        "calls_without_cost": tally.calls_without_cost,
    }


def group_json(group: Group) -> GroupFields:
    """The members that a session, user or trace is."""
    return {
        "id": group.id,
        "name": group.name,
        "first_at": time_json(group.first_at),
        "last_at": time_json(group.last_at),
        "matched_at": None if group.matched_at is None else time_json(group.matched_at),
        **tally_json(group.tally),
    }
