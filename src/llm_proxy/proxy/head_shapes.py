"""What becomes of the headers of a head, as far as their names alone tell: found once, and applied to any values.

A head of which a value may decide has no shape, and is looked at header by header; see headers.py.
"""

from collections.abc import Callable, Iterable
from enum import Enum
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from llm_proxy.proxy.by_names import Names
from llm_proxy.proxy.credentials import SECURITY_TOKEN
from llm_proxy.proxy.transport.base import RawHeaders

#: Names and values as recorded; None for a value that is not kept.
Recorded: TypeAlias = list[tuple[bytes, bytes | None]]


class Fate(Enum):
    """What becomes of a header."""

    FORWARD = 1
    DROP = 2
    HOST = 3
    CREDENTIAL = 4
    CONNECTION = 5
    #: Framing and upgrade: looked at, then forwarded or dropped like any other.
    LENGTH = 6
    CODING = 7
    UPGRADE = 8
    #: May hold a key.
    PROTOCOLS = 10
    #: The key of a gateway, which may be one of ours.
    GATEWAY_KEY = 9


#: Fates of what goes on, and all of which the names alone tell what becomes of them.
_PASSED = frozenset({Fate.FORWARD, Fate.HOST, Fate.CREDENTIAL, Fate.LENGTH})
_COMMON = _PASSED | {Fate.DROP, Fate.CONNECTION, Fate.CODING}
#: An itemgetter of fewer gives no tuple.
_FEWEST = 2


class ResponseShape(NamedTuple):
    """What follows from the names of an answer; places are those in its head."""

    #: Takes those that go on.
    passed: Callable[[RawHeaders], RawHeaders]
    #: Those whose value is not kept, as they are recorded.
    blanks: list[tuple[int, tuple[bytes, None]]]
    connections: list[int]


class RequestShape(NamedTuple):
    """What follows from the names of a request; places are those in its head.

    Nothing if a value may decide, but that of Connection and those of keys, which seldom do: see ``request``.
    """

    passed: Callable[[RawHeaders], RawHeaders]
    blanks: list[tuple[int, tuple[bytes, None]]]
    connections: list[int]
    credentials: list[int]
    #: Where they stand in what goes on.
    passed_hosts: list[int]
    passed_credentials: list[int]
    #: Of the key that the fingerprint is of.
    key: int | None
    length: int | None
    chunked: bool


def request_shape(names: Names, verdicts: list[tuple[Fate, bool]]) -> RequestShape | None:
    """The shape of a request; a verdict is the fate of a header, and whether its value is recorded."""
    fates = [fate for fate, _ in verdicts]
    passed = [at for at, fate in enumerate(fates) if fate in _PASSED]
    if len(passed) < _FEWEST or not _COMMON.issuperset(fates):
        return None
    credentials = [at for at, fate in enumerate(fates) if fate is Fate.CREDENTIAL]
    return RequestShape(
        passed=itemgetter(*passed),
        blanks=_blanks(names, verdicts),
        connections=[at for at, fate in enumerate(fates) if fate is Fate.CONNECTION],
        credentials=credentials,
        passed_hosts=[place for place, at in enumerate(passed) if fates[at] is Fate.HOST],
        passed_credentials=[place for place, at in enumerate(passed) if fates[at] is Fate.CREDENTIAL],
        key=next((at for at in credentials if len(names[at]) != len(SECURITY_TOKEN)), None),
        length=next((at for at in reversed(passed) if fates[at] is Fate.LENGTH), None),
        chunked=Fate.CODING in fates,
    )


def response_shape(names: Names, verdicts: list[tuple[bool, bool]]) -> ResponseShape | None:
    """The shape of an answer; a verdict is whether a header goes on, and whether its value is recorded."""
    passed = [at for at, (goes_on, _) in enumerate(verdicts) if goes_on]
    if len(passed) < _FEWEST:
        return None
    return ResponseShape(
        passed=itemgetter(*passed),
        blanks=_blanks(names, verdicts),
        connections=[at for at, name in enumerate(names) if name.lower() == b"connection"],
    )


def _blanks(names: Names, verdicts: Iterable[tuple[object, bool]]) -> list[tuple[int, tuple[bytes, None]]]:
    return [(at, (names[at], None)) for at, (_, kept) in enumerate(verdicts) if not kept]
