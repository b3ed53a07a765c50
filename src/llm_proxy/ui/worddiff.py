"""Two texts side by side: what both have, and what only one of them has, by words.

Long texts are compared by lines first, and only lines that took each other's place by words, so that the work stays
small. Pure functions.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
#: Characters of a text that are compared by words as a whole.
_BY_WORDS = 4000
#: Beyond so many lines, texts that differ are shown as such: to compare them would take as long as nobody waits.
_MAX_LINES = 4000


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of one of the two."""

    text: str
    #: Whether the other one has it, too.
    same: bool


Sides = tuple[tuple[Piece, ...], tuple[Piece, ...]]


def compared(left: str, right: str) -> Sides:
    """The pieces of both texts, in their order."""
    if left == right:
        return _sides([(left, right, True)])
    if len(left) <= _BY_WORDS and len(right) <= _BY_WORDS:
        return _sides(_steps(_WORD.findall(left), _WORD.findall(right)))
    return _sides(_by_lines(left.splitlines(keepends=True), right.splitlines(keepends=True)))


def _by_lines(left: list[str], right: list[str]) -> Iterator[tuple[str, str, bool]]:
    if len(left) > _MAX_LINES or len(right) > _MAX_LINES:
        yield "".join(left), "".join(right), False
        return
    for one, other, same in _steps(left, right):
        if same or not one or not other or len(one) > _BY_WORDS or len(other) > _BY_WORDS:
            yield one, other, same
        else:
            yield from _steps(_WORD.findall(one), _WORD.findall(other))


def _steps(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    for step, begin, end, other_begin, other_end in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        yield "".join(left[begin:end]), "".join(right[other_begin:other_end]), step == "equal"


def _sides(steps: Iterator[tuple[str, str, bool]] | list[tuple[str, str, bool]]) -> Sides:
    left, right = [], []
    for one, other, same in steps:
        left += [Piece(one, same)] if one else []
        right += [Piece(other, same)] if other else []
    return tuple(left), tuple(right)
