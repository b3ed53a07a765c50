"""The seam between those who write and read records and the database that holds them."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from llm_proxy.model.completion import Completion
from llm_proxy.model.query import CompletionQuery, Page
from llm_proxy.store.deletion import Receipt


class Store(Protocol):
    """A place for completions. Every method raises StoreUnavailable when the same call may work later."""

    async def migrate(self) -> None:
        """Bring the schema to the newest version; safe to run twice and from two processes at once."""

    async def schema_step(self) -> str | None:
        """The step of the migrations that the schema is at; None if there are no tables. Changes nothing."""

    async def put(self, completions: Sequence[Completion]) -> None:
        """Store a batch, all or nothing.

        Idempotent on the id: a record that is there already is replaced, except that one which has ended
        (finished or failed) is never replaced by one that has only started.
        Raises StoreRejected if a record of the batch can never be stored.
        """

    async def get(self, completion_id: str) -> Completion | None:
        """The record with its bodies; None if there is none."""

    async def find(self, query: CompletionQuery) -> Page:
        """The records that match, newest first (``started_at``, then ``id``).

        A search with a limit takes a limited time: a page may then have fewer records than the limit, or none, and
        still have a next one.
        """

    def changes(self, query: CompletionQuery, *, poll_s: float) -> AsyncIterator[Completion]:
        """Records that match, as they are written from now on: once when started, again when ended. Never ends."""

    async def delete(self, ids: Sequence[str], *, bodies_only: bool = False) -> Receipt:
        """Remove these records with all that belongs to them, or their bodies alone; ids that are not there are none.

        What is gone is gone from the disk, and its space comes back; what others share stays as long as they do.
        """

    async def delete_matching(self, query: CompletionQuery, *, bodies_only: bool = False) -> Receipt:
        """Remove all records that match, a batch at a time; the limit and the place of the query do not count."""

    async def disk_bytes(self) -> int:
        """What the records take on the disk, without what is free for new ones."""

    async def shrink(self, max_bytes: int, *, bodies_only: bool = False) -> Receipt:
        """Remove the oldest records, of any organisation, until the store takes at most so much on the disk."""

    async def close(self) -> None:
        """Release files and connections. Idempotent."""
