"""What follows from the names of a head alone, found out once.

A client sends the same names in the same order with every call, and so does an upstream with its answers: what they
say is remembered. Values are another matter, and are always looked at anew.
"""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from llm_proxy.proxy.transport.base import RawHeaders

#: As on the wire, in order, with duplicates.
Names: TypeAlias = tuple[bytes, ...]

#: Heads that are remembered, and how long all names of one may be together; beyond that somebody is making names up.
_REMEMBERED = 1024
_REMEMBERED_BYTES = 4096

_Found = TypeVar("_Found")


class ByNames(dict[Names, _Found]):
    """``self[names]`` is what ``find(names)`` has found, now or before."""

    def __init__(self, find: Callable[[Names], _Found]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, names: Names) -> _Found:
        found = self._find(names)
        if sum(map(len, names)) <= _REMEMBERED_BYTES:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[names] = found
        return found


def names_of(headers: RawHeaders) -> Names:
    """The names of a head."""
    return tuple([name for name, _ in headers])
