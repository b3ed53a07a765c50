"""The tables, and the statements that read them. SQLite and PostgreSQL share both; how each writes is its own affair.

Lists read the narrow row of ``completions``; a body is read only with its record. Times are microseconds of UTC since
1970, durations seconds. Text and JSON stand in the tables as rows.py writes them. ``change`` grows with every write and
is never used twice, so that a reader can ask what is new. Every list is in the order of an index: none is ever sorted.

What bodies share stands once in ``body_pieces``; a link is one piece behind its parent, and a body refers to its last
link. A link goes with the last body or link that refers to it, and a piece with its last link. No foreign key says so,
since it would be checked for every row that is written; the writers see to it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    CompoundSelect,
    Float,
    ForeignKey,
    FromClause,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    SmallInteger,
    Table,
    Text,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)

from llm_proxy.model.query import CompletionQuery
from llm_proxy.store.rows import row_id, storable, to_micros
from llm_proxy.store.sql_conditions import BESIDE_THE_TIME, are_beside_the_time, conditions

metadata = MetaData()

completions = Table(
    "completions",
    metadata,
    # SQLite counts by itself only in a column that is INTEGER by name.
    Column("change", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("organization_id", Text, nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("ending", Text),
    Column("failure_kind", Text),
    Column("failure_reason", Text),
    Column("http_status", SmallInteger),
    Column("provider", Text),
    Column("upstream", Text),
    Column("method", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("kind", Text),
    Column("model", Text),
    Column("response_model", Text),
    Column("stream", Boolean),
    # JSON; the table completion_tags says the same, for finding.
    Column("tags", Text),
    Column("session_id", Text),
    Column("session_name", Text),
    Column("user_id", Text),
    Column("trace_id", Text),
    Column("metadata", Text),
    Column("notes", Text),
    Column("client", Text),
    Column("key_fingerprint", Text),
    Column("duration_s", Float),
    Column("ttfb_s", Float),
    Column("ttft_s", Float),
    Column("connect_s", Float),
    Column("longest_gap_s", Float),
    Column("chunk_count", BigInteger),
    Column("input_tokens", BigInteger),
    Column("output_tokens", BigInteger),
    Column("total_tokens", BigInteger),
    Column("cached_input_tokens", BigInteger),
    Column("reasoning_output_tokens", BigInteger),
    # The provider's own object as JSON; NULL if there is no usage at all.
    Column("usage", Text),
    Column("finish_reasons", Text),
    Column("preview", Text),
    Column("request_bytes", BigInteger),
    Column("response_bytes", BigInteger),
    Column("truncated", Boolean, nullable=False),
    Column("decode_problem", Text),
    Column("cache_write_input_tokens", BigInteger),
    Column("audio_input_tokens", BigInteger),
    Column("audio_output_tokens", BigInteger),
    # A decimal number as text, which is exact in both databases; NULL if the cost is unknown.
    Column("cost_usd", Text),
    # All that is known of it, as JSON; NULL if nothing is.
    Column("cost", Text),
    Column("project_id", Text),
    # Of the key by which the call was made.
    Column("key_id", Text),
    # Whether somebody has changed the tags by hand; what comes later from the queue leaves them then.
    Column("tags_edited", Boolean),
    # Whether the session was told by what the call continues; NULL if somebody said it.
    Column("session_inferred", Boolean),
    # How the request went out, in seconds.
    Column("sent_s", Float),
    Column("overhead_s", Float),
    Column("queued_s", Float),
    Column("dns_s", Float),
    Column("tcp_s", Float),
    Column("tls_s", Float),
    sqlite_autoincrement=True,
)

completion_tags = Table(
    "completion_tags",
    metadata,
    Column("completion_id", Text, ForeignKey("completions.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", Text, primary_key=True),
    # Both repeat what the record says, so that one index lists a tag newest first.
    Column("organization_id", Text, nullable=False),
    Column("started_at_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

completion_bodies = Table(
    "completion_bodies",
    metadata,
    Column("completion_id", Text, ForeignKey("completions.id", ondelete="CASCADE"), primary_key=True),
    # What bodies.py packs.
    Column("content", LargeBinary, nullable=False),
    # The hash of the last link of what is not in there; NULL if all of it is.
    Column("tip", LargeBinary),
)

body_links = Table(
    "body_links",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    Column("parent", LargeBinary),
    Column("piece", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

body_pieces = Table(
    "body_pieces",
    metadata,
    Column("hash", LargeBinary, primary_key=True),
    # A zstd frame.
    Column("content", LargeBinary, nullable=False),
)

search_blocks = Table(
    "search_blocks",
    metadata,
    # The records whose changes are behind the first and up to the last number; no two blocks have one in common.
    Column("last_change", BigInteger, primary_key=True, autoincrement=False),
    Column("first_change", BigInteger, nullable=False),
    # When the oldest and the newest of its calls began; NULL if it has none.
    Column("oldest_us", BigInteger),
    Column("newest_us", BigInteger),
    # What search_block.py makes.
    Column("words", LargeBinary, nullable=False),
    Column("places", LargeBinary, nullable=False),
)

conversation_turns = Table(
    "conversation_turns",
    metadata,
    # Of a conversation up to an answer, and of whose it is.
    Column("hash", LargeBinary, primary_key=True),
    # Whether a call has ended there; if not, one goes on from there.
    Column("said", Boolean, primary_key=True),
    Column("completion_id", Text, nullable=False, index=True),
    # NULL as long as the call stands alone.
    Column("session_id", Text),
    sqlite_with_rowid=False,
)


def _listed_by(*of: str, name: str, known: ColumnElement[bool] | None = None) -> None:
    """An index that lists, by their time, the records of an organisation that have the same values in ``of``.

    ``known`` leaves out the records that nobody looks for by them.
    """
    columns = [completions.c[column] for column in ("organization_id", *of, "started_at_us", "id")]
    Index(f"completions_by_{name}", *columns, sqlite_where=known, postgresql_where=known)


# With the facts beside the time; in PostgreSQL they are included, and no part of the order.
Index("completions_by_time", *(completions.c[n] for n in ("organization_id", "started_at_us", "id", *BESIDE_THE_TIME)))
_listed_by("status", name="status")
for _name in ("session_id", "user_id", "model", "trace_id", "project_id", "key_id"):
    _listed_by(_name, name=_name, known=completions.c[_name].is_not(None))
_IS_ANOTHER = literal_column("response_model IS NOT NULL AND model IS NOT response_model", Boolean)  # as SQLite says it
_listed_by("response_model", name="response_model", known=_IS_ANOTHER)
Index(
    "completion_tags_by_tag",
    completion_tags.c.organization_id,
    completion_tags.c.tag,
    completion_tags.c.started_at_us,
    completion_tags.c.completion_id,
)
# For deletion: who else refers to it.
for _column in (completion_bodies.c.tip, body_links.c.parent, body_links.c.piece):
    _known = _column.is_not(None) if _column.nullable else None
    _name = f"{_column.table.name}_by_{_column.name}"
    Index(_name, _column, sqlite_where=_known, postgresql_where=_known)

_UNORDERED = [column for column in completions.c if column.name not in {"started_at_us", "id"}]
Statement = Select[Any] | CompoundSelect[Any]
_Rows = TypeVar("_Rows", Select[Any], CompoundSelect[Any], Statement)


def one(completion_id: str, organization_id: str) -> Statement:
    """The record of this id, with its bodies."""
    return with_bodies(select(completions)).where(completions.c.id == row_id(completion_id, organization_id))


def page(query: CompletionQuery, *, merges: bool = True) -> Statement:
    """The records of a page in its order, and one more if there is a next page.

    With a search, all that may match, with their bodies: only who has read them knows what does. ``merges`` tells
    whether the database merges two lists that are in order; if not, it is given as little as possible to sort.
    """
    listed = _listed(query)
    rows: Statement = listed
    if are_beside_the_time(query):
        # First which ones, from the index alone: no row of others is read.
        which = _cut(listed.with_only_columns(completions.c.id, completions.c.started_at_us), query).subquery()
        rows = with_bodies(select(completions)) if _needs_bodies(query) else select(completions)
        rows = rows.where(completions.c.id.in_(select(which.c.id)))
    elif query.model is not None and (query.tags or _is_about_somebody(query)):
        rows = listed.where(or_(*of_model(query.model)))
    elif query.model is not None:
        # No OR here: it would read and sort all that match, while two ordered lists are merged.
        lists = [listed.where(condition) for condition in of_model(query.model)]
        rows = union_all(*(lists if merges else [select(_cut(one, query).subquery()) for one in lists]))
    return _cut(rows, query)


def _cut(rows: _Rows, query: CompletionQuery) -> _Rows:
    """In the order of a page, and no more than that."""
    order = rows.selected_columns.started_at_us, rows.selected_columns.id
    rows = rows.order_by(*(order if query.oldest_first else (column.desc() for column in order)))
    return rows if query.limit is None or query.search is not None else rows.limit(query.limit + 1)


def last_change() -> Select[int]:
    """The number of the newest change; 0 if there was none."""
    return select(func.coalesce(func.max(completions.c.change), 0))


def changed(query: CompletionQuery, *, after: int, until: int) -> Statement:
    """What was written between two changes and matches, but for a search, in the order in which it was written."""
    rows = select(completions).where(
        completions.c.change > after,
        completions.c.change <= until,
        # An expression, so that no index on the organisation leads instead of the number.
        func.coalesce(completions.c.organization_id, "") == storable(query.organization_id),
        *_times(query, completions),
        *_attributes(query),
        *_tagged(query.tags),
    )
    if query.model is not None:
        rows = rows.where(or_(*of_model(query.model)))
    return (with_bodies(rows) if _needs_bodies(query) else rows).order_by(completions.c.change)


def ids(query: CompletionQuery, *, with_bodies: bool, limit: int) -> Select[str]:
    """Row ids of records that match, but for a search, in no order; ``with_bodies`` only of those that have bodies."""
    rows = select(completions.c.id).where(*matching(query))
    if with_bodies:
        rows = rows.where(exists().where(completion_bodies.c.completion_id == completions.c.id))
    return rows.limit(limit)


def matching(query: CompletionQuery, *, is_few: bool = False) -> Iterator[ColumnElement[bool]]:
    """What holds for the records that match, but for a search, wherever the page begins.

    ``is_few``: something else leaves few, so that no index on the organisation shall lead.
    """
    owner = completions.c.organization_id
    yield (func.coalesce(owner, "") if is_few else owner) == storable(query.organization_id)
    yield from _times(query, completions)
    yield from _attributes(query)
    yield from _tagged(query.tags)
    if query.model is not None:
        yield or_(*of_model(query.model))


def oldest_of(organization_id: str, *, after: tuple[int, str], with_bodies: bool, limit: int) -> Select[int, str]:
    """Time and row id of the oldest records of an organisation behind such a place; see ``ids``."""
    place = completions.c.started_at_us, completions.c.id
    rows = select(*place).where(completions.c.organization_id == storable(organization_id), tuple_(*place) > after)
    if with_bodies:
        rows = rows.where(exists().where(completion_bodies.c.completion_id == completions.c.id))
    return rows.order_by(*place).limit(limit)


def oldest(*, with_bodies: bool, limit: int) -> Select[str]:
    """Row ids of the records that were written first; ``with_bodies`` only of those that have bodies."""
    rows = select(completions.c.id).order_by(completions.c.change).limit(limit)
    if with_bodies:
        rows = rows.where(exists().where(completion_bodies.c.completion_id == completions.c.id))
    return rows


def links(tips: Sequence[bytes]) -> Select[bytes, bytes | None, bytes]:
    """The links (hash, parent, piece) that lead from these tips to the first piece, each once, in no order."""
    columns = body_links.c.hash, body_links.c.parent, body_links.c.piece
    walk = select(*columns).where(body_links.c.hash.in_(tips)).cte("walk", recursive=True)
    # UNION forgets what was seen before, so that a beginning that many share is walked once.
    walk = walk.union(select(*columns).join_from(walk, body_links, body_links.c.hash == walk.c.parent))
    return select(walk.c.hash, walk.c.parent, walk.c.piece)


def pieces(hashes: Sequence[bytes]) -> Select[bytes, bytes]:
    """The pieces that have these hashes."""
    return select(body_pieces.c.hash, body_pieces.c.content).where(body_pieces.c.hash.in_(hashes))


def _listed(query: CompletionQuery) -> Select[Any]:
    """All that matches but for the model, from one index and in its order: the one that says most about the query."""
    by_tag = bool(query.tags) and not _is_about_somebody(query)
    lead, tags = (completion_tags.alias(), query.tags[1:]) if by_tag else (completions, query.tags)
    order = lead.c.started_at_us, lead.c.completion_id if by_tag else lead.c.id
    rows = select(*_UNORDERED, order[0].label("started_at_us"), order[1].label("id"))
    if by_tag:
        rows = rows.join_from(lead, completions, completions.c.id == lead.c.completion_id)
        rows = rows.where(lead.c.tag == storable(query.tags[0]))
    if query.after is not None:
        place = to_micros(query.after.started_at), row_id(query.after.id, query.organization_id)
        reached, here = tuple_(*place), tuple_(*order)
        rows = rows.where(here > reached if query.oldest_first else here < reached)
    rows = rows.where(lead.c.organization_id == storable(query.organization_id))
    rows = rows.where(*_times(query, lead), *_attributes(query), *_tagged(tags))
    return with_bodies(rows) if _needs_bodies(query) else rows


def _needs_bodies(query: CompletionQuery) -> bool:
    return query.with_bodies or query.search is not None


def _is_about_somebody(query: CompletionQuery) -> bool:
    """Whether it asks for a session, a user or a trace: all are narrower than any tag."""
    return query.session_id is not None or query.user_id is not None or query.trace_id is not None


def with_bodies(rows: Select[Any]) -> Select[Any]:
    """``rows`` of records, and what is their own of their bodies."""
    bodies = completion_bodies
    return rows.add_columns(bodies.c.content, bodies.c.tip).outerjoin(
        bodies, bodies.c.completion_id == completions.c.id
    )


def _times(query: CompletionQuery, lead: FromClause) -> Iterator[ColumnElement[bool]]:
    if query.since is not None:
        yield lead.c.started_at_us >= to_micros(query.since)
    if query.until is not None:
        yield lead.c.started_at_us < to_micros(query.until)


def _attributes(query: CompletionQuery) -> Iterator[ColumnElement[bool]]:
    if query.project_id is not None:
        yield completions.c.project_id == storable(query.project_id)
    if query.session_id is not None:
        yield completions.c.session_id == storable(query.session_id)
    if query.user_id is not None:
        yield completions.c.user_id == storable(query.user_id)
    if query.trace_id is not None:
        yield completions.c.trace_id == storable(query.trace_id)
    if query.status is not None:
        yield completions.c.status == query.status.value
    yield from conditions(query.conditions, completions, completion_tags)


def _tagged(tags: tuple[str, ...]) -> Iterator[ColumnElement[bool]]:
    for tag in tags:
        tagged = completion_tags.alias()
        yield exists().where(tagged.c.completion_id == completions.c.id, tagged.c.tag == storable(tag))


def of_model(model: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Asked for, and answered by without being asked for: no record is in both."""
    name = storable(model)
    asked, answered = completions.c.model, completions.c.response_model
    # Word for word what the index says, or SQLite would not know that it leads there.
    return asked == name, and_(answered == name, asked.is_distinct_from(answered))
