"""Change one member of a JSON object by editing its bytes: what is not meant to change stays as it was written.

The body is read as Latin-1, in which a byte is a character, so that places in the text are places in the body; outside
of strings, JSON is ASCII. Pure. Works on bodies that a strict parser takes; of others there are no members.
"""

import json
import re
from typing import NamedTuple

import msgspec

_SPACE = re.compile(r"[ \t\n\r]*")
_scan = json.JSONDecoder(strict=False).raw_decode


class Member(NamedTuple):
    """One member of the outermost object, and where its value stands."""

    name: str
    start: int
    end: int


def members(body: bytes) -> list[Member] | None:
    """The members of ``body`` in their order, repeated ones too; None if it is no JSON object."""
    try:
        if not isinstance(msgspec.json.decode(body, type=dict[str, msgspec.Raw]), dict):
            return None
        return _members(body.decode("latin-1"))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def with_value(body: bytes, member: Member, value: bytes) -> bytes:
    """``body`` with another value of this member."""
    return b"%b%b%b" % (body[: member.start], value, body[member.end :])


def with_member(body: bytes, name: bytes, value: bytes) -> bytes:
    """``body``, a JSON object, with one more member at its end."""
    end = body.rindex(b"}")
    comma = b"" if body[:end].rstrip().endswith(b"{") and not members(body) else b","
    return b'%b%b"%b":%b%b' % (body[:end], comma, name, value, body[end:])


def _members(text: str) -> list[Member]:
    found: list[Member] = []
    at = _after_space(text, _after_space(text, 0) + 1)
    while text[at] != "}":
        name, at = _scan(text, at)
        start = _after_space(text, _after_space(text, at) + 1)
        _, end = _scan(text, start)
        found.append(Member(name, start, end))
        at = _after_space(text, end)
        if text[at] == ",":
            at = _after_space(text, at + 1)
    return found


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # it matches nothing, too
    return match.end()
