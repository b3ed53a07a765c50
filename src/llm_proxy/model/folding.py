"""Statements about one entity → the entity, whatever their order and however often each of them comes.

``fold`` is commutative and idempotent. What each member becomes, where statements differ:

- ``tags``, ``metadata``, ``metrics``, ``modelParameters``, ``cost``: member by member, by the rule of the next line.
- A single value (name, input, output, model, result, parents ...): the one of the later stage; of the same stage, the
  one that was said last, where a value counts as said when it was first said. So a batch that comes once more changes
  nothing. ``endTimestamp`` is the latest time that was told.
- ``feedback``, ``errors``, ``evaluations``, ``attachments``, ``addedMessages``, ``commands``: all, each once, in
  the order in which they were said; an error or attachment that has an ``id`` is a single value under it.

A state is JSON, so that it can be stored: ``{"one": {member: [said, ...]}, "each": {member: {key: [said, ...]}},
"heard": microseconds}``, where ``said`` is ``[stage, microseconds, value]``, and the first of them counts.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias, cast

import msgspec

from llm_proxy.model.completion import JsonObject, JsonValue
from llm_proxy.model.trace import Statement

#: JSON; its shape is told above.
State: TypeAlias = dict[str, Any]
_Said: TypeAlias = list[Any]

#: Objects whose members count one by one.
_MAPS = frozenset({"tags", "metadata", "metrics", "modelParameters", "cost"})
#: Lists whose elements are all kept; and the member that tells which of them is the same as another one.
_LISTS = {
    "feedback": None,
    "errors": "id",
    "evaluations": None,
    "attachments": "id",
    "addedMessages": None,
    "commands": None,
}
#: Values of one member that are remembered, so that an old one that comes again is known to be old.
_REMEMBERED = 8
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fold(state: State | None, statements: Iterable[Statement]) -> State:
    """What is known after these statements, too; ``state`` stays as it is."""
    one: dict[str, list[_Said]] = dict(state["one"]) if state else {}
    each: dict[str, dict[str, list[_Said]]] = {}
    if state:
        each = {member: dict(values) for member, values in state["each"].items()}
    heard = [state["heard"]] if state else []
    for statement in statements:
        heard.append(statement.heard_at_us)
        for member, value in statement.members.items():
            if member in _MAPS and isinstance(value, dict):
                _take_map(each.setdefault(member, {}), statement, value)
            elif member in _LISTS and isinstance(value, list):
                _take_list(each.setdefault(member, {}), statement, _LISTS[member], value)
            else:
                at = _micros_of(value) if member == "endTimestamp" else statement.heard_at_us
                one[member] = _with(one.get(member), [int(statement.stage), at, value])
    return {"one": one, "each": {member: values for member, values in each.items() if values}, "heard": min(heard)}


def single(state: State, member: str) -> JsonValue:
    """The value of ``member`` that counts; None if there is none."""
    said = state["one"].get(member)
    return cast("JsonValue", said[0][2]) if said else None


def mapped(state: State, member: str) -> JsonObject:
    """The object ``member``, in the order in which its members were first said."""
    return {key: said[0][2] for key, said in _in_order(state, member)}


def listed(state: State, member: str) -> list[JsonValue]:
    """The list ``member``, in the order in which its elements were said."""
    return [said[0][2] for _, said in _in_order(state, member)]


def canonical(value: object) -> bytes:
    """JSON that is the same for the same value, whatever the order of the members of its objects."""
    try:
        return msgspec.json.encode(value, order="deterministic")
    except UnicodeEncodeError:  # UTF-8 has no lone surrogates
        return json.dumps(value, separators=(",", ":"), sort_keys=True).encode("ascii")


def time_of(text: JsonValue) -> datetime | None:
    """The time that a timestamp tells: ISO 8601, without an offset in UTC, or milliseconds since 1970; None if none."""
    try:
        if isinstance(text, str):
            time = datetime.fromisoformat(text)
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        if isinstance(text, int | float) and not isinstance(text, bool):
            return _EPOCH + timedelta(milliseconds=text)
    except (ValueError, OverflowError):
        pass
    return None


def _take_map(values: dict[str, list[_Said]], statement: Statement, members: JsonObject) -> None:
    for key, value in members.items():
        values[key] = _with(values.get(key), [int(statement.stage), statement.heard_at_us, value])


def _take_list(
    values: dict[str, list[_Said]], statement: Statement, named_by: str | None, elements: list[JsonValue]
) -> None:
    for place, element in enumerate(elements):
        name = element.get(named_by) if isinstance(element, dict) and named_by else None
        # The same word may be said twice in a list, but not the same list twice.
        key = name if isinstance(name, str) and name else f"{_digest(element)}.{place}"
        values[key] = _with(values.get(key), [int(statement.stage), statement.heard_at_us, element])


def _with(said: list[_Said] | None, new: _Said) -> list[_Said]:
    """All that was said, what counts first."""
    if not said:
        return [new]
    known = next((old for old in said if old[0] == new[0] and _same(old[2], new[2])), None)
    if known is not None:
        if known[1] <= new[1]:
            return said
        said = [old for old in said if old is not known]
    return sorted([*said, new], key=_rank, reverse=True)[:_REMEMBERED]


def _rank(said: _Said) -> tuple[int, int, bytes]:
    return said[0], said[1], canonical(said[2])


def _same(one: JsonValue, other: JsonValue) -> bool:
    # To Python, 1, 1.0 and true are equal.
    return one == other and canonical(one) == canonical(other)


def _in_order(state: State, member: str) -> list[tuple[str, list[_Said]]]:
    values = state["each"].get(member)
    if not values:
        return []
    return sorted(values.items(), key=lambda item: (min(said[:2] for said in item[1]), _place(item[0]), item[0]))


def _place(key: str) -> int:
    place = key.rpartition(".")[2]
    return int(place) if place.isdecimal() and len(place) < 10 else 0


def _micros_of(text: JsonValue) -> int:
    time = time_of(text)
    return 0 if time is None else (time - _EPOCH) // timedelta(microseconds=1)


def _digest(value: JsonValue) -> str:
    return hashlib.blake2b(canonical(value), digest_size=9).hexdigest()
