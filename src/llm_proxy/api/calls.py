"""What may be asked of calls, in the words of a query, by every operation that is about some of them."""

from collections.abc import Mapping
from typing import Any

from llm_proxy.api.operation import DEFAULT_LIMIT, SINCE, TEXT, UNTIL, Parameter
from llm_proxy.model.completion import Status
from llm_proxy.model.query import CompletionQuery
from llm_proxy.model.record import FieldGroup, Record


class PartOfRecord(Record, total=False):
    """A completion, or some groups of its members; its id is always there."""


def _status(text: str) -> Status:
    if text not in list(Status):
        raise ValueError(f"{text!r} is no status; there are {', '.join(Status)}")
    return Status(text)


#: What is asked for of calls, by every operation that is about some of them.
CALLS = (
    Parameter(name="tag", about="Calls that have this tag; several times: all of them.", schema=TEXT, many=True),
    Parameter(name="session", about="Calls of this session.", schema=TEXT),
    Parameter(name="user", about="Calls of this user.", schema=TEXT),
    Parameter(name="model", about="Calls that asked for this model, or were answered by it.", schema=TEXT),
    Parameter(name="status", about="Calls in this state.", parse=_status, schema={"type": "string", "enum": [*Status]}),
    SINCE,
    UNTIL,
)


def query_of(asked: Mapping[str, Any], organization_id: str) -> CompletionQuery:
    """The calls that a query with the parameters of ``CALLS``, and perhaps others, asks for."""
    return CompletionQuery(
        organization_id=organization_id,
        tags=asked["tag"],
        session_id=asked["session"],
        user_id=asked["user"],
        trace_id=asked.get("trace"),
        model=asked["model"],
        status=asked["status"],
        since=asked["since"],
        until=asked["until"],
        search=asked.get("search"),
        after=asked.get("cursor"),
        limit=asked.get("limit") or DEFAULT_LIMIT,
        with_bodies=FieldGroup.BODIES in (asked.get("fields") or ()),
    )
