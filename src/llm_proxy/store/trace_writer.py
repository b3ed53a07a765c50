"""Fold statements into what is stored, and find out where everything belongs; in one transaction.

Parents and children come in any order. What names but a span belongs to the trace of that span: if the span is told of
first, that is looked up; if it comes later, what waits for it is looked for. A generation is a record of the store as
well, and has to be written anew whenever it changes, or its trace turns out to belong to another session.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from llm_proxy.errors import StoreRejected
from llm_proxy.model.folding import fold
from llm_proxy.model.trace import Key, Kind, Settled, Statement
from llm_proxy.store.rows import restored, storable
from llm_proxy.store.trace_rows import Name, Told, entities, from_row, new_compressor, row_of, some, told_of

_INSERT: dict[str, Callable[..., Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_KEY = ("organization_id", "id", "kind", "repository")
#: First half of the key of an advisory lock; the other one is of the repository.
_LOCK = 0x6C6C6D70


class TraceWriter:
    """Writes to the repositories of any organisation; from one thread."""

    def __init__(self) -> None:
        self._compressor = new_compressor()

    def merge(
        self, connection: Connection, organization_id: str, repository: str, statements: Sequence[Statement]
    ) -> list[Settled]:
        """Write what the statements tell. Raises StoreRejected if one can never be stored."""
        scope = _Scope(connection, organization_id, repository)
        scope.lock()
        before = scope.named({(one.kind, one.id) for one in statements})
        after = _folded(repository, before, statements)
        _find_traces(scope, after)
        try:
            rows = [row_of(organization_id, told, self._compressor) for told in after.values()]
        except RecursionError as exc:
            raise StoreRejected("what was told is nested too deep to be stored") from exc
        _upsert(connection, rows)
        touched = {name: told for name, told in after.items() if told.key.kind is Kind.GENERATION}
        for told in (*scope.adopt(_known_spans(after)), *scope.generations_of(_moved_traces(before, after))):
            touched.setdefault(told.name, told)
        return list(_settled(scope, after, touched.values()))


class _Scope:
    """The entities of one repository."""

    def __init__(self, connection: Connection, organization_id: str, repository: str) -> None:
        self._connection = connection
        self._organization_id = organization_id
        self._repository = repository
        self._within = (
            entities.c.organization_id == storable(organization_id),
            entities.c.repository == storable(repository),
        )

    def lock(self) -> None:
        """Wait until nobody else writes here. In SQLite nobody else does."""
        if self._connection.dialect.name == "postgresql":
            place = f"{self._organization_id}\0{self._repository}".encode(errors="surrogatepass")
            number = int.from_bytes(hashlib.blake2b(place, digest_size=4).digest(), signed=True)
            self._connection.execute(text("SELECT pg_advisory_xact_lock(:a, :b)"), {"a": _LOCK, "b": number})

    def named(self, names: Iterable[Name]) -> dict[Name, Told]:
        """Those of these names that are there."""
        wanted = set(names)
        found = self._read(select(entities), entities.c.id, (entity_id for _, entity_id in wanted))
        return {told.name: told for told in found if told.name in wanted}

    def traces_of_spans(self, span_ids: Iterable[str]) -> dict[str, str]:
        """For each of these spans the trace that it belongs to, if that is known."""
        return self._column(entities.c.trace_id, Kind.SPAN, span_ids)

    def sessions_of_traces(self, trace_ids: Iterable[str]) -> dict[str, str]:
        """For each of these traces the session that it belongs to, if it does."""
        return self._column(entities.c.session_id, Kind.TRACE, trace_ids)

    def generations_of(self, trace_ids: Iterable[str]) -> Iterator[Told]:
        """The generations of these traces."""
        wanted = select(entities).where(entities.c.kind == Kind.GENERATION.value)
        yield from self._read(wanted, entities.c.trace_id, trace_ids)

    def adopt(self, traces: dict[str, str]) -> Iterator[Told]:
        """Let what waits for these spans, and all below it, belong to their traces; the generations among it."""
        while traces:
            waiting = select(entities).where(entities.c.trace_id.is_(None))
            found = list(self._read(waiting, entities.c.span_id, traces))
            for told in found:
                told.trace_id = traces[told.span_id or ""]
                self._connection.execute(
                    update(entities)
                    .where(
                        *self._within, entities.c.id == storable(told.key.id), entities.c.kind == told.key.kind.value
                    )
                    .values(trace_id=storable(told.trace_id))
                )
            yield from (told for told in found if told.key.kind is Kind.GENERATION)
            traces = {told.key.id: told.trace_id for told in found if told.key.kind is Kind.SPAN and told.trace_id}

    def _read(self, wanted: Any, column: Any, values: Iterable[str]) -> Iterator[Told]:
        for part in some(values):
            for row in self._connection.execute(wanted.where(*self._within, column.in_(part))).mappings():
                yield from_row(row)

    def _column(self, column: Any, kind: Kind, ids: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        wanted = select(entities.c.id, column).where(*self._within, entities.c.kind == kind.value, column.is_not(None))
        for part in some(ids):
            rows = self._connection.execute(wanted.where(entities.c.id.in_(part)))
            found |= {restored(entity_id): restored(value) for entity_id, value in rows}
        return found


def _folded(repository: str, before: dict[Name, Told], statements: Sequence[Statement]) -> dict[Name, Told]:
    said: dict[Name, list[Statement]] = {}
    for statement in statements:
        said.setdefault((statement.kind, statement.id), []).append(statement)
    after = {}
    for name, pieces in said.items():
        old = before.get(name)
        key = Key(repository=repository, kind=name[0], id=name[1])
        after[name] = told_of(key, fold(old.state if old else None, pieces))
        if old and after[name].trace_id is None:
            after[name].trace_id = old.trace_id  # from its span
    return after


def _find_traces(scope: _Scope, told: dict[Name, Told]) -> None:
    """Find the traces of what names but a span."""
    lost = [one for one in told.values() if one.trace_id is None and one.span_id is not None]
    elsewhere = {one.span_id for one in lost if one.span_id and (Kind.SPAN, one.span_id) not in told}
    traces = scope.traces_of_spans(elsewhere)
    found = True
    while found:  # once for each level of spans within spans that came at once
        traces |= _known_spans(told)
        still = [one for one in lost if one.trace_id is None]
        for one in still:
            one.trace_id = traces.get(one.span_id or "")
        found = any(one.trace_id for one in still)


def _known_spans(told: dict[Name, Told]) -> dict[str, str]:
    return {one.key.id: one.trace_id for one in told.values() if one.key.kind is Kind.SPAN and one.trace_id}


def _moved_traces(before: dict[Name, Told], after: dict[Name, Told]) -> list[str]:
    """Traces that belong to a session, and did not before."""
    return [
        told.key.id
        for name, told in after.items()
        if told.key.kind is Kind.TRACE
        and told.session_id is not None
        and (name not in before or before[name].session_id != told.session_id)
    ]


def _settled(scope: _Scope, after: dict[Name, Told], generations: Iterable[Told]) -> Iterator[Settled]:
    touched = list(generations)
    traces = {told.trace_id for told in touched if told.trace_id is not None}
    sessions = scope.sessions_of_traces(trace for trace in traces if (Kind.TRACE, trace) not in after)
    sessions |= {
        trace: known for trace in traces if (told := after.get((Kind.TRACE, trace))) and (known := told.session_id)
    }
    for told in touched:
        session_id = told.session_id or sessions.get(told.trace_id or "")
        yield Settled(generation=told.entity(), trace_id=told.trace_id, session_id=session_id)


def _upsert(connection: Connection, rows: list[dict[str, Any]]) -> None:
    insert = _INSERT[connection.dialect.name](entities)
    changed = {column.name: insert.excluded[column.name] for column in entities.c if column.name not in _KEY}
    connection.execute(insert.on_conflict_do_update(index_elements=list(_KEY), set_=changed), rows)
