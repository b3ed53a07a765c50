"""The seam between those who write and read records and the database that holds them."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from llm_proxy.model.account import ApiKey, KnownKey, Organization, Project
from llm_proxy.model.completion import DEFAULT_ORGANIZATION, Completion
from llm_proxy.model.feedback import Feedback, FeedbackQuery, FeedbackTask, GradingProgress
from llm_proxy.model.keepsake import SavedView, Share
from llm_proxy.model.query import (
    Attribute,
    Bucket,
    CompletionQuery,
    GroupPage,
    GroupQuery,
    Page,
    SpendQuery,
    SpendRow,
    TagUse,
)
from llm_proxy.model.series import Series, SeriesQuery
from llm_proxy.model.trace import Entity, EntityPage, EntityQuery, Kind, Statement, Upload
from llm_proxy.store.deletion import Receipt, Size


class Store(Protocol):
    """A place for completions. Every method raises StoreUnavailable when the same call may work later."""

    async def migrate(self) -> None:
        """Bring the schema to the newest version; safe to run twice and from two processes at once."""

    async def schema_step(self) -> str | None:
        """The step of the migrations that the schema is at; None if there are no tables. Changes nothing."""

    async def put(self, completions: Sequence[Completion]) -> None:
        """Store a batch, all or nothing.

        Idempotent on the id within an organisation: a record that is there already is replaced, except that one
        which has ended (finished or failed) is never replaced by one that has only started.
        Raises StoreRejected if a record of the batch can never be stored.
        """

    async def get(self, completion_id: str, organization_id: str = DEFAULT_ORGANIZATION) -> Completion | None:
        """The record with its bodies; None if the organisation has none of this id."""

    async def find(self, query: CompletionQuery) -> Page:
        """The records that match, newest first (``started_at``, then ``id``) unless the query turns that round.

        A search with a limit takes a limited time: a page may then have fewer records than the limit, or none, and
        still have a next one.
        """

    def changes(self, query: CompletionQuery, *, poll_s: float) -> AsyncIterator[Completion]:
        """Records that match, as they are written from now on: once when started, again when ended. Never ends."""

    async def amend(
        self, completion_id: str, organization_id: str, change: Callable[[Completion | None], Completion]
    ) -> Completion:
        """Put what ``change`` makes of the record of this id, or of None if there is none, and return it.

        Nobody else amends it at the same time, in whichever process. ``change`` runs in another thread.
        Raises StoreRejected if it makes something that can never be stored.
        """

    async def tags(
        self, organization_id: str, containing: str = "", *, project_id: str | None = None, limit: int = 100
    ) -> Sequence[str]:
        """Tags of an organisation that hold this text, whatever its case; the one that is just this text first.

        With a project, those of its calls.
        """

    async def delete(
        self, ids: Sequence[str], organization_id: str = DEFAULT_ORGANIZATION, *, bodies_only: bool = False
    ) -> Receipt:
        """Remove these records of an organisation with all that belongs to them, or their bodies alone.

        Ids that are not there are none.

        What is gone is gone from the disk, and its space comes back; what others share stays as long as they do.
        """

    async def delete_matching(self, query: CompletionQuery, *, bodies_only: bool = False) -> Receipt:
        """Remove all records that match, a batch at a time; the limit and the place of the query do not count."""

    async def disk_bytes(self) -> int:
        """What the records take on the disk, without what is free for new ones."""

    async def shrink(self, max_bytes: int, *, bodies_only: bool = False) -> Receipt:
        """Remove the oldest records, of any organisation, until the store takes at most so much on the disk."""

    async def size(self, organization_id: str) -> Size:
        """How much an organisation has. Reads one row, however much that is."""

    async def shrink_organization(self, organization_id: str, max_bytes: int, *, bodies_only: bool = False) -> Receipt:
        """Remove the oldest records of an organisation until it has at most so many bytes, of both kinds together.

        With ``bodies_only`` the bodies of the oldest, until its bodies have at most so many.
        """

    async def close(self) -> None:
        """Release files and connections. Idempotent."""


class Accounts(Protocol):
    """A place for organisations, projects and keys. Every method raises StoreUnavailable when it may work later.

    Where an organisation is None, all are meant.
    """

    async def add_organization(self, organization: Organization) -> Organization:
        """Add it, or find the one that has its name."""

    async def organizations(self) -> Sequence[Organization]:
        """All, oldest first."""

    async def organization(self, id_or_name: str) -> Organization | None:
        """The one that has this id or, failing that, this name."""

    async def add_project(self, project: Project) -> Project:
        """Add it, or find the one of its organisation that has its name."""

    async def projects(self, organization_id: str) -> Sequence[Project]:
        """Those of an organisation, oldest first."""

    async def add_key(self, key: ApiKey, key_hash: bytes) -> None:
        """Add a key, of which the hash is kept."""

    async def keys(self, organization_id: str | None) -> Sequence[ApiKey]:
        """Those of an organisation, oldest first, with those that have expired."""

    async def expire_key(self, key_id: str, organization_id: str | None, *, at: datetime) -> ApiKey | None:
        """Let a key be valid no longer than until then; None if the organisation has none of this id."""

    async def replace_key(
        self,
        key_id: str,
        organization_id: str | None,
        successor: Callable[[ApiKey], tuple[ApiKey, bytes]],
        *,
        now: datetime,
        until: datetime,
    ) -> ApiKey | None:
        """Add the successor of a key, which is valid until then; None if there is no such key, or it has expired."""

    async def known_key(self, key_hash: bytes) -> KnownKey | None:
        """The key that has this hash, whether valid or not."""

    async def has_keys(self) -> bool:
        """Whether a key was ever made; one that was made is never forgotten."""

    async def note_use(self, key_id: str, at: datetime) -> None:
        """Note that a key was used then, unless it was later, too."""


class EndedLogins(Protocol):
    """Logins that were ended before their time. Every method raises StoreUnavailable when it may work later."""

    async def end(self, login_id: str, *, until: datetime) -> None:
        """Let a login that would hold until then open nothing any more."""

    async def has_ended(self, login_id: str) -> bool:
        """Whether it was ended."""


class KeySpend(Protocol):
    """What proxies have to know of keys. Every method raises StoreUnavailable when it may work later."""

    async def valid_keys(self, now: datetime) -> Sequence[KnownKey]:
        """All that are valid at ``now``, of all organisations, oldest first."""

    async def spent(self, key: ApiKey, *, since: datetime, until: datetime | None = None) -> Decimal:
        """What those calls of a key have cost that began within these times, as far as it is known."""


class Overviews(Protocol):
    """What calls are and take together. Every method raises StoreUnavailable when it may work later."""

    async def groups(self, query: GroupQuery) -> GroupPage:
        """Those that match, by their calls, or told of by programs and without any; what was used last comes first."""

    async def tag_uses(
        self,
        organization_id: str,
        prefix: str = "",
        *,
        project_id: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Sequence[TagUse]:
        """Tags that begin with this text, in the order of their characters, from behind ``after``.

        With a project, only its calls count.
        """

    async def spend(self, query: SpendQuery) -> Sequence[SpendRow]:
        """What the calls took, in the order of what it is told by."""


class Findings(Protocol):
    """What there is to find. Every method raises StoreUnavailable when it may work later."""

    async def values(
        self,
        organization_id: str,
        of: Attribute,
        containing: str = "",
        *,
        project_id: str | None = None,
        limit: int = 10,
    ) -> Sequence[str]:
        """What the newest calls have there that holds this text; what most of them have comes first."""

    async def first_at(self, organization_id: str, *, project_id: str | None = None) -> datetime | None:
        """When the oldest call began, of a project or of all; None if there is none."""

    async def histogram(
        self, query: CompletionQuery, since: datetime, until: datetime, *, count: int, patience_s: float | None = None
    ) -> list[Bucket]:
        """How many calls that match began in each of so many equal parts of a time.

        When the patience is over, those of the oldest parts are not counted; None is as long as it takes.
        """

    async def told(
        self,
        organization_id: str,
        kind: Kind,
        *,
        repository: str | None = None,
        its_id: str | None = None,
        session_id: str | None = None,
    ) -> Sequence[Entity]:
        """The newest sessions or traces that programs told of in a repository, or in whichever.

        With an id those that have it, and with that of a session those that are in it.
        """


class Statistics(Protocol):
    """How calls went over a time. Every method raises StoreUnavailable when it may work later."""

    async def series(self, query: SeriesQuery) -> Series:
        """How the calls went, all together and told apart; every step of the time has a point."""


class Keepsakes(Protocol):
    """A place for what people keep of the pages. Every method raises StoreUnavailable when it may work later."""

    async def save_view(self, view: SavedView) -> None:
        """Keep a view, in place of the one of its project, or of the whole organisation, that has its name."""

    async def views(self, organization_id: str, *, project_id: str | None = None) -> Sequence[SavedView]:
        """Those of an organisation as a whole or of one of its projects, by their names."""

    async def views_of_projects(self, organization_id: str) -> Sequence[SavedView]:
        """Those of all projects of an organisation, one project after the other, by their names."""

    async def drop_view(self, organization_id: str, name: str, *, project_id: str | None = None) -> bool:
        """Forget a view; whether there was one."""

    async def add_share(self, share: Share) -> None:
        """Add a link."""

    async def share(self, share_id: str, *, at: datetime) -> Share | None:
        """The link of this id, of whichever organisation, if it has not expired by then."""

    async def shares(self, organization_id: str, *, at: datetime, project_id: str | None = None) -> Sequence[Share]:
        """Those of an organisation, or of a project alone, that have not expired by then, newest first."""

    async def drop_share(self, organization_id: str, share_id: str, *, project_id: str | None = None) -> bool:
        """Take a link back; whether there was one."""


class Removal(Protocol):
    """Removes records with all that was told of them. Every method raises StoreUnavailable when it may work later."""

    async def remove(self, query: CompletionQuery) -> Receipt:
        """Remove all records that match, but for a search, and what instrumented programs told of them.

        What says only until when, or of which session, takes along what was told of that and is of no call.
        """

    async def remove_one(self, completion_id: str, organization_id: str) -> Receipt:
        """Remove one record, and what an instrumented program told of it."""


class FeedbackStore(Protocol):
    """A place for feedback and its tasks. Every method raises StoreUnavailable when it may work later."""

    async def add_task(self, task: FeedbackTask) -> None:
        """Add a task."""

    async def task(self, organization_id: str, task_id: str) -> FeedbackTask | None:
        """The task; None if the organisation has none of this id."""

    async def tasks(
        self, organization_id: str, *, project_id: str | None = None, offset: int = 0, limit: int | None = None
    ) -> Sequence[FeedbackTask]:
        """Those of an organisation, or of a project alone, newest first."""

    async def add(self, given: Feedback) -> None:
        """Add feedback to the calls that it is about, which are there."""

    async def get(self, organization_id: str, feedback_id: str) -> Feedback | None:
        """The feedback; None if the organisation has none of this id."""

    async def find(self, query: FeedbackQuery) -> tuple[Sequence[Feedback], int]:
        """Those that match, newest first, and how many match in all."""

    async def ungraded(
        self, organization_id: str, *, project_id: str | None = None, offset: int, limit: int
    ) -> Sequence[Completion]:
        """Calls that a task asks for and that have no feedback to it, newest first, without their bodies.

        One that several tasks ask for is there until each of them has feedback. With a project, its tasks count.
        """


class Grading(Protocol):
    """Hands out the calls that a task asks for, each to as many people as are wanted and to nobody twice.

    What somebody has before him is held for him until a time; what he skips does not come to him again. Every method
    raises StoreUnavailable when it may work later.
    """

    async def change_task(self, task: FeedbackTask) -> None:
        """Put the name, the instruction, the tags and the wanted answers in the place of those of the task."""

    async def reserve(self, task: FeedbackTask, grader: str, *, now: datetime, until: datetime) -> str | None:
        """Hold a call for ``grader`` and return its id: the one that he holds, or else the newest; None if none is."""

    async def hold(
        self, task: FeedbackTask, completion_id: str, grader: str, *, now: datetime, until: datetime
    ) -> bool:
        """Hold this call for ``grader``, unless others hold or have given what is wanted of it."""

    async def release(self, task: FeedbackTask, completion_id: str, grader: str, *, skipped: bool) -> None:
        """Hold it no longer; ``skipped``: nor offer it to him again."""

    async def withdraw(self, organization_id: str, feedback_id: str, grader: str) -> bool:
        """Delete feedback that ``grader`` gave; false if there is none of this id that is his."""

    async def progress(self, task: FeedbackTask, *, now: datetime) -> GradingProgress:
        """How far it is."""


class Traces(Protocol):
    """A place for what instrumented programs tell of. Every method raises StoreUnavailable when it may work later."""

    async def put(self, organization_id: str, repository: str, statements: Sequence[Statement]) -> None:
        """Fold statements into what is known, in any order and as often as one likes; the generations become records.

        Raises StoreRejected if one can never be stored; then nothing is, but for what was known before.
        """

    async def trace(
        self, organization_id: str, trace_id: str, *, repository: str | None = None
    ) -> Sequence[Entity] | None:
        """A trace and everything in it, oldest first; None if nothing is known of it.

        The trace itself may be missing: it may not have been told of yet.
        """

    async def find(self, query: EntityQuery) -> EntityPage:
        """The sessions or traces that match. A search takes a limited time, and counts what it has seen by then."""

    async def add_upload(self, organization_id: str, upload: Upload) -> None:
        """Note that a file is there under its key, in place of what was."""

    async def upload(self, organization_id: str, key: str) -> Upload | None:
        """What was uploaded under a key; None if nothing was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A file that is there."""

    #: SHA-256 of its bytes, in hexadecimal.
    hash: str
    size_bytes: int


class Blobs(Protocol):
    """A place for files. Every method raises StoreUnavailable when it may work later."""

    async def add(self, pieces: AsyncIterator[bytes]) -> Blob:
        """Take in a file as it comes; nothing stays of one whose ``pieces`` raise."""

    def read(self, blob_hash: str) -> AsyncIterator[bytes]:
        """The bytes of a file."""

    async def has(self, blob_hash: str) -> bool:
        """Whether a file is there."""

    async def remove(self, blob_hash: str) -> None:
        """Remove a file, if it is there."""
