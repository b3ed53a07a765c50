"""How much there is, and what a deletion says of what it did."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What one organisation has in the store; what counts is in sql_sizes.py."""

    records: int = 0
    record_bytes: int = 0
    #: Of what is its own of bodies, and of the pieces that they share, compressed.
    body_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a deletion removed."""

    #: Records, each with its tags.
    rows: int = 0
    #: Records whose bodies went, be it with the record or alone.
    bodies: int = 0
    #: Pieces of bodies that nothing else referred to.
    pieces: int = 0
    #: What bodies and pieces took, compressed.
    bytes: int = 0
    #: What instrumented programs told of: sessions, traces, and what is in them.
    entities: int = 0

    def __add__(self, more: Self) -> "Receipt":
        return Receipt(
            rows=self.rows + more.rows,
            bodies=self.bodies + more.bodies,
            pieces=self.pieces + more.pieces,
            bytes=self.bytes + more.bytes,
            entities=self.entities + more.entities,
        )
