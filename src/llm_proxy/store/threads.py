"""Sessions that nobody named: which calls of a batch continue which others.

A call continues another one if its request begins with all that the other one ended with. Both are then of one session,
named after the first of them that was seen. A call that stands alone has none. Calls may be seen in any order: one that
goes on from a place where none has ended yet waits there, and who ends there later joins it.

Pure: what is known of the places of a batch comes in, by one query; what is to be written goes out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from llm_proxy.store.rows import ORGANIZATION_MARK, Rows

#: Places where a call waits for one that ends there, the last ones: the calls between may be missing, too.
MAX_WAITED = 4
_PREFIX = "inferred-"


class At(NamedTuple):
    """A place in a conversation: its hash, and whether a call has ended there or waits for one that does."""

    hash: bytes
    said: bool


class Who(NamedTuple):
    """The call at a place: its id in the tables, and its session if it has one."""

    row_id: str
    session_id: str | None


Known: TypeAlias = Mapping[At, Who]


@dataclass(slots=True)
class Threads:
    """What is to be written."""

    #: The batch, with sessions.
    batch: list[Rows] = field(default_factory=list)
    places: dict[At, Who] = field(default_factory=dict)
    #: Sessions of calls that are stored already, by their ids in the tables.
    joined: dict[str, str] = field(default_factory=dict)


def hashes_of(batch: Iterable[Rows]) -> list[bytes]:
    """All that has to be known to infer the sessions of ``batch``."""
    hashes = (one for rows in batch if rows.turns for one in (*rows.turns.said, *rows.turns.prior))
    return list(dict.fromkeys(hashes))


def infer(batch: Sequence[Rows], known: Known) -> Threads:
    """The sessions of a batch, and of the calls that it continues."""
    threads = Threads()
    places = dict(known)
    for rows in sorted(batch, key=lambda rows: (rows.started_at_us, rows.id)):
        if rows.turns is not None:
            _place(rows, places, threads)
    for rows in batch:
        session = threads.joined.pop(rows.id, None)
        threads.batch.append(rows if session is None else rows.within(session))
    return threads


def _place(rows: Rows, places: dict[At, Who], threads: Threads) -> None:
    assert rows.turns is not None
    said, prior = rows.turns.said, rows.turns.prior
    others = [At(one, said=True) for one in reversed(prior)] + [At(one, said=False) for one in said]
    neighbours = [at for at in others if at in places and places[at].row_id != rows.id]
    itself = [At(one, said=True) for one in said] + [At(one, said=False) for one in prior]
    session = next((places[at].session_id for at in itself if at in places and places[at].row_id == rows.id), None)
    for at in neighbours:
        neighbour = places[at]
        session = session or neighbour.session_id or _PREFIX + neighbour.row_id.partition(ORGANIZATION_MARK)[0]
        if neighbour.session_id is None:
            places[at] = threads.places[at] = Who(neighbour.row_id, session)
            threads.joined[neighbour.row_id] = session
    if session is not None:
        threads.joined[rows.id] = session
    own = [At(one, said=True) for one in said]
    if not prior or At(prior[-1], said=True) not in places:
        own += [At(one, said=False) for one in prior[-MAX_WAITED:] if At(one, said=True) not in places]
    for at in own:
        # The latest call that has ended at a place is the one that is likely to be continued.
        if at.said or at not in places or places[at].row_id == rows.id:
            places[at] = threads.places[at] = Who(rows.id, session)
