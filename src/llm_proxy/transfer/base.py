"""What the formats have in common: something that writes records, and rows that turn out to be none."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from llm_proxy.model.completion import Completion


class RecordWriter(Protocol):
    """Writes records to a binary file, each as it comes, and keeps none longer than it must."""

    #: Whether ``write`` needs records with their bodies; reading those is most of the work.
    with_bodies: bool

    def write(self, completion: Completion) -> str | None:
        """Write one record; or, if the format has no place for it, say why in a few words and write nothing."""

    def close(self) -> None:
        """Write what belongs at the end. The file stays open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row of a file that is no record."""

    #: "line 12", or the table and id of a row.
    place: str
    #: In a few words, the same ones for the same reason.
    reason: str


#: What a reader yields for each row, one at a time.
Row: TypeAlias = Completion | BadRow
