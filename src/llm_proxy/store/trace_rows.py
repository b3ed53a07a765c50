"""Entities as rows of a table, and back.

What is stored is the state (model/folding.py), so that a piece that comes later, or once more, is folded into it.
Beside it stands what lists and trees need: its time, and the trace that it belongs to.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from sqlalchemy import BigInteger, Column, Index, LargeBinary, RowMapping, Table, Text

from llm_proxy.model.entity import completion_id, entity_of, started_at, text_in
from llm_proxy.model.folding import State
from llm_proxy.model.json_text import decode_json, encode_json
from llm_proxy.model.trace import Entity, Key, Kind
from llm_proxy.store.bodies import decompress
from llm_proxy.store.rows import restored, storable, to_micros
from llm_proxy.store.sql import metadata

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: Values of one statement.
_AT_ONCE = 500

entities = Table(
    "entities",
    metadata,
    Column("organization_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("repository", Text, primary_key=True),
    # The trace that it is, or that it belongs to; NULL as long as only a span is known that was not told of itself.
    Column("trace_id", Text),
    # Of a session, a trace, or what belongs to a session directly.
    Column("session_id", Text),
    # The span that it names.
    Column("span_id", Text),
    Column("started_at_us", BigInteger, nullable=False),
    # The record that is made of it; NULL for all but generations.
    Column("completion_id", Text),
    # The state: a zstd frame of JSON.
    Column("content", LargeBinary, nullable=False),
)
Index(
    "entities_by_time",
    entities.c.organization_id,
    entities.c.repository,
    entities.c.kind,
    entities.c.started_at_us,
    entities.c.id,
)
# Of whichever repository.
Index(
    "entities_by_kind",
    entities.c.organization_id,
    entities.c.kind,
    entities.c.started_at_us,
    entities.c.id,
)
for _column in (entities.c.trace_id, entities.c.session_id, entities.c.span_id):
    _known = _column.is_not(None)
    Index(
        f"entities_by_{_column.name}",
        entities.c.organization_id,
        _column,
        sqlite_where=_known,
        postgresql_where=_known,
    )
_known = entities.c.completion_id.is_not(None)
Index("entities_by_completion_id", entities.c.completion_id, sqlite_where=_known, postgresql_where=_known)

#: Kind and id: what tells an entity from all others of one repository.
Name: TypeAlias = tuple[Kind, str]


@dataclass(slots=True)
class Told:
    """What is known of one entity, and where it belongs."""

    key: Key
    state: State
    trace_id: str | None
    session_id: str | None

    @property
    def name(self) -> Name:
        return self.key.kind, self.key.id

    @property
    def span_id(self) -> str | None:
        return text_in(self.state, "spanId")

    def entity(self) -> Entity:
        return entity_of(self.key, self.state)


def told_of(key: Key, state: State) -> Told:
    """An entity as what was told of itself says; its trace may only be known from its span."""
    trace_id = key.id if key.kind is Kind.TRACE else text_in(state, "traceId")
    session_id = key.id if key.kind is Kind.SESSION else text_in(state, "sessionId")
    return Told(key, state, trace_id, session_id)


def row_of(organization_id: str, told: Told, compressor: "zstd.ZstdCompressor") -> dict[str, Any]:
    """The row of an entity. Raises RecursionError if its JSON is too deep."""
    is_generation = told.key.kind is Kind.GENERATION
    return {
        "organization_id": storable(organization_id),
        "id": storable(told.key.id),
        "kind": told.key.kind.value,
        "repository": storable(told.key.repository),
        "trace_id": _stored(told.trace_id),
        "session_id": _stored(told.session_id),
        "span_id": _stored(told.span_id),
        "started_at_us": to_micros(started_at(told.state)),
        "completion_id": completion_id(organization_id, told.key) if is_generation else None,
        "content": compressor.compress(encode_json(told.state), mode=zstd.ZstdCompressor.FLUSH_FRAME),
    }


def from_row(row: RowMapping) -> Told:
    """The entity of a row."""
    key = Key(repository=restored(row["repository"]), kind=Kind(row["kind"]), id=restored(row["id"]))
    state = cast("State", decode_json(decompress(row["content"])))
    return Told(key, state, _restored(row["trace_id"]), _restored(row["session_id"]))


def new_compressor() -> "zstd.ZstdCompressor":
    """For one thread."""
    return zstd.ZstdCompressor()


def some(values: Iterable[str]) -> Iterator[list[str]]:
    """The values, each once and as they stand in the tables, as many at a time as a statement takes."""
    stored = list(dict.fromkeys(map(storable, values)))
    for start in range(0, len(stored), _AT_ONCE):
        yield stored[start : start + _AT_ONCE]


def _stored(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _restored(value: str | None) -> str | None:
    return None if value is None else restored(value)
